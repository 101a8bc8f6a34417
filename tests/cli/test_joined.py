"""Decompose in the real loop on the real phone: parts in fresh contexts, the first one's answer in the second.

The executor is a double that plays the phone's oracle for the one part that its prompt shows. It knows nothing of the
other, so an episode succeeds only if the plan, the dispatches and the carried value are right.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from homeostat.actions import Terminate
from homeostat.agent import Agent
from homeostat.agent.prompts import VERBOSE
from homeostat.controllers import controllers_for
from homeostat.envs.mobile_use import Grid, format_action
from homeostat.envs.phone import PhoneEnv
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.chat.messages import Prompt

STYLE = VERBOSE.model_copy(update={"goal": "{goal}", "planner_goal": "{goal}"})


class OnePart:
    """Does the part that stands in the prompt, and terminates when that is reached."""

    name = "one-part"
    style = STYLE
    capabilities = frozenset(("text",))

    def __init__(self, env: PhoneEnv) -> None:
        self.env = env
        self.goals: list[str] = []

    def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
        parts = {part.label: part.text for message in prompt.messages for part in message.parts}
        if parts["system"] == STYLE.planner_system:
            return [Attempt(text=json.dumps({"parts": self.env.info.parts}))]
        goal, joined = parts["goal"], self.env.instance
        if goal not in self.goals:
            self.goals.append(goal)
            assert "nothing" in parts["history"]  # a fresh context
        first = goal == self.env.info.parts[0]
        answers = self.env.answers if first else ()
        part = joined.first if first else joined.second
        if part.reached(self.env.device, answers) if first else joined.reached(self.env.device, self.env.answers):
            action: Any = Terminate(status="success")
        else:
            action = part.oracle(self.env.device, answers)
        height, width = self.env.observe().screenshot.shape[:2]
        return [Attempt(text=format_action(action, Grid(width, height)))]


@pytest.mark.parametrize("task", ["joined_plain", "joined_carried"])
def test_joined_tasks_are_done_part_by_part(task: str) -> None:
    env = PhoneEnv(task=None, split="train")
    for seed in range(6):
        model = OnePart(env)
        info = env.reset_task(task, seed=seed)
        episode = Agent(model, (), [controllers_for("decompose")]).run(info, env, seed=seed)
        assert episode.success, (seed, info.goal, episode.reason, model.goals)
        assert [r.kind for r in episode.decisions] == ["plan", "dispatch", "dispatch"]
        assert {r.controller for r in episode.decisions} == {"decompose"}
        assert len(model.goals) == 2
        assert "{1}" not in model.goals[1]
        if task == "joined_carried":
            assert "{1}" in info.parts[1]
            assert model.goals[1] == info.parts[1].replace("{1}", env.answers[0])


def test_bare_the_same_executor_fails_for_it_never_sees_a_part() -> None:
    env = PhoneEnv(task=None, split="train")
    info = env.reset_task("joined_plain", seed=0)
    episode = Agent(OnePart(env)).run(info, env, seed=0)
    assert not episode.success
