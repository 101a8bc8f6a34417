"""The kind of a task, by which tables of results are grouped."""

from __future__ import annotations

from homeostat.envs.phone.env import JOINED
from homeostat.envs.phone.tasks.composed import COMPOSED

__all__ = ["task_kind"]


def task_kind(name: str) -> str:
    """Returns the kind of a task.

    Args:
        name: The task's name.

    Returns:
        A compositional template's kind; ``joined_plain`` or ``joined_carried``; ``atomic`` for every other task.
    """
    if name in COMPOSED:
        return COMPOSED[name].kind
    return name if name in JOINED else "atomic"
