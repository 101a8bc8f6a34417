"""What really happened in an episode, as far as an environment can tell."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Truth"]


@dataclass(frozen=True)
class Truth:
    """What happened, as the environment knows it.

    ``reached``: the share of subtasks that are done (a forbidden task: 1 where it was left alone). ``apps``: those the
    agent acted in, ``role_apps``: those that its task is about (None: any). ``told``: values it typed or answered,
    ``seen``: those among them that stood in the goal or on a screen before. ``broken``: rules that it broke.
    """

    reached: float
    apps: frozenset[str] = frozenset()
    role_apps: frozenset[str] | None = None
    told: frozenset[str] = frozenset()
    seen: frozenset[str] = frozenset()
    broken: tuple[str, ...] = ()
