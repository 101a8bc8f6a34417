"""``homeostat view`` in a browser: searching, filtering, comparing, following a run, and forking one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import Agent, read_trace
from homeostat.envs.phone import PhoneEnv
from homeostat.testing import ScriptedModel

EPISODE = {
    "index": 0, "task": "notes_add", "seed": 5, "goal": "save", "success": False, "ended": "premature", "steps": 4,
    "optimal_steps": 3, "calls": 5, "tokens": 15, "prompt_tokens": 1, "seconds": 1.5,
}  # fmt: skip


@pytest.fixture
def root(make: Any, tmp_path: Path) -> Path:
    make.write_run(tmp_path / "one", goal="save the note")
    make.write_run(tmp_path / "two", goal="call Anna", model="other", text="xyzzy", attention=False, steps=1)
    make.write_run(tmp_path / "three", goal="<img src=x onerror=alert(1)>" + "w" * 900, model="evil</script>")
    return tmp_path


def goals(browser: Any) -> list[str]:
    return [one.split("\n")[0][:14] for one in browser.texts("#runs td.goal")]


def test_the_list(browser: Any, root: Path, served: Any) -> None:
    for name, success in (("a", False), ("b", True)):
        told = {"arguments": {"suite": "s"}, "episodes": [EPISODE | {"success": success}]}
        (root / f"{name}.json").write_text(json.dumps(told))
    address = served(root)
    browser.open(address)
    assert len(goals(browser)) == 3
    change = "const s = document.querySelector(`#filters [name='${arguments[0]}']`); s.value = arguments[1];"
    change += "s.dispatchEvent(new Event('input', {bubbles: true}))"
    browser.run(change, "text", "XYZZY")
    browser.wait("return document.querySelectorAll('#runs tr').length === 1")
    assert goals(browser) == ["call Anna"]
    browser.run(change, "text", "")
    browser.wait("return document.querySelectorAll('#runs tr').length === 3")
    for name, value, left in (("model", "other", 1), ("alarm", "attention_drift", 2), ("corrected", "guard", 2)):
        browser.run(change, name, value)
        assert len(goals(browser)) == left, name
        browser.run(change, name, "")
    for name, value in (("ended", "premature"), ("controller", "remind")):
        browser.run(change, name, value)
        assert len(goals(browser)) == 3
    for column, first in (("goal", "<img src=x one"), ("steps", None), ("goal", "<img src=x one")):
        browser.click(f"[data-column='{column}'] button")
        assert first is None or goals(browser)[0] == first
    browser.click("[data-column='goal'] button")
    assert goals(browser)[0] == "save the note"
    for box in (0, 1):
        browser.run("document.querySelectorAll('#evaluations input')[arguments[0]].click()", box)
    browser.click("#compare")
    browser.wait("return location.pathname === '/compare' && document.querySelector('h1')")
    assert browser.text("h1") == "a.json against b.json"
    assert "rescued" in browser.text("#episodes")
    browser.run(
        "const s = document.querySelector('[data-chooses]'); s.value = 'rescued'; s.dispatchEvent(new Event('change'))"
    )
    assert browser.text("[data-counts]") == "1 of 1"
    browser.run(
        "const s = document.querySelector('[data-filters]'); s.value = 'nothing'; s.dispatchEvent(new Event('input'))"
    )
    assert browser.text("[data-counts]") == "0 of 1"
    assert [url for url in browser.requests() if not url.startswith(address)] == []
    assert browser.complaints() == []


@pytest.mark.parametrize(("width", "dark"), [(390, False), (1440, True)])
def test_the_pages_are_accessible_and_fit(browser: Any, root: Path, served: Any, width: int, dark: bool) -> None:
    (root / "a.json").write_text(json.dumps({"arguments": {"suite": "w" * 500}, "episodes": []}))
    for name, success in (("before", False), ("after", True)):
        episode = EPISODE | {"success": success, "goal": "<b>" + "w" * 900, "reason": "\u202e" + "x" * 900}
        (root / f"{name}.json").write_text(json.dumps({"arguments": {"suite": "s"}, "episodes": [episode]}))
    address = served(root)
    browser.open(address, width=width, dark=dark)
    pages = browser.run("return [...document.querySelectorAll('#runs a, #evaluations a')].map(a => a.href)")
    named = "return [...document.querySelectorAll('#evaluations a')].map(a => [a.innerText, a.href.split('/').pop()])"
    known = dict(browser.run(named))
    before, after = known["before.json"], known["after.json"]
    for page in (address, *pages, f"{address}/compare?before={before}&after={after}"):
        browser.open(page, width=width, dark=dark)
        assert browser.overflow <= 0, page
        assert browser.axe() == [], page
    browser.open(f"{address}/runs/none", width=width, dark=dark)
    assert browser.text("main") == "This can't be shown\n\nthere is no such run; it may have been deleted"


def test_a_run_is_followed(browser: Any, make: Any, tmp_path: Path, served: Any) -> None:
    folder = make.write_run(tmp_path / "run", steps=4)
    lines = (folder / "trace.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "trace.jsonl").write_bytes(b"".join(lines[:5]))
    browser.open(served(tmp_path))
    browser.click("#runs a")
    browser.wait("return document.querySelectorAll('#timeline button').length === 1")
    with (folder / "trace.jsonl").open("ab") as file:
        file.writelines(lines[5:])
    browser.wait("return document.querySelectorAll('#timeline button').length === 4")
    assert browser.run("return location.hash") == "#step-3", "who looks at the last step is taken along"
    assert browser.text(".verdict").startswith("not solved")
    assert browser.complaints() == []


def test_a_run_is_forked(browser: Any, tmp_path: Path, served: Any) -> None:
    """The new process plays with the embedded model; what it was told to answer is what it does at that step."""
    from homeostat.agent import AgentSpec
    from homeostat.cli.run_settings import RunSettings, write_settings

    env = PhoneEnv(split="test")
    settings = RunSettings(agent=AgentSpec(controllers=("none",), sensors=()), env="phone", seed=1, task="notes_add")
    write_settings(settings, tmp_path / "run")
    say = '<tool_call>{"name": "mobile_use", "arguments": %s}</tool_call>'
    lines = [say % '{"action": "open", "text": "notes"}', say % '{"action": "terminate", "status": "failure"}']
    task = env.reset_task("notes_add", seed=1)
    Agent(ScriptedModel(lines)).start(task, env, run_folder=tmp_path / "run", keep_checkpoints=True).result  # noqa: B018
    browser.open(served(tmp_path))
    browser.click("#runs a")
    browser.wait("return document.querySelectorAll('#timeline button').length === 2")
    browser.run("location.hash = '#step-1'; document.querySelector('#fork details').open = true")
    browser.wait("return document.querySelectorAll('#controller-names option').length > 5")
    browser.wait("return !document.querySelector('#fork button').disabled")
    fill = "document.querySelector(`#fork [name=${arguments[0]}]`).value = arguments[1]"
    browser.run(fill, "answer", say % '{"action": "wait"}')
    browser.run(fill, "controllers", "guard")
    browser.click("#fork button")
    browser.wait("return document.querySelector('#fork .readout a')", 90)
    browser.wait("return document.querySelector('.relatives')?.innerText.includes('run-fork1')")
    browser.click("#fork .readout a")
    browser.wait("return document.querySelector('.relatives')?.innerText.startsWith('Forked from run at step 1')", 30)
    browser.wait("return document.querySelectorAll('#timeline button').length > 1", 30)
    before, after = read_trace(tmp_path / "run"), read_trace(tmp_path / "run-fork1")
    assert after.acts[0] == before.acts[0]
    assert after.acts[1].action is not None
    assert after.acts[1].action.kind == "wait"
    assert after.start.controllers == ("guard",)
    assert browser.complaints() == []
