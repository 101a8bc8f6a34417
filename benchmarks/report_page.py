"""The page of a long run: how large it is, and how long it takes to write and to open.

    python benchmarks/report_page.py --json runs/bench/report_page.json

It writes a run of 500 steps with a screenshot each (the phone's, 144 × 256, or noise of 360 × 800 that no encoder can
shrink), one alarm in ten, and the attention on 600 tokens of prompt in 24 layers of 14 heads. Opening is timed in
Chromium from the navigation's start until the first step and the list of steps are drawn (``data-ready``), by the
browser's own clock; the median of five. Also measured: moving to another step, and ``homeostat view`` listing 1,000
runs.
"""

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from homeostat.actions import Click
from homeostat.agent import AttentionRecord, events as e
from homeostat.agent.trace_writer import TraceWriter
from homeostat.controllers.decisions import Proceed, Reminder
from homeostat.envs.core import TaskInfo
from homeostat.envs.phone import PhoneEnv
from homeostat.sensors import Reading
from homeostat.viewer import write_report
from homeostat.viewer.library import Library

TOKENS, LAYERS, HEADS, ANSWER = 600, 24, 14, 30
TEXT = '<tool_call>\n{"name": "mobile_use", "arguments": {"action": "click", "coordinate": [72, 64]}}\n</tool_call>'


def write_run(folder, steps, screens, attention):
    """A run whose every tenth step alarms and is reminded."""
    random = np.random.default_rng(0)
    writer = TraceWriter(folder)
    if attention:
        writer.keep_attention()
    observed = PhoneEnv(split="test")
    task = observed.reset_task("notes_add", seed=1)
    elements = observed.observe().elements
    base = observed.observe().screenshot
    info = TaskInfo(name="long", goal=task.goal, optimal_steps=steps, max_steps=steps)
    names = ("attention_drift", "confidence")
    writer.write(
        e.Started(run=folder.name, task=info, judged=True, seed=1, model="m", sensors=names, controllers=names)
    )
    for step in range(steps):
        if screens == "phone":
            screen = base.copy()
            screen[:16, :] = random.integers(0, 256, 3)  # each screenshot is another one
            screen[40:60, : 20 + step % 100] = random.integers(0, 256, 3)
        else:
            screen = random.integers(0, 256, (800, 360, 3), dtype=np.uint8)
        writer.write(e.Observe(step=step, app="notes", screen=writer.screen(screen), elements=elements))
        alarms = step % 10 == 0
        for attempt in range(1 + alarms):
            alarm = alarms and not attempt
            name = ""
            if attention:
                rows = random.dirichlet(np.full(TOKENS, 0.05), (LAYERS, HEADS)).astype(np.float16)
                answers = random.dirichlet(np.full(TOKENS, 0.05), ANSWER).astype(np.float16)
                spans = {"system": ((0, 60),), "screen": ((60, 204),), "goal": ((204, 230),), "history": ((230, 500),)}
                words = tuple("<image>" if 60 <= at < 204 else f" token{at}" for at in range(TOKENS))
                kept = AttentionRecord(words, (" a",) * ANSWER, spans, tuple(range(LAYERS)), rows, answers)
                name = writer.attention(f"{step}-{attempt}", kept)
            value = -1.2 if alarm else float(random.normal(0, 0.1))
            readings = (
                Reading(
                    sensor=names[0], value=value, threshold=-0.7, alarm=alarm, span="goal", reason="goal: intensity"
                ),
                Reading(
                    sensor=names[1], value=float(random.uniform(0.8, 1)), threshold=0.5, reason="tokens are probable"
                ),
            )
            mass = dict(
                zip(("system", "goal", "screen", "output"), random.dirichlet((1, 2, 3, 1)).tolist(), strict=True)
            )
            writer.write(
                e.Sense(
                    step=step,
                    attempt=attempt,
                    instruction=task.goal,
                    text=TEXT,
                    action=Click(point=(0.5, 0.3)),
                    readings=readings,
                    mass=mass,
                    tokens=tuple(range(40)),
                    logprobs=(-0.1,) * 40,
                    prompt_tokens=TOKENS,
                    seconds=0.5,
                    attention=name,
                )
            )
            decision = Reminder(text=task.goal, cause="attention_drift:goal") if alarm else Proceed()
            writer.write(e.Decide(step=step, attempt=attempt, phase="attempt", controller="remind", decision=decision))
        writer.write(e.Act(step=step, action=Click(point=(0.5, 0.3)), said=TEXT))
    ended = {"steps": steps, "optimal_steps": steps, "tokens": 40 * steps, "seconds": 9.0}
    writer.write(e.Finish(step=steps, ended="budget", success=False, **ended))
    writer.close()


def browser():
    """Chromium, or None where it or its driver is missing."""
    program, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if program is None or driver is None:
        return None
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{flag}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def opening(driver, page, times=5):
    """(seconds until the page is drawn, seconds until another step is), medians."""
    opened, moved = [], []
    for _ in range(times):
        driver.get("about:blank")
        driver.get(page.as_uri())
        while not (at := driver.execute_script("return document.documentElement.dataset.readyAt")):
            time.sleep(0.02)
        opened.append(float(at) / 1000)
        script = "const t = performance.now(); location.hash = '#step-250'; const done = arguments[0];"
        script += "addEventListener('hashchange', () => requestAnimationFrame(() => done(performance.now() - t)))"
        moved.append(driver.execute_async_script(script) / 1000)
    return statistics.median(opened), statistics.median(moved)


def listing(folder, runs=1000):
    """Seconds of CPU time to list runs for the first time, and again."""
    first = folder / "run-0"
    write_run(first, 8, "phone", False)
    data = (first / "trace.jsonl").read_bytes()
    for number in range(1, runs):
        (folder / f"run-{number}").mkdir()
        (folder / f"run-{number}" / "trace.jsonl").write_bytes(data)
    library, found = Library(folder), []
    for _ in range(2):
        begun = time.process_time()
        assert len(library.runs()) == runs
        found.append(time.process_time() - begun)
        time.sleep(1)
    return {"runs": runs, "first_seconds": found[0], "again_seconds": found[1], "bytes_each": len(data)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    driver, rows = browser(), []
    for screens, attention in (("phone", False), ("phone", True), ("noise", True)):
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / "run"
            write_run(run, arguments.steps, screens, attention)
            begun = time.process_time()
            page = write_report(run)
            seconds = time.process_time() - begun
            opened, moved = opening(driver, page) if driver is not None else (None, None)
            html = page.read_text()
            rows.append(
                {
                    "steps": arguments.steps,
                    "screens": screens,
                    "attention": attention,
                    "megabytes": page.stat().st_size / 1e6,
                    "screens_kept": html.count('data-screen="') - 1,
                    "attention_kept": html.count('data-attention="') - 1,
                    "notes": json.loads(html.partition('id="record">')[2].partition("</script>")[0])["notes"],
                    "write_cpu_seconds": seconds,
                    "open_seconds": opened,
                    "step_seconds": moved,
                }
            )
            print(json.dumps(rows[-1]), flush=True)
    if driver is not None:
        driver.quit()
    with tempfile.TemporaryDirectory() as folder:
        listed = listing(Path(folder))
    print(json.dumps(listed))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"pages": rows, "listing": listed}, indent=1) + "\n")


if __name__ == "__main__":
    main()
