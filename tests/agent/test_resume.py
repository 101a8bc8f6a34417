"""Runs on disk: the trace, resuming in this and another process, signals, and damaged files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from homeostat.agent import Agent, read_trace
from homeostat.agent.events import Act, Finish, Observe
from homeostat.controllers.decisions import Ask, Proceed
from homeostat.errors import CheckpointError, ConfigError, TraceError

CLICK = '{"action": "click", "coordinate": [3, 3]}'
DONE = '{"action": "terminate", "status": "success"}'
LINES = [CLICK, CLICK, CLICK, DONE]


class Policy:
    name, sensors = "policy", frozenset()

    def __init__(self, decide: Any) -> None:
        self.decide = decide


class Die(BaseException):
    """Ends a process as a kill would: nothing handles it."""


def die_at(number: int) -> Any:
    def hook(calls: int) -> None:
        if calls == number:
            raise Die

    return hook


def plain(events: Any) -> list[dict[str, Any]]:
    """Events without what differs from run to run."""
    return [e.model_dump(exclude={"seconds", "run"}) for e in events]


@pytest.fixture
def whole(tools: Any, tmp_path: Path) -> Any:
    """The trace of a run that nothing disturbed."""
    env = tools.Lamp()
    Agent(tools.Scripted(LINES), [tools.Counter()]).run(env.reset_task("lamp_on"), env, run_folder=tmp_path / "whole")
    return read_trace(tmp_path / "whole")


def test_the_trace_is_the_stream(tools: Any, lamp: Any, tmp_path: Path) -> None:
    agent = Agent(tools.Scripted(LINES), [tools.Counter()])
    events = list(agent.start(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "a", seed=5))
    trace = read_trace(tmp_path / "a")
    assert plain(trace.events) == plain(events)
    assert not trace.partial
    assert trace.start.seed == 5
    assert trace.start.run == "a"
    assert trace.finish == events[-1]
    assert len(trace.attempts) == len(trace.acts) == 4
    for event in events:
        if isinstance(event, Observe):
            assert np.array_equal(np.asarray(trace.screenshot(event.screen)), event.screenshot)


@pytest.mark.parametrize("call", [1, 2, 4])
def test_a_killed_run_resumes_to_the_same_trace(tools: Any, lamp: Any, tmp_path: Path, whole: Any, call: int) -> None:
    folder = tmp_path / "run"
    with pytest.raises(Die):
        Agent(tools.Scripted(LINES, die_at(call)), [tools.Counter()]).run(
            lamp.reset_task("lamp_on"), lamp, run_folder=folder
        )
    fresh = tools.Lamp()
    rest = Agent(tools.Scripted(LINES[call - 1 :]), [tools.Counter()])
    episode = rest.resume(folder, fresh).result
    assert (episode.ended, episode.success, episode.steps, episode.calls) == ("success", True, 4, 4)
    assert fresh.state["log"] == ["click", "click", "click", "terminate"]
    assert plain(read_trace(folder).events)[1:] == plain(whole.events)[1:]


def test_events_after_the_checkpoint_are_not_told_twice(tools: Any, lamp: Any, tmp_path: Path, whole: Any) -> None:
    class Torn(tools.Lamp):
        def act(self, action: Any) -> None:
            super().act(action)
            if len(self.state["log"]) == 2:
                raise Die  # carried out, but neither traced nor checkpointed

    folder, env = tmp_path / "run", Torn()
    with pytest.raises(Die):
        Agent(tools.Scripted(LINES), [tools.Counter()]).run(env.reset_task("lamp_on"), env, run_folder=folder)
    _ = Agent(tools.Scripted(LINES[2:]), [tools.Counter()]).resume(folder, lamp).result
    assert lamp.state["log"] == ["click", "click", "click", "terminate"]
    assert plain(read_trace(folder).events)[1:] == plain(whole.events)[1:]


def test_a_resume_between_attempt_and_reading_makes_the_attempt_again(tools: Any, lamp: Any, tmp_path: Path) -> None:
    class Deadly(tools.Counter):
        def read(self, attempt: Any, context: Any) -> Any:
            raise Die

    with pytest.raises(Die):
        Agent(tools.Scripted([CLICK]), [Deadly()]).run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    episode = Agent(tools.Scripted([CLICK, DONE]), [tools.Counter()]).resume(tmp_path / "run", tools.Lamp()).result
    assert episode.success


@pytest.mark.parametrize(("kind", "asked"), [("observe", 3), ("sense", 2), ("decide", 2), ("act", 2)])
def test_a_run_that_is_closed_at_an_event_has_the_events_state(
    tools: Any, lamp: Any, tmp_path: Path, whole: Any, kind: str, asked: int
) -> None:
    folder = tmp_path / "run"
    with Agent(tools.Scripted(LINES), [tools.Counter()]).start(
        lamp.reset_task("lamp_on"), lamp, run_folder=folder
    ) as run:
        for event in run:
            if event.kind == kind and event.step == 1:
                break
    rest = tools.Scripted(LINES[-asked:])
    episode = Agent(rest, [tools.Counter()]).resume(folder, tools.Lamp()).result
    assert (episode.ended, episode.steps, episode.calls) == ("success", 4, 4)
    assert len(rest.prompts) == asked  # an answer that was read and judged is not asked for again
    assert plain(read_trace(folder).events)[1:] == plain(whole.events)[1:]


def test_nothing_is_written_that_brings_nothing_back(tools: Any, lamp: Any, tmp_path: Path) -> None:
    import sqlite3

    folder = tmp_path / "run"
    Agent(tools.Scripted(LINES)).run(lamp.reset_task("lamp_on"), lamp, run_folder=folder)
    assert not (folder / "intents.jsonl").exists()  # the lamp can be put back
    with sqlite3.connect(folder / "checkpoint.sqlite") as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in ("checkpoints", "writes")]
    connection.close()
    # The input twice (LangGraph's own and the state's), the decision before the first attempt, two in each of the four
    # steps (the decision and the action), and the end. A node's writes stand in its checkpoint.
    assert counts == [2 + 1 + 2 * 4 + 1, 0]


def test_an_ended_run_is_returned_as_it_ended(tools: Any, lamp: Any, tmp_path: Path) -> None:
    model = tools.Scripted(LINES)
    first = Agent(model).run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    size = (tmp_path / "run" / "trace.jsonl").stat().st_size
    again = Agent(model).resume(tmp_path / "run", tools.Lamp()).result
    assert again.model_dump(exclude={"seconds"}) == first.model_dump(exclude={"seconds"})
    assert len(model.prompts) == 4
    assert (tmp_path / "run" / "trace.jsonl").stat().st_size == size


def test_a_question_is_answered_in_a_later_process(tools: Any, lamp: Any, tmp_path: Path) -> None:
    def ask(readings: Any, context: Any) -> Any:
        return Ask(question="sure?") if context.step == 1 and not context.decisions else Proceed()

    folder, model = tmp_path / "run", tools.Scripted([CLICK, DONE])
    agent = Agent(model, controllers=[Policy(ask)])
    asked = list(agent.start(lamp.reset_task("lamp_on"), lamp, run_folder=folder))
    assert asked[-1].ended == "asked"
    assert agent.resume(folder, tools.Lamp()).result.question == "sure?"
    episode = agent.resume(folder, tools.Lamp(), answer="yes").result
    assert episode.success
    assert tools.words(model.prompts[-1], "reminder") == "Reminder: The user answered: yes\n"
    kinds = [e.kind for e in read_trace(folder).events]
    assert kinds.count("ask") == kinds.count("finish") == 1


SCRIPT = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("doubles", sys.argv[1])
doubles = importlib.util.module_from_spec(spec); spec.loader.exec_module(doubles)
from homeostat.agent import Agent
def hook(calls):
    if calls == 3:
        import os, signal
        os.kill(os.getpid(), getattr(signal, sys.argv[3]))
lines = [doubles.call("click", coordinate=[3, 3])] * 3 + [doubles.call("terminate", status="success")]
env = doubles.Lamp()
model = doubles.ScriptedModel(lines, hook)
episode = Agent(model, [doubles.Counter()]).run(env.reset_task("lamp_on"), env, run_folder=sys.argv[2])
print(episode.ended, episode.steps)
"""


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGKILL"])
def test_a_signal_leaves_a_run_that_another_process_ends(tools: Any, tmp_path: Path, whole: Any, name: str) -> None:
    folder = tmp_path / "run"
    doubles = Path(__file__).with_name("conftest.py")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(doubles), str(folder), name],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    if name == "SIGKILL":
        assert done.returncode == -signal.SIGKILL
    else:
        assert done.stdout == "paused 2\n", done.stderr
    env = tools.Lamp()
    rest = LINES[2:] if name == "SIGKILL" else LINES[3:]  # the loop stops once the third answer is read and judged
    episode = Agent(tools.Scripted(rest), [tools.Counter()]).resume(folder, env).result
    assert (episode.ended, episode.steps, episode.calls) == ("success", 4, 4)
    assert env.state["log"] == ["click", "click", "click", "terminate"]
    acts = [e for e in read_trace(folder).events if isinstance(e, Act)]
    assert [a.snapshot for a in acts] == [a.snapshot for a in whole.acts]
    assert isinstance(read_trace(folder).events[-1], Finish)


def paused_run(tools: Any, folder: Path) -> None:
    env = tools.Lamp()
    with pytest.raises(Die):
        Agent(tools.Scripted(LINES, die_at(3))).run(env.reset_task("lamp_on"), env, run_folder=folder)


@pytest.mark.parametrize("size", [0, 100, 3000, 5000])
def test_a_truncated_checkpoint_is_one_clear_line(tools: Any, lamp: Any, tmp_path: Path, size: int) -> None:
    paused_run(tools, tmp_path)
    before = (tmp_path / "trace.jsonl").read_bytes()
    for extra in ("-wal", "-shm"):
        (tmp_path / f"checkpoint.sqlite{extra}").unlink(missing_ok=True)
    path = tmp_path / "checkpoint.sqlite"
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(CheckpointError, match="checkpoint") as caught:
        _ = Agent(tools.Scripted(LINES)).resume(tmp_path, lamp).result
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (tmp_path / "trace.jsonl").read_bytes() == before


def test_garbage_in_the_checkpoint_is_one_clear_line(tools: Any, lamp: Any, tmp_path: Path) -> None:
    import sqlite3

    paused_run(tools, tmp_path)
    with sqlite3.connect(tmp_path / "checkpoint.sqlite") as connection:
        connection.execute("UPDATE checkpoints SET checkpoint = substr(checkpoint, 1, 40)")
    connection.close()
    with pytest.raises(CheckpointError, match="can't be read"):
        _ = Agent(tools.Scripted(LINES)).resume(tmp_path, lamp).result


def test_a_missing_run_and_a_damaged_snapshot(tools: Any, lamp: Any, tmp_path: Path) -> None:
    agent = Agent(tools.Scripted(LINES))
    with pytest.raises(CheckpointError, match="no checkpoint"):
        _ = agent.resume(tmp_path / "nowhere", lamp).result
    paused_run(tools, tmp_path / "run")
    for path in (tmp_path / "run" / "snapshots").iterdir():
        path.write_text("{")
    with pytest.raises(CheckpointError, match="is damaged"):
        _ = agent.resume(tmp_path / "run", lamp).result


def test_a_folder_with_a_run_is_not_written_over(tools: Any, lamp: Any, tmp_path: Path) -> None:
    agent = Agent(tools.Scripted(LINES))
    agent.run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    with pytest.raises(ConfigError, match="already holds a run"):
        agent.run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "run")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="can't write"):
        agent.run(lamp.reset_task("lamp_on"), lamp, run_folder=tmp_path / "file" / "run")


def test_the_checkpoint_does_not_grow_with_the_episode(tools: Any, tmp_path: Path) -> None:
    sizes = []
    for steps in (10, 40):
        env, folder = tools.Lamp(), tmp_path / str(steps)
        task = env.reset_task("lamp_on").model_copy(update={"max_steps": steps})
        Agent(tools.Scripted([CLICK]), [tools.Counter()]).run(task, env, run_folder=folder)
        sizes.append((folder / "checkpoint.sqlite").stat().st_size)
    assert sizes[1] < 4 * sizes[0]


def test_a_partial_last_line_loses_only_itself(whole: Any) -> None:
    path = whole.folder / "trace.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    trace = read_trace(whole.folder)
    assert trace.partial
    assert trace.events == whole.events[:-1]


@pytest.mark.parametrize("line", ["{", json.dumps({"kind": "dance"}), json.dumps({"kind": "observe"}), ""])
def test_a_malformed_line_is_named(whole: Any, line: str) -> None:
    path = whole.folder / "trace.jsonl"
    lines = path.read_text().split("\n")
    lines[2] = line
    path.write_text("\n".join(lines))
    with pytest.raises(TraceError, match=r"trace\.jsonl:3: ") as caught:
        read_trace(whole.folder)
    assert "\n" not in str(caught.value)


def test_no_trace_and_no_screenshot(whole: Any, tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="no trace"):
        read_trace(tmp_path / "nowhere")
    with pytest.raises(TraceError, match="missing or damaged"):
        whole.screenshot("0" * 64)
