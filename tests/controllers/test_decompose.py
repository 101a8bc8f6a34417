"""Decompose: a plan's whole life, played through as the loop would."""

from __future__ import annotations

from typing import Any

import pytest

from homeostat.actions import Answer, Click, Terminate
from homeostat.controllers import (
    ControlContext,
    Decompose,
    Dispatch,
    MakePlan,
    Perform,
    Plan,
    Proceed,
    Record,
    Report,
    Reported,
    Stop,
    parse_plan,
)
from homeostat.controllers.plan_updates import close
from homeostat.errors import ConfigError

DONE, GIVEN_UP, TAP = Terminate(status="success"), Terminate(status="failure"), Click(point=(0.5, 0.5))
GOAL = "read the price, then note it, then turn on wifi"


def context(**changes: Any) -> ControlContext:
    data = {"phase": "attempt", "goal": GOAL, "instruction": GOAL, "max_steps": 30}
    return ControlContext.model_validate(data | changes)


def plan(*parts: str) -> Plan:
    import json

    return parse_plan(json.dumps({"parts": parts}))


def begun(*parts: str, controller: Decompose | None = None) -> tuple[Decompose, Dispatch]:
    controller = controller or Decompose()
    first = controller.decide([], context(phase="planned", plan=plan(*parts)))
    assert isinstance(first, Dispatch)
    return controller, first


def test_it_asks_for_a_plan_once_at_the_start() -> None:
    assert isinstance(Decompose().decide([], context(phase="start")), MakePlan)
    assert Decompose().decide([], context(phase="start", conversing=True)) == Proceed()
    assert isinstance(Decompose(conversations=True).decide([], context(phase="start", conversing=True)), MakePlan)


@pytest.mark.parametrize(
    "planned",
    [{"plan": None, "plan_error": "no plan in 'x'"}, {"plan": plan("one thing")}, {"plan": None}],
)
def test_one_subtask_or_no_plan_is_left_whole_to_the_executor(planned: dict[str, Any]) -> None:
    assert Decompose().decide([], context(phase="planned", **planned)) == Proceed()
    assert Decompose().decide([], context(action=DONE, **planned)) == Proceed()


def test_subtasks_are_dispatched_in_order_with_values_carried_and_the_last_terminate_stands() -> None:
    controller, first = begun("read the price", "note {1}", "turn on wifi")
    assert first.instruction == "read the price"
    assert [p.status for p in first.plan.subtasks] == ["active", "open", "open"]
    assert controller.decide([], context(action=TAP, plan=first.plan, subtask_steps=2)) == Proceed()

    second = controller.decide(
        [], context(action=DONE, plan=first.plan, subtask_steps=3, step=3, answers=("wrong", "12 euros"))
    )
    assert isinstance(second, Dispatch)
    assert second.instruction == "note 12 euros"
    assert [p.status for p in second.plan.subtasks] == ["done", "active", "open"]
    assert (second.plan.subtasks[0].answer, second.plan.subtasks[0].steps) == ("12 euros", 3)

    third = controller.decide([], context(action=DONE, plan=second.plan, subtask_steps=4, step=7))
    assert isinstance(third, Dispatch)
    assert (third.instruction, third.plan.active) == ("turn on wifi", 2)
    assert controller.decide([], context(action=DONE, plan=third.plan, subtask_steps=1, step=8)) == Proceed()


def test_a_subtask_that_gives_up_is_failed_and_the_rest_goes_on() -> None:
    controller, first = begun("read the price", "turn on wifi")
    second = controller.decide([], context(action=GIVEN_UP, plan=first.plan))
    assert isinstance(second, Dispatch)
    assert [p.status for p in second.plan.subtasks] == ["failed", "active"]
    assert controller.decide([], context(action=GIVEN_UP, plan=second.plan)) == Proceed()


def test_a_subtask_over_its_cap_is_failed_but_the_last_one_may_use_what_is_left() -> None:
    controller, first = begun("read the price", "turn on wifi", controller=Decompose(max_subtask_steps=5))
    assert controller.decide([], context(action=TAP, plan=first.plan, subtask_steps=4, step=4)) == Proceed()
    second = controller.decide([], context(action=TAP, plan=first.plan, subtask_steps=5, step=5))
    assert isinstance(second, Dispatch)
    assert "over its step limit" in second.cause
    assert controller.decide([], context(action=TAP, plan=second.plan, subtask_steps=20, step=25)) == Proceed()


def test_garbled_text_counts_against_the_cap_too() -> None:
    controller, first = begun("read the price", "turn on wifi", controller=Decompose(max_subtask_steps=5))
    late = context(action=None, unparsable="no tool call", plan=first.plan, subtask_steps=5, step=5)
    assert isinstance(controller.decide([], late), Dispatch)


def test_without_a_cap_a_subtask_has_an_equal_share_of_the_steps_left_when_it_began() -> None:
    controller, first = begun("a", "b", "c")
    assert controller.decide([], context(action=TAP, plan=first.plan, subtask_steps=9, step=9)) == Proceed()
    second = controller.decide([], context(action=TAP, plan=first.plan, subtask_steps=10, step=10))
    assert isinstance(second, Dispatch)
    # b begins at step 4 of 30, with c behind it: 13 each.
    early = {"action": TAP, "plan": second.plan}
    assert controller.decide([], context(**early, subtask_steps=12, step=16)) == Proceed()
    assert isinstance(controller.decide([], context(**early, subtask_steps=13, step=17)), Dispatch)


def test_a_subtask_whose_value_never_came_is_failed_untried_and_the_plan_goes_on() -> None:
    controller, first = begun("read the price", "note {1}", "turn on wifi")
    after = controller.decide([], context(action=DONE, plan=first.plan))
    assert isinstance(after, Dispatch)
    assert after.instruction == "turn on wifi"
    assert [p.status for p in after.plan.subtasks] == ["done", "failed", "active"]


def test_or_the_episode_stops_there_by_choice() -> None:
    controller, first = begun("read the price", "note {1}", controller=Decompose(on_missing="stop"))
    after = controller.decide([], context(action=DONE, plan=first.plan))
    assert isinstance(after, Stop)
    assert "subtask 2 'note {1}' needs the answer of subtask 1" in after.reason


def test_when_nothing_can_follow_the_terminate_is_carried_out() -> None:
    controller, first = begun("read the price", "note {1}")
    assert controller.decide([], context(action=DONE, plan=first.plan)) == Proceed()


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match="max_subtask_steps=0"):
        Decompose(max_subtask_steps=0)
    with pytest.raises(ConfigError, match="on_missing='wait'"):
        Decompose(on_missing="wait")


def typed(*parts: Any, **changes: Any) -> Plan:
    import json

    return parse_plan(json.dumps({"parts": parts, **changes}))


def test_what_can_be_computed_is_computed_on_the_way_and_carried_as_a_literal() -> None:
    plan = typed(
        {"instruction": "read the price of tea", "save": "tea"},
        {"compute": "sum", "of": ["{tea}", "$5"], "save": "total"},
        {"instruction": "note {total}"},
    )
    controller = Decompose()
    first = controller.decide([], context(phase="planned", plan=plan))
    assert isinstance(first, Dispatch)
    second = controller.decide([], context(action=DONE, plan=first.plan, answers=("$7",), step=3, subtask_steps=3))
    assert isinstance(second, Dispatch)
    assert second.instruction == "note $12"
    facts = [(f.key, f.value, f.subtask, f.step, f.source) for f in second.plan.facts]
    assert facts == [("tea", "$7", 1, 3, "answer"), ("total", "$12", 2, 3, "compute")]


@pytest.mark.parametrize(("price", "instruction"), [("$30", "turn on bluetooth"), ("$3", "turn off bluetooth")])
def test_a_condition_decides_which_subtask_is_done(price: str, instruction: str) -> None:
    plan = typed(
        {"instruction": "read the price", "save": "price"},
        {"compute": "above", "of": ["{price}", "$20"], "save": "dear"},
        {"instruction": "turn on bluetooth", "when": "dear"},
        {"instruction": "turn off bluetooth", "when": "not dear"},
    )
    first = Decompose().decide([], context(phase="planned", plan=plan))
    assert isinstance(first, Dispatch)
    second = Decompose().decide([], context(action=DONE, plan=first.plan, answers=(price,)))
    assert isinstance(second, Dispatch)
    assert second.instruction == instruction
    assert [p.status for p in second.plan.subtasks].count("skipped") == (1 if price == "$3" else 0)


def test_a_computation_that_fails_fails_what_needs_it_and_nothing_else() -> None:
    plan = typed(
        {"instruction": "read the price", "save": "price"},
        {"compute": "sum", "of": ["{price}", "$5"], "save": "total"},
        {"instruction": "note {total}"},
        {"instruction": "turn on wifi"},
    )
    first = Decompose().decide([], context(phase="planned", plan=plan))
    assert isinstance(first, Dispatch)
    second = Decompose().decide([], context(action=DONE, plan=first.plan, answers=("milk",)))
    assert isinstance(second, Dispatch)
    assert second.instruction == "turn on wifi"
    assert [p.status for p in second.plan.subtasks] == ["done", "failed", "failed", "active"]


def test_the_user_is_told_and_then_the_episode_ends() -> None:
    plan = typed({"instruction": "read the price", "save": "price"}, {"say": "it costs {price}"})
    first = Decompose().decide([], context(phase="planned", plan=plan))
    assert isinstance(first, Dispatch)
    say = Decompose().decide([], context(action=DONE, plan=first.plan, answers=("$3",)))
    assert isinstance(say, Perform)
    assert say.action == Answer(text="it costs $3")
    end = Decompose().decide([], context(action=TAP, plan=say.plan, step=4))
    assert isinstance(end, Perform)
    assert end.action == DONE


def test_a_subtask_whose_steps_come_to_nothing_for_half_its_cap_is_failed() -> None:
    controller, first = begun("a", "b", controller=Decompose(max_subtask_steps=6))
    stuck = context(action=TAP, plan=first.plan, subtask_steps=3, failures=2)
    assert controller.decide([], stuck) == Proceed()
    after = controller.decide([], stuck.model_copy(update={"failures": 3}))
    assert isinstance(after, Dispatch)
    assert "stuck" in after.cause


@pytest.mark.parametrize(("replan", "done", "failed"), [("never", 0, 0), ("failed", 0, 1), ("always", 1, 1)])
def test_when_it_plans_anew(replan: Any, done: int, failed: int) -> None:
    controller, first = begun("a", "b", controller=Decompose(replan=replan))
    for action, wanted in ((DONE, done), (GIVEN_UP, failed)):
        after = controller.decide([], context(action=action, plan=first.plan, step=2))
        assert isinstance(after, MakePlan if wanted else Dispatch)
        if isinstance(after, MakePlan):
            assert after.plan is not None
            assert after.plan.active is None
            assert after.plan.subtasks[0].status == ("done" if action == DONE else "failed")


def test_plans_have_a_budget_and_one_that_can_not_be_read_leaves_the_old_one_in_force() -> None:
    controller, first = begun("a", "b", controller=Decompose(replan="always", replans=1))
    made = tuple(Record(step=0, attempt=0, controller="decompose", kind="plan") for _ in range(2))
    assert isinstance(controller.decide([], context(action=DONE, plan=first.plan, decisions=made)), Dispatch)
    asked = controller.decide([], context(action=DONE, plan=first.plan, decisions=made[:1]))
    assert isinstance(asked, MakePlan)
    old = controller.decide([], context(phase="planned", plan=asked.plan, plan_error="no plan in '?'"))
    assert isinstance(old, Dispatch)
    assert old.instruction == "b"


def test_the_planner_may_end_it() -> None:
    ended = Decompose.agent_nexus().decide(
        [], context(phase="planned", plan=close(plan("a"), 0, "done").model_copy(update={"finish": "failure"}))
    )
    assert isinstance(ended, Perform)
    assert ended.action == GIVEN_UP


def test_the_reporter_reads_what_was_not_answered_and_its_check_counts() -> None:
    shop = typed(
        {"instruction": "open the shop", "save": "price", "report": ["owner"], "check": "the shop is open"},
        {"instruction": "note {price} and {owner}"},
    )
    controller = Decompose(reporter=True)
    first = controller.decide([], context(phase="planned", plan=shop))
    assert isinstance(first, Dispatch)
    asked = controller.decide([], context(action=DONE, plan=first.plan))
    assert asked == Report(facts=("price", "owner"), check="the shop is open", cause="subtask 1 ended")
    good = Reported(facts={"price": "$3", "owner": "kim"}, check=True)
    after = controller.decide([], context(phase="reported", action=DONE, plan=first.plan, report=good))
    assert isinstance(after, Dispatch)
    assert after.instruction == "note $3 and kim"
    bad = good.model_copy(update={"check": False})
    failed = controller.decide([], context(phase="reported", action=DONE, plan=first.plan, report=bad))
    assert isinstance(failed, Dispatch)
    assert failed.plan.subtasks[0].status == "failed"
    without = Decompose().decide([], context(action=DONE, plan=first.plan, answers=("$3",)))
    assert without == Proceed()  # nobody asked for what subtask 2 needs, so nothing can follow


def test_a_planner_that_gives_up_at_once_ends_the_episode() -> None:
    given_up = parse_plan('{"parts": [], "finish": "failure"}')
    end = Decompose().decide([], context(phase="planned", plan=given_up))
    assert isinstance(end, Perform)
    assert end.action == GIVEN_UP
