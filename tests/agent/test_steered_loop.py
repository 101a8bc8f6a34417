"""Steering in the loop: what reaches the model, when it ends, and that it costs nothing it should not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from homeostat.agent import Agent, TransformersModel
from homeostat.agent.prompts import act_prompt
from homeostat.controllers import Cascade, Pull, Remind, SetPoint, Steer
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError
from homeostat.sensors import Actuator, AttentionDrift

MORE = Actuator("goal", gain=4.0)


@pytest.fixture(scope="module")
def nano() -> TransformersModel:
    return TransformersModel.load("homeostat/nano")


@pytest.fixture(scope="module")
def prompt(nano: TransformersModel) -> Any:
    env = PhoneEnv(split="dev")
    task = env.reset_task("notes_add", seed=3)
    return act_prompt(nano.style, goal=task.goal, rules=(), history=(), observation=env.observe())


def test_a_steered_call_is_read_as_steered_and_leaves_the_cache_alone(nano: TransformersModel, prompt: Any) -> None:
    (plain,) = nano.generate(prompt)
    (steered,) = nano.generate(prompt, steer=(MORE,))
    (again,) = nano.generate(prompt)
    assert again.cached_tokens > 0
    assert steered.cached_tokens == 0
    np.testing.assert_allclose(again.spans.mass, plain.spans.mass, atol=2e-5)
    assert steered.spans.of("goal").mean() > 1.5 * plain.spans.of("goal").mean()
    target = Actuator("goal", target=0.6)
    (held,) = nano.generate(prompt, steer=(target,))
    np.testing.assert_allclose(held.spans.of("goal"), 0.6, atol=1e-3)
    (blind,) = nano.generate(prompt, steer=(MORE,), watch=False)
    assert blind.spans is None
    assert blind.tokens == steered.tokens
    np.testing.assert_allclose(blind.logprobs, steered.logprobs, atol=1e-4)


class Recording:
    """The model, with what each call was steered by."""

    def __init__(self, model: TransformersModel) -> None:
        self._model, self.steered = model, []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    def generate(self, prompt: Any, **settings: Any) -> Any:
        self.steered.append(settings.get("steer", ()))
        return self._model.generate(prompt, **settings)


def run(model: Any, controllers: list[Any], sensors: list[Any] | None = None) -> tuple[Recording, list[Any]]:
    watched, env = Recording(model), PhoneEnv(split="dev")
    agent = Agent(watched, sensors or [], controllers)  # type: ignore[arg-type]
    events = list(agent.start(env.reset_task("notes_add", seed=1), env))
    return watched, events


def test_always_steers_every_attempt_and_spends_none(nano: TransformersModel) -> None:
    bare, events = run(nano, [])
    gentle = Steer(actuators=(Actuator("goal", gain=1.001),), when="always")
    model, steered = run(nano, [gentle])
    assert model.steered == [gentle.actuators] * len(bare.steered)
    assert [e.action for e in steered if e.kind == "act"] == [e.action for e in events if e.kind == "act"]
    holds = [e for e in steered if e.kind == "decide" and e.decision.kind == "hold"]
    assert [(e.phase, e.controller) for e in holds] == [("start", "steer")]


class Once:
    """An alarm at the second step's first attempt."""

    name = "once"
    needs = frozenset({"text"})

    def __init__(self, threshold: float | None = None) -> None:
        self.threshold = threshold

    def read(self, attempt: Any, context: Any) -> Any:
        from homeostat.sensors import Reading

        alarm = context.step == 1 and context.attempt == 0
        return Reading(sensor=self.name, value=float(alarm), threshold=self.threshold, alarm=alarm, span="goal")


def test_an_alarm_steers_one_step_and_a_span_that_is_not_there_is_left_out(nano: TransformersModel) -> None:
    actuators = (MORE, Actuator("reminder", gain=2.0))
    model, events = run(nano, [Steer(actuators=actuators)], [Once()])
    assert model.steered[:4] == [(), (), (MORE,), ()]
    senses = [(e.step, e.attempt) for e in events if e.kind == "sense"]
    assert senses[:4] == [(0, 0), (1, 0), (1, 1), (2, 0)]


def test_a_reminder_with_a_pull_is_one_attempt_and_steers_its_step_alone(nano: TransformersModel) -> None:
    both = Remind(sensors=frozenset({"once"}), pull=Pull(sensor="once", base=4.0))
    model, events = run(nano, [both], [Once(threshold=0.0)])
    assert model.steered[:4] == [(), (), (MORE,), ()]
    senses = [(e.step, e.attempt, bool(e.reminder)) for e in events if e.kind == "sense"]
    assert senses[:4] == [(0, 0, False), (1, 0, False), (1, 1, True), (2, 0, False)]


def test_a_set_point_is_held_over_an_episode(nano: TransformersModel) -> None:
    drift = [AttentionDrift()]
    _, plain = run(nano, [], drift)

    def levels(events: list[Any]) -> list[float]:
        return [e.readings[0].by_span["goal"].intensity for e in events if e.kind == "sense"]

    target = 1.2 * float(np.mean(levels(plain)))
    model, events = run(nano, [Cascade([SetPoint(set_point=target)])], drift)
    before, after = np.array(levels(plain)), np.array(levels(events))
    assert np.abs(np.log(after[3:] / target)).mean() < np.abs(np.log(before[3:] / target)).mean()
    assert any(model.steered)
    assert all(len(s) <= 1 for s in model.steered)


def test_a_run_that_was_killed_goes_on_steered(nano: TransformersModel, tmp_path: Any, caplog: Any) -> None:
    actuators = (Actuator("goal", gain=1.25, heads=frozenset({(0, 1), (2, 0)})), Actuator(((0, 1),), gain=0.9))
    steer, env = Steer(actuators=actuators, when="always"), PhoneEnv(split="dev")
    events = Agent(nano, [], [steer]).start(env.reset_task("notes_add", seed=1), env, run_folder=tmp_path / "run")
    acts = 0
    for event in events:
        acts += event.kind == "act"
        if acts == 3:
            break
    events.close()  # type: ignore[attr-defined]
    model, other = Recording(nano), PhoneEnv(split="dev")
    episode = Agent(model, [], [steer]).resume(tmp_path / "run", other).result  # type: ignore[arg-type]
    assert episode.success
    assert model.steered
    assert set(model.steered) == {actuators}
    assert "Blocked" not in caplog.text
    assert "reconstruct" not in caplog.text


class TwoFaced:
    """Holds each time it is asked: it is heard once an attempt."""

    name = "two-faced"
    sensors = frozenset()
    needs = frozenset({"steering"})

    def decide(self, readings: Any, context: Any) -> Any:
        from homeostat.controllers import HoldAttention

        return HoldAttention(actuators=(Actuator("goal", gain=1.001),))


def test_a_controller_that_holds_for_ever_does_not_hang_the_loop(nano: TransformersModel) -> None:
    _, events = run(nano, [TwoFaced()])
    assert events[-1].kind == "finish"
    assert events[-1].success
    held = [(e.phase, e.step, e.attempt) for e in events if e.kind == "decide" and e.decision.kind == "hold"]
    assert held
    assert len(held) == len(set(held))


class Remote:
    """A model behind an API."""

    name = "remote"
    capabilities = frozenset({"text"})


def test_a_model_that_cannot_be_steered_is_refused() -> None:
    both = Remind(sensors=frozenset({"attention_drift"}), pull=Pull(sensor="attention_drift"))
    for controller in (Steer(actuators=(MORE,)), Cascade([SetPoint(set_point=1.0)]), both):
        with pytest.raises(ConfigError, match=r"needs attention steering, which 'remote' does not offer"):
            Agent(Remote(), [AttentionDrift()], [controller], allow_degraded=True)  # type: ignore[arg-type]
