"""check_controller catches what breaks the contract; the exported names are pinned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import homeostat.controllers as controllers
from homeostat.actions import Swipe, Terminate
from homeostat.controllers import (
    Ask,
    ControlContext,
    Decompose,
    Dispatch,
    MakePlan,
    Plan,
    Proceed,
    Remind,
    Reminder,
    Stop,
    Subtask,
    check_controller,
)
from homeostat.errors import ConfigError
from homeostat.sensors.readings import Reading


class Good:
    """The smallest controller: every broken one below changes one thing of it."""

    name = "good"
    sensors: Any = frozenset({"drift"})

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return Proceed()


class Counts(Good):
    def __init__(self) -> None:
        self.calls = 0

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        self.calls += 1
        return Reminder(text="again") if self.calls == 3 else Proceed()


class Mutates(Good):
    def decide(self, readings: Any, context: ControlContext) -> Any:
        readings.clear()
        return Proceed()


class MutatesContext(Good):
    def decide(self, readings: Any, context: ControlContext) -> Any:
        object.__setattr__(context, "goal", "mine")
        return Proceed()


class Raises(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return Stop(reason="swiped") if context.action.kind == "swipe" else Proceed()  # type: ignore[union-attr]


class RaisesOnSwipe(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        if isinstance(context.action, Swipe):
            raise RuntimeError("no swipes")
        return Proceed()


class ReturnsNone(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return None


class ReturnsText(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return "proceed"


class SaysNothing(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return Reminder(text=" ") if any(r.alarm for r in readings) else Proceed()


class AsksNothing(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return Ask(question="") if context.unparsable else Proceed()


class PlansForEver(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return MakePlan() if context.phase == "planned" else Proceed()


class PlansInSecret(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return MakePlan() if context.phase == "start" else Proceed()


class NotJson(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return Reminder.model_construct(kind="remind", text=3.5, cause="", by="")


class PassesPlaceholders(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        if context.plan is None or not isinstance(context.action, Terminate):
            return Proceed()
        subtasks = (context.plan.subtasks[0], Subtask(instruction="Add {1}", status="active"))
        return Dispatch(instruction="Add {1}", plan=Plan(subtasks=subtasks, active=1))


class MarksNothing(Good):
    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Any:
        return Dispatch(instruction="go", plan=context.plan) if context.plan else Proceed()


class NoSensors(Good):
    sensors = ["drift"]  # noqa: RUF012


class NoName(Good):
    name = ""


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (Counts, "keep no state"),
        (Mutates, "changed its arguments"),
        (MutatesContext, "changed its arguments"),
        (Raises, "must never raise"),
        (RaisesOnSwipe, "no swipes"),
        (ReturnsNone, "returned None"),
        (ReturnsText, "returned 'proceed'"),
        (SaysNothing, "empty text"),
        (AsksNothing, "empty question"),
        (PlansForEver, "never ends"),
        (PlansInSecret, "no attribute plans=True"),
        (NotJson, "not valid as JSON"),
        (PassesPlaceholders, "placeholder"),
        (MarksNothing, "mark that one"),
        (NoSensors, "frozenset"),
        (NoName, "name=''"),
    ],
)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_a_broken_controller_is_caught_and_told_what_is_wrong(broken: type, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_controller(broken())
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_controller_at_all_is_refused() -> None:
    with pytest.raises(ConfigError, match="pass an instance"):
        check_controller(Good)
    with pytest.raises(ConfigError, match="name=None"):
        check_controller(object())


SOUND = (
    Good(),
    Remind(),
    Remind.drift_no_more(),
    Decompose(on_missing="stop"),
    Decompose(replan="failed"),
    Decompose.agent_nexus(),
)


@pytest.mark.parametrize("controller", SOUND)
def test_a_sound_controller_passes(controller: Any) -> None:
    check_controller(controller)


def test_the_public_names_are_these() -> None:
    assert sorted(controllers.__all__) == [
        "Ask",
        "Candidate",
        "Cascade",
        "Choose",
        "Confirm",
        "Confirming",
        "ControlContext",
        "Controller",
        "Decision",
        "Decompose",
        "Demanding",
        "Dispatch",
        "Escalate",
        "Fact",
        "Forest",
        "Guard",
        "HeadProfile",
        "HoldAttention",
        "Limit",
        "MakePlan",
        "ModelReadingRules",
        "ModelRule",
        "OPERATIONS",
        "PRESETS",
        "Perform",
        "Plan",
        "Planning",
        "Preset",
        "Proceed",
        "Prohibition",
        "Pull",
        "ReadingRules",
        "Recalibrate",
        "Reconsider",
        "Record",
        "Refuse",
        "Refusing",
        "Remind",
        "Reminder",
        "Report",
        "Reported",
        "Sample",
        "SetPoint",
        "Steer",
        "SteerAttention",
        "Stop",
        "StopOn",
        "Subtask",
        "Tabu",
        "check_controller",
        "compute",
        "controller_names",
        "controllers_for",
        "parse_model_rule",
        "parse_plan",
        "plan_schema",
        "preset_sensors",
        "read_rules",
        "rule_schema",
    ]
    assert all(getattr(controllers, name) is not None for name in controllers.__all__)
    assert dir(controllers) == sorted(controllers.__all__)
    with pytest.raises(AttributeError, match="attribute Nothing"):
        _ = controllers.Nothing  # type: ignore[attr-defined]
