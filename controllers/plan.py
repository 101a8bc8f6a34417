"""A plan as values, and its parts' way from open to closed.

A part is one of three: something to *do* (an instruction for the executor), to *compute* from what is known, or to
*say* to the user. What a part brings is a :class:`Fact`: it bears the part's number, and the name that the plan gave
it. ``{1}`` in an instruction stands for what part 1 brought, ``{total}`` for the fact of that name. The executor never
sees a placeholder: :func:`resolve` puts the literal in, or raises.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from homeostat.controllers.operations import YES, Operation
from homeostat.errors import PlanError

__all__ = [
    "Fact",
    "Plan",
    "Subtask",
    "activate",
    "close",
    "holds",
    "known",
    "learn",
    "needs_of",
    "next_open",
    "resolve",
    "revise",
]

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
Status = Literal["open", "active", "done", "failed", "skipped"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Fact(_Value):
    """A value that was found out, and where it comes from.

    ``part`` counts from 1; ``step`` is the episode's when it was taken. ``source``: the executor's answer, a
    computation, or read off the screen by the reporter.
    """

    key: str
    value: str
    part: int
    step: int = 0
    source: Literal["answer", "compute", "report"] = "answer"


class Subtask(_Value):
    """One part of a plan.

    Of ``instruction``, ``compute`` (with its inputs ``of``) and ``say`` one is given; all may hold placeholders.
    ``save`` names what it brings. ``when``: a fact that has to be ``yes``, or ``not`` one, else the part is skipped.
    ``report``: further facts to read off its last screen; ``check``: what has to be seen there; ``max_steps``: its own
    cap.
    """

    instruction: str = ""
    compute: Operation | None = None
    of: tuple[str, ...] = ()
    say: str = ""
    save: str = ""
    when: str = ""
    report: tuple[str, ...] = ()
    check: str = ""
    max_steps: int | None = Field(default=None, ge=1)
    status: Status = "open"
    answer: str | None = None
    steps: int = 0

    @property
    def texts(self) -> tuple[str, ...]:
        """Everything in which placeholders may stand."""
        return tuple(t for t in (self.instruction, *self.of, self.say) if t)

    def __str__(self) -> str:
        """The part in a few words."""
        if self.compute is not None:
            return f"{self.compute} of {', '.join(self.of)}"
        return f"say {self.say}" if self.say else self.instruction


class Plan(_Value):
    """The goal's parts in order, which one is active (None before the first dispatch), and what is known so far.

    ``finish``: the planner holds the goal for reached or failed, whatever is open.
    """

    parts: tuple[Subtask, ...]
    active: int | None = None
    facts: tuple[Fact, ...] = ()
    finish: Literal["success", "failure"] | None = None


def known(plan: Plan) -> dict[str, str]:
    """Every fact's latest value by its name, and every part's answer by its number."""
    values = {fact.key: fact.value for fact in plan.facts}
    return values | {str(n): p.answer for n, p in enumerate(plan.parts, start=1) if p.answer is not None}


def needs_of(text: str) -> tuple[str, ...]:
    """The names and numbers that stand in braces in a text, in order of appearance."""
    return tuple(_PLACEHOLDER.findall(text))


def resolve(plan: Plan, index: int, text: str | None = None) -> str:
    """Part ``index``'s instruction, or another ``text`` of it, with every placeholder replaced by what it stands for.

    Values are put in as they are: braces inside one are not read as placeholders. A word in braces that names no fact
    of the plan is the user's own and stays. Raises :class:`PlanError` where a needed part brought nothing.
    """
    part = plan.parts[index]
    text = part.instruction if text is None else text
    values, names = known(plan), _names(plan.parts)

    def value(match: re.Match[str]) -> str:
        key = match.group(1)
        if key in values:
            return values[key]
        if key.isdigit():
            raise PlanError(f"part {index + 1} {text!r} needs the answer of part {key}, which brought none")
        if key in names:
            raise PlanError(f"part {index + 1} {text!r} needs {{{key}}}, which no part has brought")
        return match.group(0)

    return _PLACEHOLDER.sub(value, text)


def holds(plan: Plan, index: int) -> bool:
    """Whether a part's condition is met; one without a condition always is. Raises :class:`PlanError` where unknown."""
    when = plan.parts[index].when
    if not when:
        return True
    key = when.removeprefix("not ").strip().strip("{}")
    value = known(plan).get(key)
    if value is None:
        raise PlanError(f"part {index + 1} is to be done when {when!r}, and {key!r} is not known")
    return (value.strip().lower() == YES) is not when.startswith("not ")


def next_open(plan: Plan) -> int | None:
    """The first part that is still open, or None."""
    return next((i for i, part in enumerate(plan.parts) if part.status == "open"), None)


def close(
    plan: Plan,
    index: int,
    status: Literal["done", "failed", "skipped"],
    *,
    answer: str | None = None,
    steps: int = 0,
    step: int = 0,
    source: Literal["answer", "compute", "report"] = "answer",
) -> Plan:
    """The plan with part ``index`` closed, its answer among the facts (where it has a name), and none active."""
    closed = _with(plan, index, active=None, status=status, answer=answer, steps=steps)
    save = plan.parts[index].save
    if not save or answer is None:
        return closed
    return learn(closed, index, {save: answer}, step=step, source=source)


def activate(plan: Plan, index: int) -> Plan:
    """The plan with part ``index`` active."""
    return _with(plan, index, active=index, status="active")


def learn(
    plan: Plan,
    index: int,
    values: Mapping[str, str],
    *,
    step: int = 0,
    source: Literal["answer", "compute", "report"] = "report",
) -> Plan:
    """The plan with facts that part ``index`` brought; later ones of a name count."""
    facts = [Fact(key=k, value=v, part=index + 1, step=step, source=source) for k, v in values.items()]
    return plan.model_copy(update={"facts": (*plan.facts, *facts)})


def revise(before: Plan, new: Plan) -> Plan:
    """The parts that are closed, then those of a new plan that are not done yet.

    A new part that says what a done one said *is* that one: it is not done again (unless it is there twice), and
    ``{2}`` for it becomes that one's number. Facts stay.
    """
    kept = [n for n, part in enumerate(before.parts, start=1) if part.status not in ("open", "active")]
    moved = {str(old): new for new, old in enumerate(kept, start=1)}
    closed = [_renumber(before.parts[n - 1], moved) for n in kept]
    facts = tuple(f.model_copy(update={"part": moved[str(f.part)]}) for f in before.facts if str(f.part) in moved)
    done: dict[str, list[int]] = {}
    for number, part in enumerate(closed, start=1):
        if part.status in ("done", "skipped"):
            done.setdefault(str(part), []).append(number)
    numbers: dict[str, int] = {}
    added: list[Subtask] = []
    for number, part in enumerate(new.parts, start=1):
        renumbered = _renumber(part, numbers)
        same = done.get(str(renumbered), [])
        if not same:
            added.append(renumbered)
        numbers[str(number)] = same.pop(0) if same else len(closed) + len(added)
    return Plan(parts=(*closed, *added), facts=facts, finish=new.finish)


def _renumber(part: Subtask, numbers: Mapping[str, int]) -> Subtask:
    def number(match: re.Match[str]) -> str:
        key = match.group(1)
        return f"{{{numbers[key]}}}" if key in numbers else match.group(0)

    def text(value: str) -> str:
        return _PLACEHOLDER.sub(number, value)

    update: dict[str, Any] = {"instruction": text(part.instruction), "of": tuple(map(text, part.of))}
    key = part.when.removeprefix("not ").strip().strip("{}")
    if key in numbers:
        update["when"] = ("not " if part.when.startswith("not ") else "") + str(numbers[key])
    return part.model_copy(update=update | {"say": text(part.say)})


def _names(parts: Sequence[Subtask]) -> set[str]:
    return {name for part in parts for name in (part.save, *part.report) if name}


def _with(plan: Plan, index: int, *, active: int | None, **changes: Any) -> Plan:
    parts = list(plan.parts)
    parts[index] = parts[index].model_copy(update=changes)
    return plan.model_copy(update={"parts": tuple(parts), "active": active})
