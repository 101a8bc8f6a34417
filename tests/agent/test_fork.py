"""A run is forked at a step: the same agent repeats it; another controller or answer differs from there on only."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import Agent, Run, TransformersModel, read_trace
from homeostat.agent.loop.forking import forkable_steps
from homeostat.controllers import Guard, Tabu
from homeostat.controllers.decisions import Decision, Proceed, Stop
from homeostat.envs.phone import PhoneEnv
from homeostat.envs.tools import ToolEnv, tool
from homeostat.errors import CheckpointError, ConfigError
from homeostat.sensors import AttentionDrift
from homeostat.testing import ScriptedModel

BACK = '<tool_call>\n{"name": "mobile_use", "arguments": {"action": "system_button", "button": "Back"}}\n</tool_call>'


class StopsAt:
    """Ends the episode at a step."""

    name = "stops_at"
    sensors: frozenset[str] = frozenset()

    def __init__(self, step: int) -> None:
        self.step = step

    def decide(self, readings: Any, context: Any) -> Decision:
        return Stop(reason="as asked", cause="test") if context.step == self.step else Proceed()


@pytest.fixture(scope="module")
def nano() -> TransformersModel:
    return TransformersModel.load("homeostat/nano")


@pytest.fixture(scope="module")
def agent(nano: TransformersModel) -> Agent:
    return Agent(nano, [AttentionDrift()])


@pytest.fixture(scope="module")
def source(agent: Agent, tmp_path_factory: Any) -> Path:
    folder: Path = tmp_path_factory.mktemp("runs") / "first"
    env = PhoneEnv(split="test")
    task = env.reset_task("notes_add", seed=1)
    assert agent.run(task, env, run_folder=folder, keep_checkpoints=True, record_attention=True).success
    return folder


def told(folder: Path) -> list[Any]:
    """What happened, without the run's id and the seconds; and without figures, whose last digits follow the cache."""
    other = {"seconds", "cached_tokens", "run", "forked_from", "forked_at", "readings", "mass", "logprobs"}
    return [event.model_dump(exclude=other) for event in read_trace(folder).events]


def figures(folder: Path) -> list[float]:
    attempts = read_trace(folder).attempts
    return [n for a in attempts for n in (*a.mass.values(), *a.logprobs, *(float(r.value) for r in a.readings))]


def before(folder: Path, step: int) -> list[Any]:
    return [event for event in told(folder)[1:] if event["step"] < step]


def phone() -> PhoneEnv:
    return PhoneEnv(split="test")


@pytest.mark.parametrize("step", [0, 3, 7])
def test_an_equal_agent_repeats_the_run(agent: Agent, source: Path, tmp_path: Path, step: int) -> None:
    episode = agent.fork(source, step, phone(), new_folder=tmp_path / "fork").result
    assert told(tmp_path / "fork") == told(source)
    assert figures(tmp_path / "fork") == pytest.approx(figures(source), abs=1e-4)
    assert episode.success
    started = read_trace(tmp_path / "fork").start
    assert (started.run, started.forked_from, started.forked_at) == ("fork", "first", step)
    assert {p.name for p in (tmp_path / "fork" / "attention").iterdir()} == {
        p.name for p in (source / "attention").iterdir()
    }


def test_another_controller_keeps_the_steps_before_and_differs_after(
    nano: TransformersModel, source: Path, tmp_path: Path
) -> None:
    kept = told(source)
    other = Agent(nano, [AttentionDrift()], [StopsAt(4)])
    episode = other.fork(source, 3, phone(), new_folder=tmp_path / "fork").result
    assert (episode.ended, episode.steps) == ("stopped", 4)
    assert before(tmp_path / "fork", 3) == before(source, 3)
    assert read_trace(tmp_path / "fork").start.controllers == ("stops_at",)
    assert told(source) == kept  # the earlier run stays as it is


def test_another_answer_is_acted_on_and_the_model_goes_on_by_itself(agent: Agent, source: Path, tmp_path: Path) -> None:
    episode = agent.fork(source, 2, phone(), answer=BACK, new_folder=tmp_path / "fork").result
    assert before(tmp_path / "fork", 2) == before(source, 2)
    trace = read_trace(tmp_path / "fork")
    attempts = [sense for sense in trace.attempts if sense.step == 2]
    assert [sense.text for sense in attempts] == [BACK]
    assert not attempts[0].tokens
    assert trace.acts[2].action != read_trace(source).acts[2].action
    assert episode.steps > 3
    assert all(sense.tokens for sense in trace.attempts if sense.step > 2)


def test_a_killed_fork_still_takes_the_given_answer(agent: Agent, source: Path, tmp_path: Path) -> None:
    agent.fork(source, 2, phone(), answer=BACK, new_folder=tmp_path / "fork").close()
    agent.resume(tmp_path / "fork", phone()).result  # noqa: B018
    assert [s.text for s in read_trace(tmp_path / "fork").attempts if s.step == 2] == [BACK]


def test_a_fork_can_be_forked_before_and_after_where_it_began(agent: Agent, source: Path, tmp_path: Path) -> None:
    first = agent.fork(source, 3, phone(), answer=BACK, new_folder=tmp_path / "one")
    episode = first.result
    assert forkable_steps(tmp_path / "one") == tuple(range(episode.steps))
    again = agent.fork(first, 1, phone()).result
    assert told(again.folder) == told(source)
    assert again.folder == tmp_path / "one-fork1"
    later = agent.fork(episode, 4, phone()).result
    assert told(later.folder) == told(tmp_path / "one")


def test_a_run_that_was_killed_and_resumed_can_be_forked(agent: Agent, source: Path, tmp_path: Path) -> None:
    env = phone()
    run = agent.start(env.reset_task("notes_add", seed=1), env, run_folder=tmp_path / "run", keep_checkpoints=True)
    for event in run:
        if event.kind == "act" and event.step == 2:
            break
    run.close()
    agent.resume(tmp_path / "run", phone()).result  # noqa: B018
    assert forkable_steps(tmp_path / "run") == forkable_steps(source)
    assert agent.fork(tmp_path / "run", 5, phone()).result.success


def test_what_can_not_be_forked_is_said(agent: Agent, nano: TransformersModel, source: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint of step 8; it keeps steps 0 to 7"):
        agent.fork(source, 8, phone())
    env = phone()
    plain = agent.run(env.reset_task("notes_add", seed=1), env, max_steps=1, run_folder=tmp_path / "plain")
    with pytest.raises(CheckpointError, match="it keeps none: start it with --keep-checkpoints"):
        agent.fork(plain, 0, phone())
    with pytest.raises(ConfigError, match="has no folder"):
        agent.fork(agent.run(env.reset_task("notes_add", seed=1), env, max_steps=1), 0, phone())
    with pytest.raises(CheckpointError, match="no checkpoint"):
        agent.fork(tmp_path / "nowhere", 0, phone())
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty"):
        agent.fork(source, 1, phone(), new_folder=tmp_path / "full")
    assert (tmp_path / "full" / "note.txt").read_text() == "mine"
    with pytest.raises(ConfigError, match="give run_folder"):
        agent.start("x", env, keep_checkpoints=True)

    class Device(PhoneEnv):
        restores = False

    with pytest.raises(ConfigError, match="'Device' can't be put back"):
        Agent(nano, [], [Tabu()]).fork(source, 1, Device(split="test"))


def test_a_conversation_is_forked_where_no_tool_has_changed_anything(tmp_path: Path) -> None:
    @tool(changes=False)
    def look(name: str) -> str:
        """Looks a name up."""
        return f"{name} is 7"

    def delete(name: str) -> str:
        """Deletes a name."""
        return "deleted"

    lines = ["look", "delete", "look"]

    def answer(prompt: Any) -> str:
        turns = sum(message.role == "assistant" for message in prompt.messages)
        if turns == len(lines):
            return "done"
        return json.dumps({"name": lines[turns], "arguments": {"name": "Anna"}})

    agent = Agent(ScriptedModel(answer))
    agent.run("go", ToolEnv([look, delete]), run_folder=tmp_path / "run", keep_checkpoints=True)
    assert [act.outcome for act in read_trace(tmp_path / "run").acts] == ["done"] * 4
    with pytest.raises(ConfigError, match=r"step 1 of run .* may have changed something that 'ToolEnv' can't put back"):
        agent.fork(tmp_path / "run", 1, ToolEnv([look, delete]))
    fork = agent.fork(tmp_path / "run", 2, ToolEnv([look, delete]), answer="I stop here.").result
    assert [act.action.kind for act in read_trace(tmp_path / "run-fork2").acts if act.action] == ["call"] * 2 + [
        "answer"
    ]
    assert fork.ended == "finished"


def test_a_failed_call_may_have_changed_something_and_a_refused_one_has_not(tmp_path: Path) -> None:
    def delete(name: str) -> str:
        """Deletes a name."""
        raise RuntimeError("half of it is gone")

    def env(rules: tuple[str, ...] = ()) -> ToolEnv:
        return ToolEnv([delete], rules=rules)

    lines = [json.dumps({"name": "delete", "arguments": {"name": "Anna"}}), "done"]
    Agent(ScriptedModel(lines)).run("go", env(), run_folder=tmp_path / "failed", keep_checkpoints=True)
    assert [act.outcome for act in read_trace(tmp_path / "failed").acts] == ["refused", "done"]
    with pytest.raises(ConfigError, match=r"step 0 of run .* may have changed something"):
        Agent(ScriptedModel(lines)).fork(tmp_path / "failed", 0, env())
    rules = ("never delete anything",)
    guarded = Agent(ScriptedModel(lines), controllers=[Guard()])
    guarded.run("go", env(rules), run_folder=tmp_path / "guarded", keep_checkpoints=True)
    assert [act.outcome for act in read_trace(tmp_path / "guarded").acts] == ["refused", "done"]
    fork = Agent(ScriptedModel(["done"])).fork(tmp_path / "guarded", 0, env(rules)).result
    assert fork.ended == "finished"


def test_without_being_asked_only_the_newest_checkpoints_stay(agent: Agent, source: Path, tmp_path: Path) -> None:
    env = phone()
    agent.run(env.reset_task("notes_add", seed=1), env, run_folder=tmp_path / "plain")
    assert forkable_steps(tmp_path / "plain") == ()
    counts = []
    for folder in (tmp_path / "plain", source):
        with sqlite3.connect(folder / "checkpoint.sqlite") as connection:
            counts.append(connection.execute("SELECT count(*) FROM checkpoints").fetchone()[0])
        connection.close()
    assert counts[0] < counts[1]


def test_a_fork_is_a_run(agent: Agent, source: Path, tmp_path: Path) -> None:
    run = agent.fork(source, 6, phone(), new_folder=tmp_path / "fork")
    assert isinstance(run, Run)
    assert {event.step for event in run if event.kind == "act"} == {6, 7}  # the steps before are not played again
