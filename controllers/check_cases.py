"""The situations in which ``check_controller`` asks a controller."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from homeostat import actions as a
from homeostat.controllers.context import Candidate, ControlContext, Record, Reported
from homeostat.controllers.plan import Plan, Subtask
from homeostat.sensors.readings import Reading

__all__ = ["Case", "cases"]

Case = tuple[str, tuple[Reading, ...], ControlContext]
"""Words that describe the situation, the readings and the context."""

_ACTIONS: tuple[a.Action, ...] = (
    a.Click(point=(0.5, 0.5)),
    a.LongPress(point=(0.1, 0.9)),
    a.Swipe(point=(0.5, 0.8), to=(0.5, 0.2)),
    a.Type(text="milk {1}"),
    a.SystemButton(button="Back"),
    a.Open(app="Notes"),
    a.Wait(),
    a.Answer(text="42"),
    a.Terminate(status="success"),
    a.Terminate(status="failure"),
)
_GARBLED = (
    "",
    "no tool call in 'I would tap {the button}'; write one <tool_call>",
    "coordinate [900, 9] is off the screen",
)
_GOAL = "Read the amount in the note Lunch {sic} and add it as an expense"


def _plans() -> Iterator[tuple[str, Plan | None]]:
    one, two = "Read the amount in the note Lunch", "Add the expense {1}"
    yield "no plan", None
    yield "a plan with one subtask", Plan(subtasks=(Subtask(instruction=one),))
    yield "a fresh plan", Plan(subtasks=(Subtask(instruction=one), Subtask(instruction=two)))
    begun = (Subtask(instruction=one, status="active"), Subtask(instruction=two))
    yield "subtask 1 active", Plan(subtasks=begun, active=0)
    done = Subtask(instruction=one, status="done", answer="7", steps=3)
    yield "subtask 2 active", Plan(subtasks=(done, Subtask(instruction=two, status="active")), active=1)
    failed = Subtask(instruction=one, status="failed")
    rest = (Subtask(instruction="Open Clock", status="active"), Subtask(instruction=two))
    yield "subtask 1 failed", Plan(subtasks=(failed, *rest), active=1)
    yield "all subtasks closed", Plan(subtasks=(done, failed))


def _reading_sets(sensors: Sequence[str]) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    yield "no readings", ()
    yield "quiet readings", tuple(Reading(sensor=s, value=0.0, baseline=0.0, threshold=-1.0) for s in sensors)
    for span in ("goal", "rules", "screen", None):
        yield (
            f"an alarm on {span}",
            tuple(Reading(sensor=s, value=-2.5, threshold=-1.0, alarm=True, reason="lost", span=span) for s in sensors),
        )
    yield "an alarm with an extreme value", (Reading(sensor=sensors[0], value=-1e308, alarm=True),)
    yield (
        "an alarm of another sensor",
        (Reading(sensor="not-asked-for", value=1.0, alarm=True, detail={"x": 1e308}),),
    )


def cases(sensors: Sequence[str]) -> Iterator[Case]:
    """Generates the situations in which :func:`~homeostat.controllers.check_controller` asks a controller.

    Args:
        sensors: The names of the sensors whose readings the controller uses.

    Yields:
        For each case: words that describe it, the readings and the context.
    """
    rules = ("Never delete anything.",)
    base = ControlContext(phase="start", goal=_GOAL, instruction=_GOAL, rules=rules, max_steps=12)
    yield "at the start", (), base
    yield "at the start without rules", (), base.model_copy(update={"rules": ()})
    failed = {"phase": "planned", "plan": None, "plan_error": "no plan in 'I {would}'"}
    yield "after a planner's answer that could not be read", (), base.model_copy(update=failed)
    for plan_name, plan in _plans():
        if plan is not None and plan.active is None:
            yield f"after the planner made {plan_name}", (), base.model_copy(update={"phase": "planned", "plan": plan})
    taken = tuple(
        Record(step=s, attempt=0, controller=c, kind=k, cause=cause)
        for s, c, k, cause in (
            (0, "other", "plan", "start"),
            (1, "remind", "remind", "drift:goal"),
            (3, "x", "ask", ""),
        )
    )
    attempts: list[dict[str, Any]] = [{"action": action, "unparsable": None} for action in _ACTIONS]
    attempts += [{"action": None, "unparsable": problem} for problem in _GARBLED]
    for plan_name, plan in _plans():
        for what in attempts:
            # Only a few actions are combined with all sets of readings: the check takes less than a second.
            every = what["unparsable"] is not None or isinstance(what["action"], a.Click | a.Terminate)
            for reading_name, readings in list(_reading_sets(sensors))[: None if every else 3]:
                for step, answers, records in ((0, (), ()), (3, ("7",), taken), (11, ("a", "b"), taken * 10)):
                    where = f"at step {step} with {plan_name}, {what['action'] or 'garbled text'!r} and {reading_name}"
                    context = base.model_copy(
                        update={
                            **what,
                            "phase": "attempt",
                            "plan": plan,
                            "step": step,
                            "subtask_steps": step,
                            "answers": answers,
                            "decisions": records,
                        }
                    )
                    yield where, readings, context
    yield from _sampled(base, sensors)
    yield from _reported(base)


def _sampled(base: ControlContext, sensors: Sequence[str]) -> Iterator[Case]:
    """Candidates that agree, that differ, or that contain no action."""
    sets = [readings for _, readings in _reading_sets(sensors)]
    one = Candidate(text="tap", action=_ACTIONS[0], readings=sets[1])
    other = Candidate(text="back", action=_ACTIONS[4], readings=sets[2])
    garbled = Candidate(text="?", unparsable=_GARBLED[1])
    for name, candidates in (
        ("that agree", (one, one, one)),
        ("that differ", (one, other, other, garbled)),
        ("none of which contains an action", (garbled, garbled)),
        ("of one answer", (one,)),
    ):
        update = {"phase": "candidates", "candidates": candidates, "action": candidates[0].action, "step": 2}
        yield f"with candidates {name}", candidates[0].readings, base.model_copy(update=update)


def _reported(base: ControlContext) -> Iterator[Case]:
    """Reports with values, with a check that fails, and one that could not be read."""
    for plan_name, plan in _plans():
        if plan is None or plan.active is None:
            continue
        for what, report in (
            ("with values", Reported(facts={"1": "7", "amount": "7"}, check=True)),
            ("whose check fails", Reported(check=False)),
            ("that could not be read", Reported(error="no report in '?'")),
        ):
            update = {"phase": "reported", "plan": plan, "report": report, "action": _ACTIONS[8], "step": 2}
            yield f"after a report {what}, with {plan_name}", (), base.model_copy(update=update)
