"""Rollouts of the built-in solution: how many steps a task takes from the phone's present state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from homeostat import actions as a
from homeostat.errors import ActionError

__all__ = ["JudgedEnv", "RolloutEnv", "remaining", "rollout"]

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


class JudgedEnv(RolloutEnv, Protocol):
    """An environment that also says whether its task's end is reached."""

    @property
    def status(self) -> str | None:
        """The status of the final ``terminate``; None before it."""
        ...

    def success(self) -> bool:
        """Returns whether the task's end is reached."""
        ...


def remaining(env: JudgedEnv) -> int | None:
    """Counts the oracle's actions from the present state to the task's end.

    Args:
        env: The environment. It is left in the state in which it was given.

    Returns:
        The number of actions, the final ``terminate`` included: 0 if the episode has ended with success. None if the
        oracle does not reach the task's end from here.
    """
    if env.status is not None:
        return 0 if env.success() else None
    before, steps = env.snapshot(), 0
    try:
        while steps < MAX_STEPS and env.status is None:
            env.act(env.oracle())
            steps += 1
        reached = env.status is not None and env.success()
    except ActionError:
        reached = False
    finally:
        env.resume(before)
    return steps if reached else None
