"""Runs to show, a browser, and a server over a folder of runs."""

from __future__ import annotations

import importlib.util
import json
import shutil
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from homeostat.actions import Click, Type
from homeostat.agent import events as e
from homeostat.agent.attention_record import AttentionRecord
from homeostat.agent.trace_writer import TraceWriter
from homeostat.controllers.decisions import Proceed, Refuse, Reminder
from homeostat.envs.core import TaskInfo
from homeostat.observation import Element
from homeostat.sensors import Reading

BUTTONS = (
    Element(role="button", text="save", box=(0.0, 0.5, 0.5, 1.0)),
    Element(role="field", text="", box=(0.0, 0.0, 1.0, 0.5)),
)


def picture(seed: int) -> Any:
    """A screen of few colours, 64 × 48."""
    return np.random.default_rng(seed).integers(0, 4, (64, 48, 3), dtype=np.uint8) * 60


def record_of(seed: int, *, tokens: int = 40, layers: int = 3, heads: int = 2, answer: int = 4) -> AttentionRecord:
    """Attention of which the first 16 tokens are a picture, then 8 the goal."""
    random = np.random.default_rng(seed)
    raw = random.dirichlet(np.full(tokens, 0.3), (answer, layers, heads)).astype(np.float32)
    return AttentionRecord(
        tokens=("<image>",) * 16 + tuple(f" word{at}" for at in range(16, tokens)),
        answer=tuple(f"tok{at}" for at in range(answer)),
        spans={"screen": ((0, 16),), "goal": ((16, 24),)},
        layers=tuple(range(layers)),
        by_head=raw.mean(0).astype(np.float16),
        by_token=raw.mean((1, 2)).astype(np.float16),
    )


def write_run(
    folder: Path,
    *,
    steps: int = 4,
    goal: str = "save the note",
    model: str = "tiny",
    text: str = '{"action": "click"}',
    reason: str = "goal: intensity 0.4 against 1.9",
    typed: str = "milk",
    ended: bool = True,
    attention: bool = True,
    shape: dict[str, int] | None = None,
) -> Path:
    """A run whose step 1 alarms and is reminded, and whose step 2 is refused."""
    writer = TraceWriter(folder)
    if attention:
        writer.keep_attention()
    task = TaskInfo(name="notes_add", goal=goal, seed=5, optimal_steps=3, max_steps=9)
    start = {"sensors": ("attention_drift", "confidence"), "controllers": ("guard", "remind")}
    writer.write(e.Started(run=folder.name, task=task, judged=True, seed=5, model=model, **start))
    for step in range(steps):
        writer.write(e.Observe(step=step, app="notes", screen=writer.screen(picture(step)), elements=BUTTONS))
        action = Click(point=(0.2, 0.7)) if step % 2 == 0 else Type(text=typed)
        for attempt in range(2 if step == 1 else 1):
            alarm = step == 1 and attempt == 0
            drift = Reading(
                sensor="attention_drift", value=-1.5 if alarm else -0.1, threshold=-0.7, alarm=alarm, span="goal",
                reason=reason,
            )  # fmt: skip
            sure = Reading(sensor="confidence", value=0.9 + step / 100, threshold=0.5, reason="sure")
            name = ""
            if attention:
                name = writer.attention(f"{step}-{attempt}", record_of(10 * step + attempt, **(shape or {})))
            writer.write(
                e.Sense(
                    step=step, attempt=attempt, instruction=goal, text=text, action=action, readings=(drift, sure),
                    mass={"goal": 0.008 if alarm else 0.034, "screen": 0.4}, tokens=(1, 2, 3), logprobs=(-0.1,) * 3,
                    prompt_tokens=40, cached_tokens=10, seconds=0.25, attention=name,
                    reminder="the goal is: …" if attempt else "",
                )
            )  # fmt: skip
            if alarm:
                remind = Reminder(text=f"the goal is: {goal}", cause="attention_drift:goal", by="remind")
                writer.write(e.Decide(step=step, attempt=0, phase="attempt", controller="remind", decision=remind))
        if step == 2:
            refuse = Refuse(reason="a rule forbids it", cause="rule:never save", by="guard")
            writer.write(e.Decide(step=step, phase="attempt", controller="guard", decision=refuse))
            writer.write(e.Act(step=step, action=action, outcome="refused", error="a rule forbids it"))
            continue
        writer.write(e.Decide(step=step, phase="attempt", decision=Proceed()))
        writer.write(e.Act(step=step, action=action, said=text))
    if ended:
        figures = {"steps": steps, "optimal_steps": 3, "tokens": 3 * (steps + 1), "seconds": 1.5}
        writer.write(e.Finish(step=steps, ended="premature", success=False, reason="its check fails", **figures))
    writer.close()
    return folder


@pytest.fixture(scope="session")
def make() -> Any:
    """What writes runs, for test files (which can't import this one)."""
    return SimpleNamespace(write_run=write_run, record_of=record_of, picture=picture)


@pytest.fixture(scope="session")
def chrome() -> Any:
    """A browser that tells what it asked the network for and what its console said."""
    webdriver = pytest.importorskip("selenium.webdriver")
    binary, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if binary is None or driver is None:
        pytest.skip("no Chromium with its driver on this machine")
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    flags = ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "disable-background-networking")
    for flag in flags:
        options.add_argument(f"--{flag}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    opened.set_script_timeout(60)
    yield opened
    opened.quit()


class Browser:
    """The browser, with what the tests ask of it."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver

    def open(self, address: str, *, width: int = 1440, height: int = 900, dark: bool = False) -> None:
        self.driver.get_log("browser"), self.driver.get_log("performance")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
        self.driver.get("about:blank")
        self.driver.get(address)
        self.wait("return document.readyState === 'complete'")
        if self.run("return document.querySelector('#timeline, #runs') !== null"):
            self.wait("return document.documentElement.hasAttribute('data-ready')")

    def run(self, script: str, *arguments: Any) -> Any:
        return self.driver.execute_script(script, *arguments)

    def wait(self, script: str, seconds: float = 15.0) -> Any:
        until = time.monotonic() + seconds
        while not (found := self.run(script)):
            assert time.monotonic() < until, f"never true: {script}"
            time.sleep(0.03)
        return found

    def text(self, selector: str) -> str:
        return str(self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector))

    def texts(self, selector: str) -> list[str]:
        return list(self.run("return [...document.querySelectorAll(arguments[0])].map(e => e.innerText)", selector))

    def click(self, selector: str) -> None:
        self.run("document.querySelector(arguments[0]).click()", selector)

    def keys(self, text: str) -> None:
        from selenium.webdriver import ActionChains

        ActionChains(self.driver).send_keys(text).perform()

    @property
    def overflow(self) -> int:
        return int(self.run("return document.documentElement.scrollWidth - window.innerWidth"))

    def complaints(self) -> list[str]:
        return [entry["message"] for entry in self.driver.get_log("browser")]

    def requests(self) -> list[str]:
        told = (json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance"))
        sent = (one["params"]["request"]["url"] for one in told if one["method"] == "Network.requestWillBeSent")
        return [url for url in sent if not url.startswith(("data:", "about:", "blob:"))]

    def axe(self) -> list[str]:
        """What axe-core finds on the page that is serious or critical."""
        package = importlib.util.find_spec("axe_playwright_python")
        if package is None or package.origin is None:
            pytest.skip("axe-core is not installed: pip install --no-deps axe-playwright-python")
        self.run((Path(package.origin).parent / "axe.min.js").read_text(encoding="utf-8"))
        found = self.driver.execute_async_script("axe.run(document).then(arguments[0])")
        bad = (one for one in found["violations"] if one["impact"] in ("serious", "critical"))
        return [f"{one['id']}: {one['nodes'][0]['html'][:160]}" for one in bad]


@pytest.fixture
def browser(chrome: Any) -> Browser:
    return Browser(chrome)


@pytest.fixture
def served() -> Any:
    """Serves a folder; gives its address."""
    uvicorn = pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    from homeostat.viewer import create_app

    running = []

    def serve(root: Path, **settings: Any) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        app = create_app(root, **settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", access_log=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        running.append((server, thread, listener, app))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for server, thread, listener, app in running:
        server.should_exit = True
        thread.join(10)
        listener.close()
        app.state.forks.close()
