"""Changes of a plan: a subtask becomes active, is closed, finds facts; a new plan replaces the open subtasks.

Plans are immutable, so every function returns a new one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal

from homeostat.controllers.plan import PLACEHOLDER, Fact, Plan, Source, Subtask

__all__ = ["activate", "close", "learn", "revise"]


def activate(plan: Plan, index: int) -> Plan:
    """Makes a subtask the active one.

    Args:
        plan: The plan.
        index: The subtask's index, from 0.

    Returns:
        The plan with that subtask active.
    """
    return _with(plan, index, active=index, status="active")


def close(
    plan: Plan,
    index: int,
    status: Literal["done", "failed", "skipped"],
    *,
    answer: str | None = None,
    steps: int = 0,
    step: int = 0,
    source: Source = "answer",
) -> Plan:
    """Closes a subtask.

    Args:
        plan: The plan.
        index: The subtask's index, from 0.
        status: How it ended.
        answer: What it found out; None if it found nothing.
        steps: The steps that it took.
        step: The episode's step at which it ended, from 0.
        source: Where the answer comes from.

    Returns:
        The plan without an active subtask. The answer is among its facts if the subtask names one.
    """
    closed = _with(plan, index, active=None, status=status, answer=answer, steps=steps)
    save = plan.subtasks[index].save
    if not save or answer is None:
        return closed
    return learn(closed, index, {save: answer}, step=step, source=source)


def learn(plan: Plan, index: int, values: Mapping[str, str], *, step: int = 0, source: Source = "report") -> Plan:
    """Adds facts to a plan. The latest fact of a name counts.

    Args:
        plan: The plan.
        index: The index of the subtask that found them, from 0.
        values: The values by name.
        step: The episode's step, from 0.
        source: Where the values come from.

    Returns:
        The plan with these facts.
    """
    facts = [Fact(key=k, value=v, subtask=index + 1, step=step, source=source) for k, v in values.items()]
    return plan.model_copy(update={"facts": (*plan.facts, *facts)})


def revise(before: Plan, new: Plan) -> Plan:
    """Replaces the open subtasks of a plan by those of a new plan.

    A new subtask with the same text as one that is done counts as that one, so it is not done again (unless the new
    plan has it twice), and references to it refer to the done one. Facts are kept.

    Args:
        before: The plan so far.
        new: The planner's new plan, which numbers its own subtasks from 1.

    Returns:
        The closed subtasks of the old plan, then the subtasks of the new plan that are not done yet.
    """
    kept = [n for n, subtask in enumerate(before.subtasks, start=1) if subtask.status not in ("open", "active")]
    moved = {str(old): number for number, old in enumerate(kept, start=1)}
    closed = [_renumber(before.subtasks[n - 1], moved) for n in kept]
    facts = tuple(
        fact.model_copy(update={"subtask": moved[str(fact.subtask)]})
        for fact in before.facts
        if str(fact.subtask) in moved
    )
    done: dict[str, list[int]] = {}
    for number, subtask in enumerate(closed, start=1):
        if subtask.status in ("done", "skipped"):
            done.setdefault(str(subtask), []).append(number)
    numbers: dict[str, int] = {}
    added: list[Subtask] = []
    for number, subtask in enumerate(new.subtasks, start=1):
        renumbered = _renumber(subtask, numbers)
        same = done.get(str(renumbered), [])
        if not same:
            added.append(renumbered)
        numbers[str(number)] = same.pop(0) if same else len(closed) + len(added)
    return Plan(subtasks=(*closed, *added), facts=facts, finish=new.finish)


def _renumber(subtask: Subtask, numbers: Mapping[str, int]) -> Subtask:
    """The subtask with its references to other subtasks' numbers replaced."""

    def number(match: re.Match[str]) -> str:
        key = match.group(1)
        return f"{{{numbers[key]}}}" if key in numbers else match.group(0)

    def text(value: str) -> str:
        return PLACEHOLDER.sub(number, value)

    update: dict[str, Any] = {"instruction": text(subtask.instruction), "of": tuple(map(text, subtask.of))}
    if subtask.condition in numbers:
        update["when"] = ("not " if subtask.when.startswith("not ") else "") + str(numbers[subtask.condition])
    return subtask.model_copy(update=update | {"say": text(subtask.say)})


def _with(plan: Plan, index: int, *, active: int | None, **changes: Any) -> Plan:
    subtasks = list(plan.subtasks)
    subtasks[index] = subtasks[index].model_copy(update=changes)
    return plan.model_copy(update={"subtasks": tuple(subtasks), "active": active})
