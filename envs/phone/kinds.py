"""Which kind of task a name stands for: what tables of results group by."""

from __future__ import annotations

from homeostat.envs.phone.env import JOINED

__all__ = ["task_kind"]


def task_kind(name: str) -> str:
    """``joined_plain`` and ``joined_carried`` for themselves, ``atomic`` for every other task."""
    return name if name in JOINED else "atomic"
