"""Which kind of task a name stands for: what tables of results group by."""

from __future__ import annotations

from homeostat.envs.phone.env import JOINED
from homeostat.envs.phone.tasks.composed import COMPOSED

__all__ = ["task_kind"]


def task_kind(name: str) -> str:
    """A compositional template's own kind, ``joined_plain`` or ``joined_carried``, ``atomic`` for every other task."""
    if name in COMPOSED:
        return COMPOSED[name].kind
    return name if name in JOINED else "atomic"
