"""``Pull`` steers on an alarm, by as much as the reading says."""

from __future__ import annotations

import math

import pytest

from homeostat.actions import Wait
from homeostat.controllers import ControlContext, Pull, SteerAttention, check_controller
from homeostat.sensors import Reading

CONTEXT = ControlContext.model_validate(
    {"phase": "attempt", "goal": "g", "instruction": "g", "step": 0, "max_steps": 20, "action": Wait()}
)


def reading(value: float, *, sensor: str = "conflict_probe", span: str | None = "system") -> Reading:
    return Reading(sensor=sensor, value=value, threshold=1.0, alarm=value > 1.0, span=span)


@pytest.mark.parametrize(
    ("value", "slope", "expected"),
    [(1.5, 0.0, 3.0), (1.5, 2.0, 3.0 * math.exp(1.0)), (9.0, 2.0, 30.0), (1.0, 2.0, 3.0), (0.0, 2.0, 3.0)],
)
def test_the_gain_grows_with_the_alarm(value: float, slope: float, expected: float) -> None:
    assert Pull(base=3.0, slope=slope, most=30.0).gain(value, 1.0) == pytest.approx(expected)


def test_it_steers_the_span_of_the_reading_in_its_heads() -> None:
    heads = frozenset({(1, 2), (3, 4)})
    decision = Pull(base=4.0, heads=heads).decide([reading(2.0)], CONTEXT)
    assert isinstance(decision, SteerAttention)
    (rule,) = decision.actuators
    assert (rule.span, rule.gain, rule.heads) == ("system", 4.0, heads)
    assert decision.cause == "conflict_probe:system"
    named = Pull(span="rules").decide([reading(2.0, span=None)], CONTEXT)
    assert isinstance(named, SteerAttention)
    assert named.actuators[0].span == "rules"


@pytest.mark.parametrize("given", [reading(0.5), reading(2.0, sensor="confidence"), reading(2.0, span=None)])
def test_without_an_alarm_of_its_sensor_it_does_nothing(given: Reading) -> None:
    assert Pull().decide([given], CONTEXT).kind == "proceed"


def test_it_keeps_the_contract() -> None:
    check_controller(Pull())
