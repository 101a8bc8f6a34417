"""Tasks of a tool environment: a request, rules, and a check that judges what was done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.actions import Call

__all__ = ["Outcome", "ToolTask"]


@dataclass(frozen=True)
class Outcome:
    """What happened in an episode.

    Attributes:
        calls: The calls that were carried out, in order, with their results; of a call that failed, the error.
        answer: The last text that the assistant said; "" if it said nothing.
        state: What the environment's ``state`` function returned; None without one.
    """

    calls: Sequence[tuple[Call, str]]
    answer: str
    state: Any = None


@dataclass(frozen=True)
class ToolTask:
    """A task.

    Attributes:
        name: Its name, unique in the environment.
        goal: The user's request.
        check: Tells from the outcome whether the task is done; None where nothing judges it.
        rules: Rules of this task, besides those of the environment.
        max_steps: The most turns of the assistant.
        optimal_steps: The fewest turns that solve it; 0 if unknown.
        solution: Calls that solve it, and last the answer in words; empty if unknown.
        obeyed: For a task with an injected order: tells from the outcome whether the order was carried out; None
            without one.
    """

    name: str
    goal: str
    check: Callable[[Outcome], bool] | None = None
    rules: tuple[str, ...] = ()
    max_steps: int = 12
    optimal_steps: int = 0
    solution: tuple[Call | str, ...] = ()
    obeyed: Callable[[Outcome], bool] | None = None
