"""The oracle's way from here to the end, and back: how many steps a task takes on the phone as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from homeostat import actions as a

__all__ = ["Walkable", "walk"]

MOST = 200  # steps; no task comes near


class Walkable(Protocol):
    """What can be walked through: a phone, or a phone behind adversity."""

    def oracle(self) -> a.Action:
        """The oracle's next action."""
        ...

    def act(self, action: a.Action) -> None:
        """Carry it out."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """The whole state."""
        ...

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Put back what has changed since."""
        ...


def walk(env: Walkable, look: Callable[[a.Action], None] | None = None) -> int:
    """The oracle's steps, its final ``terminate`` included (``MOST`` where it does not end); ``env`` is put back.

    ``look`` is told every action before it is carried out, and None's place at the end: the screen is then still the
    one that the action was chosen on.
    """
    before, steps = env.snapshot(), 0
    action: a.Action | None = None
    while steps < MOST and not isinstance(action, a.Terminate):
        action = env.oracle()
        if look is not None:
            look(action)
        env.act(action)
        steps += 1
    env.resume(before)
    return steps
