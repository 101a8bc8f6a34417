"""The loop on the phone simulator with the shipped controllers, and resuming there from a snapshot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from homeostat.agent import VERBOSE, Agent, read_trace
from homeostat.agent.events import Decide, Sense
from homeostat.controllers import Cascade, Decompose, Remind
from homeostat.envs.mobile_use import format_action
from homeostat.envs.phone import PhoneEnv
from homeostat.sensors.attempts import Attempt


class Die(BaseException):
    """Ends a run as a kill would."""


class Oracle:
    """Says what the phone's own oracle would do; asked for a plan, it gives the task's parts. Dies at call ``die``."""

    name, style, capabilities = "oracle", VERBOSE, frozenset(("text",))

    def __init__(self, env: PhoneEnv, die: int = 0, garble: int = 0) -> None:
        self.env, self.die, self.garble, self.calls = env, die, garble, 0
        self.goals: list[str] = []

    def generate(self, prompt: Any, **settings: Any) -> list[Attempt]:
        self.calls += 1
        if self.calls == self.die:
            raise Die
        if self.calls == self.garble:
            return [Attempt(text="hm")]
        self.goals += [p.text for m in prompt.messages for p in m.parts if p.label == "goal"]
        if any(p.text == self.style.planner_system for m in prompt.messages for p in m.parts):
            return [Attempt(text=json.dumps({"parts": list(self.env.info.parts)}))]
        grid = self.style.grid(self.env.observe())
        return [Attempt(text=format_action(self.env.oracle(), grid), tokens=(1,))]


@pytest.mark.parametrize("seed", range(6))
def test_the_oracle_solves_random_tasks_through_the_loop(seed: int) -> None:
    env = PhoneEnv()
    task = env.reset_task("random", seed=seed)
    episode = Agent(Oracle(env)).run(task, env)
    assert episode.success, episode
    assert episode.steps == task.optimal_steps


@pytest.mark.parametrize("die", [2, 4, 5])
def test_a_killed_run_resumes_on_another_phone(tmp_path: Path, die: int) -> None:
    env = PhoneEnv()
    task = env.reset_task("joined_plain", seed=3)
    controllers = [Cascade([Remind()])]
    with pytest.raises(Die):
        Agent(Oracle(env, die), controllers=controllers).run(task, env, run_folder=tmp_path / "run")
    other = PhoneEnv()
    episode = Agent(Oracle(other), controllers=controllers).resume(tmp_path / "run", other).result
    assert episode.success, episode
    assert episode.steps == task.optimal_steps
    assert len(read_trace(tmp_path / "run").acts) == task.optimal_steps


def test_a_plan_survives_a_kill(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Killed after the dispatch: the plan, its active part and the records of decisions come back typed."""
    env = PhoneEnv()
    task = env.reset_task("joined_plain", seed=3)
    controllers = [Cascade([Decompose(), Remind()])]
    with pytest.raises(Die):
        Agent(Oracle(env, die=4, garble=3), controllers=controllers).run(task, env, run_folder=tmp_path / "run")
    other = PhoneEnv()
    model = Oracle(other)
    _ = Agent(model, controllers=controllers).resume(tmp_path / "run", other).result
    assert not [r for r in caplog.records if "deserializ" in r.message.lower()]
    assert model.goals[0] == VERBOSE.goal.format(goal=task.parts[0])
    trace = read_trace(tmp_path / "run")
    taken = [(e.controller, e.decision.kind) for e in trace.events if isinstance(e, Decide) if e.controller]
    assert taken[:3] == [("decompose", "plan"), ("decompose", "dispatch"), ("remind", "remind")]
    shown = [e.instruction for e in trace.events if isinstance(e, Sense)]
    assert shown[0] == task.parts[0]
    assert task.goal not in shown
