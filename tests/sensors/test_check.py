"""check_sensor passes what keeps the contract and names what breaks it."""

import itertools
import math

import pytest

from homeostat.errors import ConfigError
from homeostat.sensors import Reading, check_sensor


class Good:
    name = "good"
    needs = frozenset({"text"})

    def read(self, attempt, context):
        return Reading(sensor=self.name, value=float(len(attempt.text)))


def test_a_good_sensor_passes():
    check_sensor(Good())


class NoName(Good):
    name = ""


class ListOfNeeds(Good):
    needs = ["text"]  # noqa: RUF012


class UnknownNeed(Good):
    needs = frozenset({"telepathy"})


class NoRead:
    name = "no_read"
    needs = frozenset({"text"})


class Divides(Good):
    def read(self, attempt, context):
        return Reading(sensor=self.name, value=1 / len(attempt.text))


class WantsSpans(Good):
    needs = frozenset({"attention"})

    def read(self, attempt, context):
        return Reading(sensor=self.name, value=float(attempt.spans.of("goal").sum()))


class WantsMore(Good):
    def read(self, attempt, context):
        return Reading(sensor=self.name, value=attempt.logprobs[0])


class LongOnly(Good):
    def read(self, attempt, context):
        if attempt.finish == "length":
            raise RuntimeError("too long")
        return Reading(sensor=self.name, value=0.0)


class Dict(Good):
    def read(self, attempt, context):
        return {"value": 1.0}


class OtherName(Good):
    def read(self, attempt, context):
        return Reading(sensor="somebody", value=1.0)


class NotFinite(Good):
    def read(self, attempt, context):
        return Reading(sensor=self.name, value=0.0, detail={"entropy": math.nan})


class TwoLines(Good):
    def read(self, attempt, context):
        return Reading(sensor=self.name, value=0.0, reason="one\ntwo")


class Counts(Good):
    def __init__(self):
        self.calls = 0

    def read(self, attempt, context):
        self.calls += 1
        return Reading(sensor=self.name, value=0.0)


class Wavers(Good):
    numbers = itertools.count()

    def read(self, attempt, context):
        return Reading(sensor=self.name, value=float(next(self.numbers)))


class Writes(Good):
    needs = frozenset({"attention"})

    def read(self, attempt, context):
        attempt.spans.mass[:] = 0
        return Reading(sensor=self.name, value=0.0)


class WritesContext(Good):
    def read(self, attempt, context):
        context.observation.screenshot[:] = 1
        return Reading(sensor=self.name, value=0.0)


class TripsOverHistory(Good):
    def read(self, attempt, context):
        return Reading(sensor=self.name, value=0.0 if not context.history else context.history[-2].value)


class NeedsModel(Good):
    needs = frozenset({"model"})

    def read(self, attempt, context):
        return Reading(sensor=self.name, value=float(context.model))


@pytest.mark.parametrize(
    ("sensor", "says"),
    [
        (NoName(), "name is ''"),
        (ListOfNeeds(), r"needs=\['text'\]"),
        (UnknownNeed(), "needs 'telepathy', which is unknown"),
        (NoRead(), "'NoRead' is not a sensor; it needs name, needs and a method read"),
        (Divides(), "ZeroDivisionError.*an empty attempt"),
        (WantsSpans(), "KeyError.*without the usual spans"),
        (WantsMore(), "IndexError.*a usual attempt"),
        (LongOnly(), "too long.*a long attempt"),
        (Dict(), "returned 'dict'"),
        (OtherName(), "reading of 'somebody'"),
        (NotFinite(), "entropy=nan"),
        (TwoLines(), "one line"),
        (Counts(), "changed itself"),
        (Wavers(), "read a usual attempt twice"),
        (Writes(), "changed its attempt or context"),
        (WritesContext(), "changed its attempt or context"),
        (TripsOverHistory(), "IndexError.*with history"),
        (NeedsModel(), r"call check_sensor\(sensor, model=...\)"),
    ],
    ids=lambda v: type(v).__name__ if not isinstance(v, str) else "",
)
def test_a_broken_sensor_is_named_with_what_is_wrong(sensor, says):
    with pytest.raises(ConfigError, match=says) as caught:
        check_sensor(sensor)
    assert "\n" not in str(caught.value).replace("'one\\ntwo'", "")


def test_a_model_is_handed_to_the_sensor_that_needs_one():
    check_sensor(NeedsModel(), model=3)
