"""Steer and SetPoint: when they act, with what, and that the loop closes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from homeostat.actions import Wait
from homeostat.controllers import (
    Cascade,
    ControlContext,
    Decompose,
    HeadProfile,
    HoldAttention,
    MakePlan,
    Proceed,
    Record,
    SetPoint,
    Steer,
    SteerAttention,
    check_controller,
    controllers_for,
)
from homeostat.errors import ConfigError
from homeostat.sensors import Actuator, HeadWeights, Reading, SpanReading

MORE = (Actuator("goal", gain=3.0),)


def context(step: int = 0, **changes: object) -> ControlContext:
    data = {"phase": "attempt", "goal": "g", "instruction": "g", "step": step, "max_steps": 20, "action": Wait()}
    return ControlContext.model_validate(data | changes)


def alarm(sensor: str = "attention_drift") -> Reading:
    return Reading(sensor=sensor, value=-2.0, threshold=-1.0, alarm=True, span="goal")


def record(step: int, kind: str, controller: str = "steer", memory: float = 0.0, attempt: int = 0) -> Record:
    return Record(step=step, attempt=attempt, controller=controller, kind=kind, memory=memory)


def test_an_alarm_steers_this_step_within_cooldown_and_budget() -> None:
    steer = Steer(actuators=MORE, cooldown=3, budget=2)
    assert steer.decide([alarm()], context()) == SteerAttention(actuators=MORE, cause="attention_drift:goal")
    assert steer.decide([], context()) == Proceed()
    assert steer.decide([alarm()], context(phase="start", action=None)) == Proceed()
    assert steer.decide([alarm()], context(4, decisions=(record(2, "steer"),))) == Proceed()
    assert isinstance(steer.decide([alarm()], context(5, decisions=(record(2, "steer"),))), SteerAttention)
    assert steer.decide([alarm()], context(9, decisions=(record(1, "steer"), record(5, "steer")))) == Proceed()
    deaf = Steer(actuators=MORE, sensors=frozenset({"confidence"}))
    assert deaf.decide([alarm()], context()) == Proceed()


def test_always_holds_once_from_whichever_phase_it_is_heard_in_first() -> None:
    steer = Steer(actuators=MORE, when="always")
    for phase in ("start", "attempt"):
        asked = context(phase=phase, action=None)
        assert steer.decide([], asked) == HoldAttention(actuators=MORE, cause="always")
    assert steer.decide([], context(3, decisions=(record(0, "hold"),))) == Proceed()


def test_the_presets_have_the_papers_constants() -> None:
    """What each rule does to attention is compared with the authors' in tests/sensors/test_papers.py."""
    heads = frozenset({(3, 2)})
    assert Steer.spotlight().actuators == (Actuator("rules", floor=0.2),)
    assert Steer.pasta(heads=heads).actuators == (Actuator("rules", gain=0.01, reach="outside", heads=heads),)
    assert Steer.instaboost().actuators == (Actuator("goal", gain=3.0, reach="prefix"),)
    act = Actuator(None, scale=0.4, sinks=0.1, heads=heads, from_layer=2, to_layer=-1)
    assert Steer.act(heads).actuators == (act,)
    assert Steer.zero_tuning(0.5).actuators == (Actuator(((0, 1),), gain=0.5),)
    presets = (Steer.spotlight(), Steer.pasta(), Steer.instaboost(), Steer.act(), Steer.zero_tuning(2))
    assert all(s.when == "always" for s in presets)


def test_our_variants_have_names_of_their_own() -> None:
    assert Steer.spotlight_exact().actuators == (Actuator("rules", target=0.2, raise_only=True),)
    assert Steer.pasta_gain(heads=frozenset({(1, 2)})).actuators == (Actuator("rules", gain=100.0, heads={(1, 2)}),)
    assert [a.gain for a in Steer.instaboost_spans().actuators] == [3.0] * 3
    variants = ("spotlight-exact", "pasta-gain", "instaboost-spans", "act-mean", "var-union")
    assert [controllers_for(name).controllers[0].name for name in variants] == list(variants)


def reading(intensity: float) -> Reading:
    return Reading(sensor="attention_drift", value=0.0, by_span={"goal": SpanReading(intensity=intensity)})


def test_proportional_and_integral_by_hand() -> None:
    point = SetPoint(set_point=2.0, k_p=0.5, k_i=0.25)
    first = point.decide([reading(1.0)], context(0))
    error = math.log(2)
    assert isinstance(first, HoldAttention)
    assert first.memory == pytest.approx(0.25 * error)
    assert first.actuators[0].gain == pytest.approx(math.exp(0.75 * error))
    second = point.decide([reading(1.6)], context(1, decisions=(record(0, "hold", "set-point", first.memory),)))
    error = math.log(2 / 1.6)
    assert isinstance(second, HoldAttention)
    assert second.memory == pytest.approx(first.memory + 0.25 * error)
    assert second.actuators[0].gain == pytest.approx(math.exp(0.5 * error + second.memory))


def test_it_settles_at_the_set_point_of_a_plant_and_does_not_wind_up() -> None:
    """A plant whose span has 20 of 100 keys: the intensity under a gain is that of the softmax."""

    def intensity(gain: float) -> float:
        mass = 0.05 * gain / (1 + 0.05 * (gain - 1))
        return mass / 20 * 100

    point, memory, gain = SetPoint(set_point=1.5), 0.0, 1.0
    for step in range(40):
        decision = point.decide(
            [reading(intensity(gain))], context(step, decisions=(record(step - 1, "hold", "set-point", memory),))
        )
        assert isinstance(decision, HoldAttention)
        memory, gain = decision.memory, decision.actuators[0].gain if decision.actuators else 1.0
    assert intensity(gain) == pytest.approx(1.5, rel=1e-2)
    stuck = SetPoint(set_point=5.0, most=1.0)
    memory = 0.0
    for step in range(30):
        held = stuck.decide([reading(0.1)], context(step, decisions=(record(step - 1, "hold", "set-point", memory),)))
        memory = held.memory
    assert memory == 1.0
    assert held.actuators[0].gain == pytest.approx(math.e)


def test_it_acts_once_an_attempt_and_leaves_small_errors_and_missing_readings_alone() -> None:
    point = SetPoint(set_point=1.0)
    assert point.decide([reading(1.01)], context()) == Proceed()
    assert point.decide([], context()) == Proceed()
    assert point.decide([reading(0.0)], context()) == Proceed()
    assert point.decide([reading(0.5)], context(phase="start", action=None)) == Proceed()
    held = (record(2, "hold", "set-point", attempt=1),)
    assert point.decide([reading(0.5)], context(2, attempt=1, decisions=held)) == Proceed()
    assert isinstance(point.decide([reading(0.5)], context(2, attempt=2, decisions=held)), HoldAttention)
    back = point.decide([reading(1.0)], context(3, decisions=(record(2, "hold", "set-point", 0.01),)))
    assert back == HoldAttention(actuators=(), memory=0.01, cause="attention_drift:goal")


def test_a_hold_starves_nobody_in_a_cascade() -> None:
    cascade = Cascade([Steer(actuators=MORE, when="always"), Decompose()])
    start = context(phase="start", action=None)
    first = cascade.decide([], start)
    assert first == HoldAttention(actuators=MORE, cause="always", by="steer")
    held = Record(step=0, attempt=0, controller="steer", kind="hold", phase="start")
    assert isinstance(cascade.decide([], start.model_copy(update={"decisions": (held,)})), MakePlan)
    point = Cascade([SetPoint(set_point=2.0), Steer(actuators=MORE)])
    held = Record(step=0, attempt=0, controller="set-point", kind="hold")
    heard = [reading(1.0), alarm("other")]
    assert isinstance(point.decide(heard, context()), HoldAttention)
    assert isinstance(point.decide(heard, context(decisions=(held,))), SteerAttention)
    taken = tuple(record(s, "steer") for s in range(4))
    assert (
        Cascade([Steer(actuators=MORE, budget=99)], budget=4).decide([alarm()], context(9, decisions=taken))
        == Proceed()
    )


@pytest.mark.parametrize(
    "controller",
    [Steer(actuators=MORE), Steer.spotlight(), Steer.zero_tuning(2.0), SetPoint(set_point=1.0)],
    ids=lambda c: c.name,
)
def test_the_contract_is_kept(controller: object) -> None:
    check_controller(controller)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Steer(actuators=()), "Steer has actuators=()"),
        (lambda: Steer(actuators=MORE, when="never"), "Steer has when='never'"),
        (lambda: SetPoint(set_point=0), "SetPoint has set_point=0"),
        (lambda: SetPoint(set_point=1, k_p=0, k_i=0), "k_p=0 and k_i=0 never steer"),
    ],
)
def test_bad_settings_are_named(make, says) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ConfigError) as caught:
        make()
    assert says in str(caught.value)


def test_each_head_has_its_own_weight_from_a_profile_or_a_file(tmp_path: Path) -> None:
    file = tmp_path / "heads.json"
    file.write_text('{"model": "m", "head_weights": {"goal": [[0, 1, 0.5], [2, 0, 3], [2, 1, 3], [3, 3, 1]]}}')
    (steer,) = controllers_for("head-weights", HeadProfile.load(file)).controllers
    assert isinstance(steer, Steer)
    assert steer.actuators == (
        Actuator("goal", gain=0.5, heads=frozenset({(0, 1)})),
        Actuator("goal", gain=3.0, heads=frozenset({(2, 0), (2, 1)})),
    )
    assert steer.decide([], context(phase="start", action=None)) == HoldAttention(
        actuators=steer.actuators, cause="always"
    )
    again = HeadProfile.load(file)
    again.save(tmp_path / "copy.json")
    assert HeadProfile.load(tmp_path / "copy.json") == again
    whole = Steer.by_head(HeadWeights({(0, 1): 0.5}), span=None)
    assert whole.actuators == (Actuator(None, output=0.5, heads=frozenset({(0, 1)})),)
    check_controller(whole)
    with pytest.raises(ConfigError, match="needs the heads' weights on the span 'goal'"):
        controllers_for("head-weights")
    with pytest.raises(ConfigError, match=r"head \(0, 1\) has two weights"):
        HeadProfile(model="m", head_weights={"goal": ((0, 1, 2.0), (0, 1, 3.0))}).weights_of("goal")
    with pytest.raises(ConfigError, match="actuators="):
        Steer.by_head(HeadWeights({(0, 1): 1.0}))
