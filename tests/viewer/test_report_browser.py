"""The page of a run in a browser: every control, the figures, both widths and schemes, and hostile runs."""

from __future__ import annotations

import base64
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.agent import read_trace
from homeostat.agent.trace_writer import TraceWriter
from homeostat.viewer import write_report

EVIL = (
    "</script><script>document.title='owned'</script><img src=http://evil.example/x onerror=alert(1)>"
    "<svg onload=alert(2)><style>body{display:none}</style>javascript:alert(3) url(http://evil.example/y) "
    "\u202eright-to-left\u202c \x1b]0;title\x07\x1b[2J {{ 7 * 7 }} ${7*7} שלום مرحبا " + "w" * 3000
)


@pytest.fixture(scope="module")
def page(make: Any, tmp_path_factory: Any) -> Path:
    return write_report(make.write_run(tmp_path_factory.mktemp("report") / "run"))


def test_it_shows_the_run(browser: Any, page: Path) -> None:
    browser.open(page.as_uri())
    assert browser.text("h1") == "save the note"
    assert browser.text(".verdict").startswith("not solved: called done too early")
    tiles = dict(zip(browser.texts(".tile dt"), browser.texts(".tile .big"), strict=True))
    assert (tiles["Steps"], tiles["Model calls"], tiles["Tokens generated"]) == ("4", "5", "15")
    assert (tiles["Alarms"], tiles["Corrections"], tiles["Prompt tokens"]) == ("1", "2", "200")
    assert [one.split("\n")[1] for one in browser.texts("#timeline button")] == ["tap “save”", "type “milk”"] * 2
    assert browser.texts("#charts figcaption strong") == [
        "attention_drift", "confidence", "attention on goal", "attention on screen",
    ]  # fmt: skip
    assert browser.run("return document.querySelectorAll('#charts .alarm-mark').length") == 1
    assert browser.requests() == [page.as_uri()]
    assert browser.complaints() == []


def test_every_step_by_every_way(browser: Any, page: Path) -> None:
    browser.open(page.as_uri())
    at = "return location.hash"
    for key, wanted in (("j", 1), ("\ue014", 2), ("k", 1), ("\ue012", 0), ("\ue010", 3), ("\ue011", 0), ("n", 1)):
        browser.keys(key)
        assert browser.run(at) == f"#step-{wanted}", key
    browser.keys("p")
    assert browser.run(at) == "#step-1", "there is no earlier alarm"
    browser.click(".stepper button[title^=Next]")
    browser.click(".stepper button[title^=Previous]")
    browser.click("#timeline li:nth-child(3) button")
    assert browser.run(at) == "#step-2"
    assert browser.run("return document.querySelector('#timeline [aria-current]').innerText").startswith("2")
    assert "refused" in browser.text(".outcome")
    browser.run(
        "const s = document.querySelector('.stepper select'); s.value = '3'; s.dispatchEvent(new Event('change'))"
    )
    assert browser.run(at) == "#step-3"
    browser.run("document.querySelector('#charts svg').dispatchEvent(new MouseEvent('click', {clientX: 0}))")
    assert browser.run(at) == "#step-0"
    browser.run(
        "const s = document.querySelectorAll('.stepper select')[1]; s.value = '4'; s.dispatchEvent(new Event('change'))"
    )
    browser.keys(" ")
    assert browser.text(".stepper").count("Pause") == 1
    browser.wait("return location.hash === '#step-3'")
    browser.wait("return document.querySelector('.stepper').innerText.includes('Play')")
    browser.keys("?")
    assert browser.run("return document.querySelector('#help').open")
    browser.click("#help button")
    browser.run("location.hash = '#step-2'")
    browser.wait("return document.querySelector('#timeline [aria-current]').innerText.startsWith('2')")


def test_the_attention_is_that_of_the_record(browser: Any, page: Path, make: Any) -> None:
    browser.open(page.as_uri() + "#step-2")
    browser.wait("return document.querySelector('.attention .tokens')")
    record = make.record_of(20)
    goal = (
        "return [...document.querySelectorAll('.attention .bars tr')].map(r => r.innerText).find(t => /^goal/.test(t))"
    )

    def share(found: str) -> float:
        return float(re.search(r"([\d.]+) %", found)[1])  # type: ignore[index]

    def true(weights: Any) -> float:
        return 100 * float(weights[..., 16:24].astype(float).sum(-1).mean())

    assert share(browser.run(goal)) == pytest.approx(true(record.by_head), abs=0.3)
    select = "const s = document.querySelector(`select[data-range='${arguments[0]}']`); s.value = arguments[1];"
    select += "s.dispatchEvent(new Event('change'))"
    browser.run(select, "layers-0", "2")
    browser.run(select, "heads-1", "0")
    assert share(browser.run(goal)) == pytest.approx(true(record.by_head[2, 0]), abs=0.3)
    browser.click(".answer button[data-row='3']")
    assert share(browser.run(goal)) == pytest.approx(true(record.by_token[3]), abs=0.3)
    assert browser.run("return document.querySelector(\".answer [aria-pressed='true']\").innerText") == "tok3"
    tokens = browser.texts(".tokens > .token")
    assert tokens[0] == "<image> × 16"
    assert tokens[1:9] == [f"·word{at}" for at in range(16, 24)]
    browser.click(".tokens > .token:last-child")
    told = browser.text(".readout")
    assert told.startswith("Token 39: ")
    assert share(told) == pytest.approx(100 * float(record.by_token[3, 39]), rel=0.03, abs=0.01)
    # The heat map: its brightest patch is the picture's most-read token.
    brightest = browser.run(
        "const c = document.querySelector('canvas');"
        "const p = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        "const a = [...p.data].filter((_, i) => i % 4 === 3); return [c.width, c.height, a.indexOf(Math.max(...a))]"
    )
    assert brightest == [4, 4, int(np.argmax(record.by_token[3, :16]))]
    browser.run("const r = document.querySelector('.slider input'); r.value = 20; r.dispatchEvent(new Event('input'))")
    assert browser.run("return document.querySelector('canvas').style.opacity") == "0.2"
    browser.run("location.hash = '#step-1'")
    browser.wait("return document.querySelectorAll('button.look').length === 2")
    browser.click("button.look")
    browser.wait("return document.querySelector('.card.chosen')?.getAttribute('aria-label') === 'Attempt 0'")
    assert browser.complaints() == []


def test_a_correction_shows_both_attempts(browser: Any, page: Path) -> None:
    browser.open(page.as_uri())
    chain = browser.texts("#corrections .chain")[0].split("\n")
    assert chain[0] == "attention_drift alarmed: −1.5 < −0.7 (goal: intensity 0.4 against 1.9)"
    assert chain[2] == "→ goal 0.8 % → 3.4 %; attention_drift −1.5 → −0.1, no longer alarming; same answer"
    browser.run("document.querySelector('#corrections details').open = true")
    browser.wait("return document.querySelector('#corrections .sides')")
    rows = [one.split("\t") for one in browser.text("#corrections .sides").split("\n")]
    assert ["goal", "0.8 %", "3.4 %"] in rows
    browser.click("#corrections button.link")
    assert browser.run("return location.hash") == "#step-1"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [390, 1440])
def test_it_is_accessible_and_fits(browser: Any, page: Path, width: int, dark: bool) -> None:
    browser.open(page.as_uri() + "#step-1", width=width, dark=dark)
    browser.wait("return document.querySelector('.attention .tokens')")
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert browser.overflow <= 0
    assert browser.axe() == []


def test_without_attention_it_says_how_to_get_it(browser: Any, make: Any, tmp_path: Path) -> None:
    page = write_report(make.write_run(tmp_path / "run", attention=False, ended=False))
    browser.open(page.as_uri())
    assert "--record-attention" in browser.text(".attention")
    assert browser.text(".verdict").startswith("not ended")
    assert not browser.run("return document.querySelector('.slider').offsetParent")
    empty = make.write_run(tmp_path / "empty", steps=0, ended=False)
    browser.open(write_report(empty).as_uri())
    assert browser.text("#no-steps") == "No step has begun."
    assert browser.complaints() == []


@pytest.mark.parametrize("width", [390, 1440])
def test_nothing_of_a_hostile_run_runs(browser: Any, make: Any, tmp_path: Path, width: int) -> None:
    folder = make.write_run(tmp_path / "run", goal=EVIL, model=EVIL, text=EVIL, reason=EVIL, typed=EVIL, steps=3)
    record = make.record_of(0)
    evil = type(record)((EVIL,) * 40, (EVIL,) * 4, {EVIL: ((0, 8),), "goal": ((8, 20),)}, *_arrays(record))
    (folder / "attention" / "1-1.npz").write_bytes(evil.to_bytes())
    page = write_report(folder)
    browser.open(page.as_uri() + "#step-1", width=width)
    browser.wait("return document.querySelector('.attention .tokens')")
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true })")
    assert "owned" not in browser.run("return document.title").split("</script>")[0]
    assert browser.run("return document.querySelectorAll('img').length") == 1
    assert browser.run("return document.querySelectorAll('style').length") == 1
    assert browser.run("return document.querySelectorAll('a[href]').length") == 1  # the skip link
    assert browser.overflow <= 0
    assert browser.requests() == [page.as_uri() + "#step-1"] or browser.requests() == []
    assert [one for one in browser.complaints() if "evil" in one or "Refused" in one] == []
    text = browser.text("h1")
    assert text.startswith("</script><script>document.title='owned'</script>")
    assert "\\u202eright-to-left\\u202c \\u001b]0;title\\u0007" in text
    assert "{{ 7 * 7 }} ${7*7} שלום مرحبا" in text


def _arrays(record: Any) -> tuple[Any, ...]:
    return record.layers, record.by_head, record.by_token


def test_the_policy_allows_the_pages_own_script_only(page: Path) -> None:
    html = page.read_text()
    policy = re.search(r'Content-Security-Policy" content="([^"]+)"', html)[1].replace("&#39;", "'")  # type: ignore[index]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'sha256-")
    assert "unsafe" not in policy
    assert "connect-src 'none'" in policy
    assert not re.search(r" on[a-z]+=|https?://(?!www\.w3\.org/2000/svg)", html.partition("<body")[0])
    blocks = re.findall(r'<script type="text/plain" data-screen="(\w+)" data-mime="image/png">([^<]+)<', html)
    trace = read_trace(page.parent)
    assert [name for name, _ in blocks] == list(dict.fromkeys(e.screen for e in trace.events if e.kind == "observe"))
    assert base64.b64decode(blocks[0][1]).startswith(b"\x89PNG")


def test_a_recording_shows_every_frame(browser: Any, make: Any, tmp_path: Path) -> None:
    folder = make.write_run(tmp_path / "run", steps=1, attention=False)
    writer = TraceWriter(tmp_path / "other")
    frames = [writer.screen(make.picture(seed)) for seed in (7, 8, 9)]
    writer.keep_attention()
    record = make.record_of(1, tokens=60)
    spans = {"frame-1": ((0, 16),), "frame-3": ((20, 36),)}
    tokens = ("<image>",) * 40 + record.tokens[40:]
    name = writer.attention("0-0", type(record)(tokens, record.answer, spans, *_arrays(record)))
    writer.close()
    for part in ("screens", "attention"):
        shutil.copytree(tmp_path / "other" / part, folder / part, dirs_exist_ok=True)
    lines = []
    for line in (folder / "trace.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["kind"] == "observe":
            event |= {"frames": frames, "screen": frames[-1]}
        if event["kind"] == "sense":
            event["attention"] = name
        lines.append(json.dumps(event))
    (folder / "trace.jsonl").write_text("\n".join(lines) + "\n")
    browser.open(write_report(folder).as_uri())
    browser.wait("return document.querySelector('.attention .tokens')")
    assert browser.texts(".views button") == ["Frame 1", "Frame 2", "Frame 3"]
    heat = "const c = document.querySelector('canvas'); const p = c.getContext('2d').getImageData(0, 0, 4, 4);"
    heat += "const a = [...p.data].filter((_, i) => i % 4 === 3); return c.hidden ? null : a.indexOf(Math.max(...a))"
    weights = record.by_head.astype(float).mean((0, 1))
    assert browser.run(heat) == int(np.argmax(weights[20:36]))
    browser.click(".views button")
    assert browser.run(heat) == int(np.argmax(weights[:16]))
    browser.click(".views button:nth-child(2)")
    assert browser.run(heat) is None
    assert browser.run("return document.querySelector(\".views [aria-pressed='true']\").innerText") == "Frame 2"
