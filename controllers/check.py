"""``check_controller``: does a controller keep the contract? Run it on your own, as one runs Gymnasium's ``check_env``.

    check_controller(MyController())

It asks the controller in every phase, after every kind of action, after answers that hold none, with and without
alarms, and in every state of a plan; then once more in reverse order, since a controller keeps no state.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError

from homeostat import actions as a
from homeostat.controllers.context import Candidate, ControlContext, Record, Reported
from homeostat.controllers.contracts import Controller, Refusing
from homeostat.controllers.decisions import (
    Ask,
    Choose,
    Decision,
    Dispatch,
    MakePlan,
    Refuse,
    Reminder,
    Report,
    Sample,
    SteerAttention,
    Stop,
)
from homeostat.controllers.plan import Plan, Subtask, needs_of
from homeostat.errors import ConfigError
from homeostat.sensors.readings import Reading

__all__ = ["check_controller"]

_KINDS: tuple[type, ...] = get_args(get_args(Decision)[0])
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Decision)
_Case = tuple[str, tuple[Reading, ...], ControlContext]


def check_controller(controller: Any) -> None:
    """Raise :class:`~homeostat.errors.ConfigError` naming the first breach of the contract, in words.

    Checked: ``name`` and ``sensors``; that ``decide`` never raises, returns one of the decisions, filled in properly
    for its phase (a dispatched part is active, open before, and holds no placeholder; a reminder has a text; a plan
    that failed is not asked for again at once), and one that survives JSON; that the same question gets the same
    answer, whatever was asked before; and that its arguments are left as they were.
    """
    if isinstance(controller, type):
        raise ConfigError(f"{controller.__name__} is a class; pass an instance")
    _check_face(controller)
    cases = list(_cases(sorted(controller.sensors) or ["drift", "confidence"]))
    first = [_ask(controller, case) for case in cases]
    for case, before in reversed(list(zip(cases, first, strict=True))):
        after = _ask(controller, case)
        if after != before:
            _fail(controller, case[0], f"said {before!r}, then {after!r} to the same question; keep no state")


def _check_face(controller: Any) -> None:
    name = getattr(controller, "name", None)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"controller {controller!r} has name={name!r}; give it a text")
    sensors = getattr(controller, "sensors", None)
    if not isinstance(sensors, frozenset) or not all(isinstance(s, str) and s for s in sensors):
        raise ConfigError(f"controller {name!r} has sensors={sensors!r}; give a frozenset of sensor names")
    if not isinstance(controller, Controller):
        raise ConfigError(f"controller {name!r} has no decide(readings, context)")


def _ask(controller: Controller, case: _Case) -> Decision:
    """The decision, after everything that can be checked of it alone."""
    where, readings, context = case
    given: list[Reading] = list(copy.deepcopy(readings))
    given_context = context.model_copy(deep=True)
    try:
        decision = controller.decide(given, given_context)
    except Exception as error:
        raise ConfigError(f"controller {controller.name!r} raised {error!r} {where}; it must never raise") from error
    if tuple(given) != readings or given_context != context:
        _fail(controller, where, "changed its arguments; leave readings and context as they are")
    if not isinstance(decision, _KINDS):
        known = ", ".join(kind.__name__ for kind in _KINDS)
        _fail(controller, where, f"returned {decision!r}; return one of {known}")
    try:
        again = _ADAPTER.validate_json(_ADAPTER.dump_json(decision))
    except (ValidationError, ValueError) as error:
        _fail(controller, where, f"returned {decision!r}, which is no valid JSON: {str(error).splitlines()[0]}")
    if again != decision:
        _fail(controller, where, f"returned {decision!r}, which JSON turns into {again!r}")
    if problem := _problem(controller, decision, context):
        _fail(controller, where, problem)
    return decision


def _problem(controller: Controller, decision: Decision, context: ControlContext) -> str:
    """What is wrong with a well-typed decision in this phase."""
    match decision:
        case Reminder(text=text) if not text.strip():
            return "reminds with an empty text"
        case Ask(question=text) if not text.strip():
            return "asks an empty question"
        case SteerAttention(actuators=()):
            return "steers with no actuator"
        case SteerAttention() if context.phase != "attempt":
            return "steers again where nothing was attempted; hold instead"
        case Sample() if context.phase != "attempt":
            return "samples where nothing was attempted, or again at once"
        case Report(facts=(), check=""):
            return "has a screen read for nothing; name facts, or a check"
        case Report() if context.phase != "attempt":
            return "has a screen read where nothing was attempted, or again at once"
        case Choose() if not context.candidates:
            return "chooses where there are no candidates"
        case Choose(index=index) if index >= len(context.candidates):
            return f"chooses candidate {index} of {len(context.candidates)}"
        case Refuse(reason=text) if not text.strip():
            return "refuses without a reason"
        case Refuse() if context.phase != "attempt" or context.action is None:
            return "refuses where there is no action"
        case Refuse() if not isinstance(controller, Refusing):
            return "refuses an action, but has no refuse(action, context): the loop can't ask it about others' actions"
        case Stop(reason=text) if not text.strip():
            return "stops without a reason"
        case MakePlan(plan=plan) if plan is not None and plan.active is not None:
            return f"plans anew while part {plan.active + 1} is active; close it first"
        case MakePlan() if context.phase == "planned":
            return "asks for a plan right after one was made, which never ends"
        case Dispatch(instruction=instruction, plan=plan):
            return _dispatch_problem(instruction, plan, context)
    return ""


def _dispatch_problem(instruction: str, plan: Plan, context: ControlContext) -> str:
    active = [i for i, part in enumerate(plan.parts) if part.status == "active"]
    if plan.active is None or active != [plan.active]:
        return f"dispatches a plan with active={plan.active!r} and the parts {active!r} marked active; mark that one"
    if not instruction.strip():
        return "dispatches an empty instruction"
    if needs_of(instruction):  # no answer in these cases holds such a brace itself
        return f"dispatches {instruction!r} with a placeholder in it; put the answer in its place"
    before = context.plan
    same_length = before is not None and len(before.parts) == len(plan.parts)
    if before is not None and same_length and before.parts[plan.active].status in ("done", "failed"):
        return f"dispatches part {plan.active + 1}, which is {before.parts[plan.active].status} already"
    return ""


def _fail(controller: Controller, where: str, what: str) -> None:
    raise ConfigError(f"controller {controller.name!r} {where}: {what}")


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
    yield "a plan of one part", Plan(parts=(Subtask(instruction=one),))
    yield "a fresh plan", Plan(parts=(Subtask(instruction=one), Subtask(instruction=two)))
    yield "part 1 active", Plan(parts=(Subtask(instruction=one, status="active"), Subtask(instruction=two)), active=0)
    done = Subtask(instruction=one, status="done", answer="7", steps=3)
    yield "part 2 active", Plan(parts=(done, Subtask(instruction=two, status="active")), active=1)
    failed = Subtask(instruction=one, status="failed")
    rest = (Subtask(instruction="Open Clock", status="active"), Subtask(instruction=two))
    yield "part 1 failed", Plan(parts=(failed, *rest), active=1)
    yield "all parts closed", Plan(parts=(done, failed))


def _reading_sets(sensors: Sequence[str]) -> Iterator[tuple[str, tuple[Reading, ...]]]:
    yield "no readings", ()
    yield "quiet readings", tuple(Reading(sensor=s, value=0.0, baseline=0.0, threshold=-1.0) for s in sensors)
    for span in ("goal", "rules", "screen", None):
        yield (
            f"an alarm on {span}",
            tuple(Reading(sensor=s, value=-2.5, threshold=-1.0, alarm=True, reason="lost", span=span) for s in sensors),
        )
    yield "an alarm without a number", (Reading(sensor=sensors[0], value=float("-inf"), alarm=True),)
    yield "a stranger's alarm", (Reading(sensor="not-asked-for", value=1.0, alarm=True, detail={"x": float("nan")}),)


def _cases(sensors: Sequence[str]) -> Iterator[_Case]:
    rules = ("Never delete anything.",)
    base = ControlContext(phase="start", goal=_GOAL, instruction=_GOAL, rules=rules, max_steps=12)
    yield "at the start", (), base
    yield "at the start without rules", (), base.model_copy(update={"rules": ()})
    failed = {"phase": "planned", "plan": None, "plan_error": "no plan in 'I {would}'"}
    yield "after a plan that failed", (), base.model_copy(update=failed)
    for plan_name, plan in _plans():
        if plan is not None and plan.active is None:
            yield f"when {plan_name} was made", (), base.model_copy(update={"phase": "planned", "plan": plan})
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
            # Every action meets quiet and one alarming set; a few meet them all, which keeps the check under a second.
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


def _sampled(base: ControlContext, sensors: Sequence[str]) -> Iterator[_Case]:
    """Candidates that agree, differ, hold no action, or have no readings."""
    sets = [readings for _, readings in _reading_sets(sensors)]
    one = Candidate(text="tap", action=_ACTIONS[0], readings=sets[1])
    other = Candidate(text="back", action=_ACTIONS[4], readings=sets[2])
    garbled = Candidate(text="?", unparsable=_GARBLED[1])
    for name, candidates in (
        ("that agree", (one, one, one)),
        ("that differ", (one, other, other, garbled)),
        ("of which none holds an action", (garbled, garbled)),
        ("of one", (one,)),
    ):
        update = {"phase": "candidates", "candidates": candidates, "action": candidates[0].action, "step": 2}
        yield f"with candidates {name}", candidates[0].readings, base.model_copy(update=update)


def _reported(base: ControlContext) -> Iterator[_Case]:
    """After a screen was read: with what was asked, without it, not at all."""
    for plan_name, plan in _plans():
        if plan is None or plan.active is None:
            continue
        for what, report in (
            ("found", Reported(facts={"1": "7", "amount": "7"}, check=True)),
            ("that fails", Reported(check=False)),
            ("unread", Reported(error="no report in '?'")),
        ):
            update = {"phase": "reported", "plan": plan, "report": report, "action": _ACTIONS[8], "step": 2}
            yield f"with a report {what} and {plan_name}", (), base.model_copy(update=update)
