"""A planner's text to a :class:`~homeostat.controllers.core.Plan`, and one part's way from open to closed.

The planner answers ``{"parts": ["…", "…"]}``. Models wrap it in prose or a code fence, so the first JSON value
that reads as a plan counts. A part may need the answer of an earlier one: ``{1}`` stands for what part 1 brought
back. The executor never sees a placeholder: :func:`resolve` puts the literal in, or raises.
"""

from __future__ import annotations

import re
from typing import Any, Literal

from homeostat.controllers.core import Plan, Subtask
from homeostat.envs.errors import PlanError
from homeostat.envs.json_values import json_values

__all__ = ["MAX_PARTS", "activate", "close", "needs_of", "next_open", "parse_plan", "resolve"]

MAX_PARTS = 12
_PLACEHOLDER = re.compile(r"\{(\d+)\}")


def parse_plan(text: str, *, max_parts: int = MAX_PARTS) -> Plan:
    """The plan in a planner's text, every part open.

    A part is a string or an object with an ``instruction``. Raises :class:`PlanError` where the text holds no plan, a
    part is empty or no text, there are more than ``max_parts``, or a part needs an answer that no earlier part brings.
    """
    parts = _find_parts(text)
    if not parts:
        raise PlanError(f'plan {_short(text)} has no parts; write {{"parts": ["…"]}} with at least one')
    if len(parts) > max_parts:
        raise PlanError(f"plan has {len(parts)} parts; write at most {max_parts}")
    subtasks = tuple(Subtask(instruction=_instruction(n, part)) for n, part in enumerate(parts, 1))
    for number, subtask in enumerate(subtasks, 1):
        for needed in needs_of(subtask.instruction):
            if not 1 <= needed < number:
                raise PlanError(
                    f"part {number} {subtask.instruction!r} needs {{{needed}}}, which no earlier part brings; "
                    "refer to earlier parts only"
                )
    return Plan(parts=subtasks)


def needs_of(instruction: str) -> tuple[int, ...]:
    """The numbers (from 1) of the parts whose answers this instruction needs, in order of appearance."""
    return tuple(int(number) for number in _PLACEHOLDER.findall(instruction))


def resolve(plan: Plan, index: int) -> str:
    """Part ``index``'s instruction with every placeholder replaced by the answer it stands for.

    Answers are put in as they are: braces inside one are not read as placeholders. Raises :class:`PlanError` where a
    needed part brought no answer.
    """
    instruction = plan.parts[index].instruction

    def answer(match: re.Match[str]) -> str:
        number = int(match.group(1))
        value = plan.parts[number - 1].answer if 1 <= number <= len(plan.parts) else None
        if value is None:
            raise PlanError(f"part {index + 1} {instruction!r} needs the answer of part {number}, which brought none")
        return value

    return _PLACEHOLDER.sub(answer, instruction)


def next_open(plan: Plan) -> int | None:
    """The first part that is still open, or None."""
    return next((i for i, part in enumerate(plan.parts) if part.status == "open"), None)


def close(
    plan: Plan, index: int, status: Literal["done", "failed"], *, answer: str | None = None, steps: int = 0
) -> Plan:
    """The plan with part ``index`` closed and none active."""
    return _with(plan, index, active=None, status=status, answer=answer, steps=steps)


def activate(plan: Plan, index: int) -> Plan:
    """The plan with part ``index`` active."""
    return _with(plan, index, active=index, status="active")


def _with(plan: Plan, index: int, *, active: int | None, **changes: Any) -> Plan:
    parts = list(plan.parts)
    parts[index] = parts[index].model_copy(update=changes)
    return Plan(parts=tuple(parts), active=active)


def _find_parts(text: str) -> list[Any]:
    for value in json_values(text):
        if isinstance(value, dict) and isinstance(value.get("parts"), list):
            return list(value["parts"])
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            return value
    raise PlanError(f'no plan in {_short(text)}; write {{"parts": ["…", "…"]}}')


def _instruction(number: int, part: Any) -> str:
    value = part.get("instruction") if isinstance(part, dict) else part
    if not isinstance(value, str) or not value.strip():
        raise PlanError(f"part {number} is {part!r}; write a text that says what to do")
    return value.strip()


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else text[:120] + "…")
