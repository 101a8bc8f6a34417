"""``check_controller``: tests whether a controller satisfies the contract, as Gymnasium's ``check_env`` does.

    check_controller(MyController())

It asks the controller in every phase, after every kind of action, after answers without an action, with and without
alarms, and in every state of a plan; then once more in reverse order, because a controller keeps no state.
"""

from __future__ import annotations

import copy
from typing import Any, NoReturn, get_args

from pydantic import TypeAdapter, ValidationError

from homeostat.controllers.check_cases import Case, cases
from homeostat.controllers.context import ControlContext
from homeostat.controllers.contracts import Controller, Planning, Refusing
from homeostat.controllers.decisions import (
    Ask,
    Choose,
    Confirm,
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
from homeostat.controllers.plan import Plan, needs_of
from homeostat.errors import ConfigError
from homeostat.sensors.readings import Reading

__all__ = ["check_controller"]

_KINDS: tuple[type, ...] = get_args(get_args(Decision)[0])
_ADAPTER: TypeAdapter[Any] = TypeAdapter(Decision)


def check_controller(controller: Any) -> None:
    """Tests whether an object satisfies the contract of controllers.

    Tested are: ``name`` and ``sensors``; that ``decide`` never raises an error and leaves its arguments unchanged; that
    it returns a decision that is complete and allowed in its phase (for example, a dispatched subtask is active, was
    open before and contains no placeholder) and that survives JSON; and that the same question always gets the same
    answer, in whatever order the questions are asked.

    Args:
        controller: The controller.

    Raises:
        ConfigError: The controller breaks the contract. The message describes the first breach and the situation.
    """
    if isinstance(controller, type):
        raise ConfigError(f"{controller.__name__} is a class; pass an instance")
    _check_face(controller)
    asked = list(cases(sorted(controller.sensors) or ["drift", "confidence"]))
    first = [_ask(controller, case) for case in asked]
    for case, before in reversed(list(zip(asked, first, strict=True))):
        after = _ask(controller, case)
        if after != before:
            _fail(controller, case[0], f"returned {before!r}, then {after!r} to the same question; keep no state")


def _check_face(controller: Any) -> None:
    name = getattr(controller, "name", None)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"controller {controller!r} has name={name!r}; set it to a non-empty string")
    sensors = getattr(controller, "sensors", None)
    if not isinstance(sensors, frozenset) or not all(isinstance(s, str) and s for s in sensors):
        raise ConfigError(f"controller {name!r} has sensors={sensors!r}; set it to a frozenset of sensor names")
    if not isinstance(controller, Controller):
        raise ConfigError(f"controller {name!r} has no method decide(readings, context); add one")


def _ask(controller: Controller, case: Case) -> Decision:
    """Asks the controller and checks its decision."""
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
        _fail(controller, where, f"returned {decision!r}, which is not valid as JSON: {str(error).splitlines()[0]}")
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
        case Confirm():
            return "asks for consent in decide; do that in a method confirm(action, context), which the loop calls"
        case SteerAttention(actuators=()):
            return "steers without an actuator"
        case SteerAttention() if context.phase != "attempt":
            return "steers in a phase without an attempt; use HoldAttention"
        case Sample() if context.phase != "attempt":
            return "samples in a phase without a new attempt"
        case Report(facts=(), check=""):
            return "asks for a report without facts and without a check; name one"
        case Report() if context.phase != "attempt":
            return "asks for a report in a phase without a new attempt"
        case Choose() if not context.candidates:
            return "chooses, but there are no candidates"
        case Choose(index=index) if index >= len(context.candidates):
            return f"chooses candidate {index} of {len(context.candidates)}"
        case Refuse(reason=text) if not text.strip():
            return "refuses without a reason"
        case Refuse() if context.phase != "attempt" or context.action is None:
            return "refuses, but there is no action"
        case Refuse() if not isinstance(controller, Refusing):
            return "refuses an action, but has no method refuse(action, context), which the loop calls; add one"
        case Stop(reason=text) if not text.strip():
            return "stops without a reason"
        case MakePlan(plan=plan) if plan is not None and plan.active is not None:
            return f"replans while subtask {plan.active + 1} is active; close it first"
        case MakePlan() if context.phase == "planned":
            return "asks for a plan right after the planner's answer, which never ends"
        case MakePlan() if not (isinstance(controller, Planning) and controller.plans):
            return "asks for a plan, but has no attribute plans=True, without which the agent loads no planner; add it"
        case Dispatch(instruction=instruction, plan=plan):
            return _dispatch_problem(instruction, plan, context)
    return ""


def _dispatch_problem(instruction: str, plan: Plan, context: ControlContext) -> str:
    active = [i for i, subtask in enumerate(plan.subtasks) if subtask.status == "active"]
    if plan.active is None or active != [plan.active]:
        return f"dispatches a plan with active={plan.active!r} and the subtasks {active!r} marked active; mark that one"
    if not instruction.strip():
        return "dispatches an empty instruction"
    if needs_of(instruction):  # no answer in the cases contains a brace itself
        return f"dispatches {instruction!r}, which contains a placeholder; replace it by the answer"
    before = context.plan
    same_length = before is not None and len(before.subtasks) == len(plan.subtasks)
    if before is not None and same_length and before.subtasks[plan.active].status in ("done", "failed"):
        return f"dispatches subtask {plan.active + 1}, which is already {before.subtasks[plan.active].status}"
    return ""


def _fail(controller: Controller, where: str, what: str) -> NoReturn:
    raise ConfigError(f"controller {controller.name!r} {where}: {what}")
