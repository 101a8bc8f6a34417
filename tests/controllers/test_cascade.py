"""Cascade and the presets: order, bounds, refusals."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from homeostat.actions import Wait
from homeostat.controllers import (
    PRESETS,
    Ask,
    Cascade,
    ControlContext,
    Controller,
    Decision,
    Decompose,
    HeadProfile,
    Limit,
    MakePlan,
    Plan,
    Proceed,
    Record,
    Remind,
    Reminder,
    Stop,
    Subtask,
    check_controller,
    controllers_for,
    preset_sensors,
)
from homeostat.errors import ConfigError, UnknownName
from homeostat.sensors.readings import Reading


class Always:
    """Wants the same thing every time, and remembers what it heard (a test double)."""

    def __init__(self, name: str, decision: Decision, sensors: Sequence[str] = ()) -> None:
        self.name, self.decision, self.sensors = name, decision, frozenset(sensors)
        self.heard: list[str] = []

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        self.heard = [r.sensor for r in readings]
        return self.decision


def context(step: int = 0, *records: Record) -> ControlContext:
    return ControlContext(phase="attempt", goal="g", instruction="g", step=step, action=Wait(), decisions=records)


def record(step: int, controller: str, kind: str = "remind", cause: str = "c") -> Record:
    return Record(step=step, attempt=0, controller=controller, kind=kind, cause=cause)


def test_the_first_that_wants_something_wins_and_is_named() -> None:
    first, second = Always("first", Reminder(text="1", cause="x")), Always("second", Stop(reason="2"))
    assert Cascade([Always("idle", Proceed()), first, second]).decide([], context()).by == "first"
    assert Cascade([second, first]).decide([], context()).kind == "stop"
    assert Cascade([]).decide([], context()) == Proceed()


def test_each_controller_hears_only_the_sensors_it_names() -> None:
    readings = [Reading(sensor=s, value=0.0) for s in ("drift", "confidence")]
    choosy, open_eared = Always("choosy", Proceed(), ["drift"]), Always("open", Proceed())
    both = Cascade([choosy, open_eared])
    both.decide(readings, context())
    assert choosy.heard == ["drift"]
    assert open_eared.heard == ["drift", "confidence"]
    assert both.sensors == frozenset()
    assert Cascade([choosy]).sensors == {"drift"}


def test_a_controller_held_back_by_its_limit_leaves_the_word_to_the_next() -> None:
    loud = Always("loud", Reminder(text="!", cause="loud"))
    other = Always("other", Ask(question="?", cause="other"))
    cascade = Cascade([loud, other], limits={"loud": Limit(cooldown=3, budget=2)})
    assert cascade.decide([], context(0)).by == "loud"
    assert cascade.decide([], context(2, record(0, "loud"))).by == "other"
    assert cascade.decide([], context(3, record(0, "loud"))).by == "loud"
    assert cascade.decide([], context(9, record(0, "loud"), record(3, "loud"))).by == "other"


def test_one_correction_per_cause_and_step_whoever_wanted_it() -> None:
    one, two = Always("one", Reminder(text="1", cause="drift")), Always("two", Reminder(text="2", cause="drift"))
    cascade = Cascade([one, two])
    assert cascade.decide([], context(4, record(4, "one", cause="drift"))) == Proceed()
    assert cascade.decide([], context(5, record(4, "one", cause="drift"))).by == "one"


def test_the_whole_budget_bounds_corrections_but_never_a_stop() -> None:
    taken = [record(s, "remind") for s in range(3)]
    reminding, stopping = Always("remind", Reminder(text="r", cause="x")), Always("stop", Stop(reason="enough"))
    assert Cascade([reminding], budget=3).decide([], context(9, *taken)) == Proceed()
    assert Cascade([reminding, stopping], budget=3).decide([], context(9, *taken)).by == "stop"
    dispatched = [record(s, "decompose", kind="dispatch") for s in range(3)]
    assert Cascade([reminding], budget=3).decide([], context(9, *dispatched)).by == "remind"


@pytest.mark.parametrize(
    ("controllers", "settings", "message"),
    [
        ([Remind(), Remind()], {}, "two controllers are named 'remind'"),
        ([Decompose(), Decompose(name="again")], {}, "both plan"),
        ([Cascade([])], {}, "list its controllers instead"),
        ([Remind], {}, "is not a controller"),
        ([object()], {}, "is not a controller"),
        ([Remind()], {"budget": 2, "limits": {"remind": Limit(budget=3)}}, "only 2"),
        ([Remind()], {"budget": 0}, "budget=0"),
    ],
)
def test_what_can_not_work_is_refused_at_construction(
    controllers: list[Controller], settings: dict[str, object], message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        Cascade(controllers, **settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_limit_of_nobody_says_who_is_there() -> None:
    with pytest.raises(UnknownName, match="did you mean 'remind'"):
        Cascade([Remind()], limits={"remnd": Limit()})


def test_presets_resolve_in_the_order_given() -> None:
    assert [c.name for c in controllers_for("default").controllers] == ["guard", "decompose", "tabu", "remind"]
    assert [c.name for c in controllers_for("remind, decompose").controllers] == ["remind", "decompose"]
    assert controllers_for("none").controllers == ()
    assert controllers_for(["remind"]).controllers == (Remind(sensors=frozenset({"attention_drift"})),)
    assert preset_sensors("none") == frozenset()
    assert preset_sensors("default") == frozenset()
    assert preset_sensors("remind") == controllers_for("remind").sensors


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("remid", "unknown controller 'remid'; did you mean 'remind'?"),
        ("", "unknown controller ''"),
        ("none,remind", "stands alone"),
        ("default,remind", "two controllers are named 'remind'"),
    ],
)
def test_presets_that_do_not_resolve_say_why(names: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        controllers_for(names)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_every_preset_keeps_the_contract(name: str) -> None:
    profile = HeadProfile(model="m", heads={"vhr": frozenset({(1, 2)})}, head_weights={"goal": ((1, 2, 0.5),)})
    check_controller(controllers_for(name, profile))


def test_the_plan_after_a_subtask_is_not_held_back_by_what_bounds_corrections() -> None:
    closed = Plan(subtasks=(Subtask(instruction="a", status="done"), Subtask(instruction="b")))
    onward = Always("onward", MakePlan(plan=closed, cause="subtask 1 done"))
    first = Always("first", MakePlan(cause="start"))
    full = tuple(Record(step=1, attempt=0, controller="x", kind="remind", cause="subtask 1 done") for _ in range(16))
    where = ControlContext(phase="attempt", goal="g", instruction="g", step=1, decisions=full)
    assert Cascade([onward]).decide([], where).kind == "plan"
    assert Cascade([first]).decide([], where) == Proceed()
