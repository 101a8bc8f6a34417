"""Rollouts of the built-in solution: how many steps a task takes from the phone's present state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from homeostat import actions as a

__all__ = ["RolloutEnv", "rollout"]

MAX_STEPS = 200  # a bound against endless rollouts; every task takes far fewer steps


class RolloutEnv(Protocol):
    """An environment that can be rolled out and put back: a phone, or a phone inside adversity."""

    def oracle(self) -> a.Action:
        """Returns the next action of the built-in solution.

        Returns:
            The action.
        """
        ...

    def act(self, action: a.Action) -> None:
        """Executes an action.

        Args:
            action: The action.
        """
        ...

    def snapshot(self) -> dict[str, Any]:
        """Returns the whole state.

        Returns:
            JSON-able data.
        """
        ...

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Restores what has changed since a snapshot of the same episode was taken.

        Args:
            snapshot: The value of :meth:`snapshot`.
        """
        ...


def rollout(env: RolloutEnv, look: Callable[[a.Action], None] | None = None) -> int:
    """Executes the oracle's actions until it terminates, then restores the initial state.

    Args:
        env: The environment. It is left in the state in which it was given.
        look: A function that receives every action before it is executed, while the screen on which the action was
            chosen is still visible.

    Returns:
        The number of actions, the final ``terminate`` included; ``MAX_STEPS`` if the oracle does not terminate.
    """
    before, steps = env.snapshot(), 0
    action: a.Action | None = None
    while steps < MAX_STEPS and not isinstance(action, a.Terminate):
        action = env.oracle()
        if look is not None:
            look(action)
        env.act(action)
        steps += 1
    env.resume(before)
    return steps
