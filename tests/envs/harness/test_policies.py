"""Players without a model."""

from __future__ import annotations

import random

import pytest

from homeostat.actions import Click, SystemButton, Terminate
from homeostat.envs.harness import Case, PolicyRunner, load_suite, make_env
from homeostat.envs.harness.policies import random_action
from homeostat.errors import ConfigError, UnknownName


def test_chance_clicks_what_is_there() -> None:
    env = make_env("phone")
    env.reset_task("clock_timer", seed=1)
    boxes = [e.box for e in env.observe().elements]
    rng = random.Random(0)
    actions = [random_action(env, rng) for _ in range(2000)]
    for action in actions:
        if isinstance(action, Click):
            x, y = action.point
            assert any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)
    assert sum(isinstance(a, Terminate) for a in actions) / 2000 == pytest.approx(0.05, abs=0.02)
    assert sum(isinstance(a, SystemButton) for a in actions) / 2000 == pytest.approx(0.10, abs=0.03)


def test_chance_is_the_same_every_time_and_seldom_right() -> None:
    cases = load_suite("atomic", seed=2, episodes=20).cases()
    runner = PolicyRunner("random")
    first = [runner.run(i, c) for i, c in enumerate(cases)]
    again = [PolicyRunner("random").run(i, c) for i, c in enumerate(cases)]
    assert [(r.ended, r.steps) for r in first] == [(r.ended, r.steps) for r in again]
    assert sum(r.success for r in first) <= 4
    assert {r.ended for r in first} <= {"budget", "premature", "success"}
    assert all(r.steps == r.optimal_steps * 2 + 5 for r in first if r.ended == "budget")


def test_limits_end_an_episode() -> None:
    case = Case("settings_volume", 3)
    short = PolicyRunner("oracle", max_steps=2).run(0, case)
    assert (short.ended, short.steps, short.success) == ("budget", 2, False)
    assert short.reason == "all 2 steps were used"
    slow = PolicyRunner("oracle", seconds=0.01, delay=0.02).run(0, case)
    assert (slow.ended, slow.steps, slow.reason) == ("budget", 1, "all 0.01 s were used")


def test_options_reach_the_environment() -> None:
    runner = PolicyRunner("oracle", split="dev", options={"scale": 3})
    runner.run(0, Case("settings_volume", 3))
    assert runner.env.observe().screenshot.shape == (768, 432, 3)
    with pytest.raises(UnknownName, match="unknown option 'size'"):
        PolicyRunner("oracle", options={"size": 3})
    with pytest.raises(UnknownName, match="unknown policy 'orakel'; did you mean 'oracle'"):
        PolicyRunner("orakel")
    with pytest.raises(ConfigError, match="delay -1"):
        PolicyRunner("oracle", delay=-1)
