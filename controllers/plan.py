"""A plan as values: the subtasks of a goal, what they found out, and what can be asked of them.

A subtask is one of three things: something to *do* (an instruction for the executor), to *compute* from known values,
or to *say* to the user. What a subtask finds out is a :class:`Fact`: it has the subtask's number, and the name that the
plan gave it. In an instruction ``{1}`` stands for the answer of subtask 1 and ``{total}`` for the fact named
``total``. The executor never sees such a placeholder: :func:`resolve` replaces it by the value, or raises.

:mod:`homeostat.controllers.plan_updates` holds the functions that change a plan.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, Field

from homeostat.controllers.operations import YES, Operation
from homeostat.errors import PlanError

__all__ = ["PLACEHOLDER", "Fact", "Plan", "Source", "Subtask", "holds", "known", "needs_of", "next_open", "resolve"]

PLACEHOLDER = re.compile(r"\{(\w+)\}")
"""A reference to a subtask's number or to a fact's name."""

Status = Literal["open", "active", "done", "failed", "skipped"]

Source = Literal["answer", "compute", "report"]
"""Where a fact comes from: the executor's answer, a computation, or the screen as the reporter read it."""


class Fact(BaseModel, frozen=True, extra="forbid"):
    """A value that was found out, and where it comes from.

    Attributes:
        key: The fact's name.
        value: The value, as a text.
        subtask: The number of the subtask that found it, from 1.
        step: The step of the episode in which it was found, from 0.
        source: Where it comes from.
    """

    key: str
    value: str
    subtask: int
    step: int = 0
    source: Source = "answer"


class Subtask(BaseModel, frozen=True, extra="forbid"):
    """One step of a plan.

    One of ``instruction``, ``compute`` and ``say`` is given.

    Attributes:
        instruction: What the executor has to do. It may contain placeholders.
        compute: The operation to compute.
        of: The operation's inputs. They may contain placeholders.
        say: What to tell the user. It may contain placeholders.
        save: The name of the fact that the subtask finds out; empty without one.
        when: A condition: the name of a fact that has to be ``yes``, or ``"not "`` and such a name. The subtask is
            skipped if the condition does not hold.
        report: Names of further facts to read from the subtask's last screen.
        check: What the subtask's last screen has to show; empty for no check.
        max_steps: The most steps that the subtask may take; None leaves the limit to the controller.
        status: Whether it waits, runs, or how it ended.
        answer: What it found out; None if it found nothing.
        steps: The steps that it took.
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
        """All texts that may contain placeholders."""
        return tuple(t for t in (self.instruction, *self.of, self.say) if t)

    @property
    def condition(self) -> str:
        """The name or number in ``when``, without ``not`` and braces; empty without a condition."""
        return self.when.removeprefix("not ").strip("{} ")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the facts that the subtask finds out."""
        return tuple(name for name in (self.save, *self.report) if name)

    def __str__(self) -> str:
        """The subtask in a few words."""
        if self.compute is not None:
            return f"{self.compute} of {', '.join(self.of)}"
        return f"say {self.say}" if self.say else self.instruction


class Plan(BaseModel, frozen=True, extra="forbid"):
    """The subtasks of a goal and what is known so far.

    Attributes:
        subtasks: The subtasks, in order.
        active: The index of the active subtask, from 0; None if none is active.
        facts: What was found out, oldest first.
        finish: The planner's verdict that the goal is reached or can't be reached, whatever is open; None without one.
    """

    subtasks: tuple[Subtask, ...]
    active: int | None = None
    facts: tuple[Fact, ...] = ()
    finish: Literal["success", "failure"] | None = None


def known(plan: Plan) -> dict[str, str]:
    """Collects the known values of a plan.

    Args:
        plan: The plan.

    Returns:
        Every fact's latest value by its name, and every subtask's answer by its number.
    """
    values = {fact.key: fact.value for fact in plan.facts}
    return values | {str(n): s.answer for n, s in enumerate(plan.subtasks, start=1) if s.answer is not None}


def needs_of(text: str) -> tuple[str, ...]:
    """Finds the placeholders of a text.

    Args:
        text: The text.

    Returns:
        The names and numbers in braces, in order of appearance.
    """
    return tuple(PLACEHOLDER.findall(text))


def resolve(plan: Plan, index: int, text: str | None = None) -> str:
    """Replaces the placeholders of a text by their values.

    Values are inserted once: braces inside a value are not read as placeholders. A word in braces that is no name of
    the plan was written by the user and stays as it is.

    Args:
        plan: The plan.
        index: The index of the subtask to which the text belongs, from 0.
        text: One of the subtask's texts; None for its instruction.

    Returns:
        The text without placeholders.

    Raises:
        PlanError: A value that the text needs is unknown.
    """
    text = plan.subtasks[index].instruction if text is None else text
    values, names = known(plan), _names(plan.subtasks)

    def value(match: re.Match[str]) -> str:
        key = match.group(1)
        if key in values:
            return values[key]
        if key.isdigit():
            raise PlanError(f"subtask {index + 1} {text!r} needs the answer of subtask {key}, which gave none")
        if key in names:
            raise PlanError(f"subtask {index + 1} {text!r} needs {{{key}}}, which no subtask has found")
        return match.group(0)

    return PLACEHOLDER.sub(value, text)


def holds(plan: Plan, index: int) -> bool:
    """Evaluates a subtask's condition.

    Args:
        plan: The plan.
        index: The subtask's index, from 0.

    Returns:
        Whether the condition holds; True if there is none.

    Raises:
        PlanError: The fact that the condition names is unknown.
    """
    subtask = plan.subtasks[index]
    if not subtask.when:
        return True
    value = known(plan).get(subtask.condition)
    if value is None:
        raise PlanError(f"subtask {index + 1} has the condition {subtask.when!r}, but {subtask.condition!r} is unknown")
    return (value.strip().lower() == YES) is not subtask.when.startswith("not ")


def next_open(plan: Plan) -> int | None:
    """Finds the next subtask.

    Args:
        plan: The plan.

    Returns:
        The index of the first subtask that is still open; None if there is none.
    """
    return next((i for i, subtask in enumerate(plan.subtasks) if subtask.status == "open"), None)


def _names(subtasks: Sequence[Subtask]) -> set[str]:
    return {name for subtask in subtasks for name in subtask.names}
