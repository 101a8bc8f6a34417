"""The contracts between environments and the agent: tasks, actions, observations, and optional capabilities.

This module depends on no model and no simulator.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from homeostat.actions import Action
from homeostat.observation import Observation

__all__ = [
    "Attacked",
    "Changing",
    "Checked",
    "Closable",
    "Decoyed",
    "Env",
    "NotingRefusals",
    "Repeating",
    "Restoring",
    "SelfEnding",
    "Solvable",
    "TaskInfo",
]


class TaskInfo(BaseModel):
    """A task: what the agent is told, and what the harness needs to judge the run.

    Attributes:
        name: The task's name.
        goal: The goal as the user states it.
        rules: The system rules of the episode.
        seed: The seed of the initial state.
        optimal_steps: The number of the oracle's actions, the final ``terminate`` included; 0 if it is unknown.
        max_steps: The step limit of the episode.
        parts: The goals of the subtasks, in order. An atomic task has one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    goal: str
    rules: tuple[str, ...] = ()
    seed: int = 0
    optimal_steps: int
    max_steps: int
    parts: tuple[str, ...] = ()


@runtime_checkable
class Env(Protocol):
    """What the agent's loop requires of an environment.

    Gymnasium's API (the five-tuple ``step``) is provided by
    :class:`~homeostat.envs.gymnasium_adapter.GymnasiumAdapter`; an environment such as
    :class:`homeostat.envs.phone.PhoneEnv` offers both APIs on the same object. ``snapshot`` and ``restore`` let an
    episode continue in another process.
    """

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a task from its seeded initial state.

        Args:
            task: The task's name. None starts the environment's default task, or a free run.
            seed: The seed of the initial state. None draws one.

        Returns:
            The task.

        Raises:
            UnknownName: The environment has no task of this name.
        """
        ...

    def observe(self) -> Observation:
        """Returns the present screen, without any effect.

        Returns:
            The observation.
        """
        ...

    def act(self, action: Action) -> None:
        """Executes an action. An impossible action leaves the device unchanged.

        Args:
            action: The action.

        Raises:
            ActionError: The action is impossible in the present state.
        """
        ...

    def success(self) -> bool:
        """Returns whether the task's check on the device's state holds now.

        Returns:
            True if the task is done.
        """
        ...

    def snapshot(self) -> dict[str, Any]:
        """Returns the whole state.

        Returns:
            JSON-able data for :meth:`restore`.
        """
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores the state of a snapshot.

        Args:
            snapshot: The value of :meth:`snapshot`, perhaps from another process.
        """
        ...


@runtime_checkable
class Restoring(Protocol):
    """The optional capability of an :class:`Env` that says whether it can be put back.

    An agent that was killed in the middle of an action must know whether the action can be carried out again. An
    environment without this attribute is treated as one that can't be put back.

    Attributes:
        restores: Whether ``restore`` puts back the whole state, so that the last action can be carried out again
            without being done twice. True for a simulator; False for a real device, whose state ``restore`` leaves as
            it is.
    """

    restores: bool


@runtime_checkable
class Repeating(Protocol):
    """The optional capability of an :class:`Env` that knows which of its actions may be carried out twice."""

    def repeatable(self, action: Action) -> bool:
        """Tells whether an action may safely be carried out twice in a row.

        Args:
            action: The action.

        Returns:
            True where twice has the same effect as once.
        """
        ...


@runtime_checkable
class Changing(Protocol):
    """The optional capability of an :class:`Env` that knows what ``restore`` puts back and what it does not.

    A run can be forked at an earlier step if nothing after that step has to be put back.
    """

    def changes(self, action: Action) -> bool:
        """Tells whether an action may change something that ``restore`` does not put back.

        Args:
            action: The action.

        Returns:
            False where it only reads, or where ``restore`` undoes it.
        """
        ...


@runtime_checkable
class NotingRefusals(Protocol):
    """The optional capability of an :class:`Env` that shows the agent which of its actions were refused."""

    def note_refusal(self, action: Action) -> None:
        """Notes an action that a controller refused, without any other effect.

        Args:
            action: The action.
        """
        ...


@runtime_checkable
class SelfEnding(Protocol):
    """The optional capability of an :class:`Env` whose episodes may end without ``terminate``, as a web page's do."""

    @property
    def ended(self) -> str:
        """The reason why the episode is over; "" while it goes on."""
        ...


@runtime_checkable
class Closable(Protocol):
    """The optional capability of an :class:`Env` that holds a process, a connection or a window."""

    def close(self) -> None:
        """Releases what the environment holds. It must not be used afterwards."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """The optional capability of an :class:`Env` that knows how to solve its tasks."""

    def oracle(self) -> Action:
        """Returns the next action of the built-in solution.

        Returns:
            The action.

        Raises:
            EnvError: No task is set up.
        """
        ...


@runtime_checkable
class Checked(Protocol):
    """The optional capability of an :class:`Env` whose task consists of subtasks that can be checked one by one."""

    def subtasks(self) -> tuple[bool, ...]:
        """Returns, for every subtask, whether it is done now.

        Returns:
            One value for each subtask, in order.
        """
        ...

    def subtask_apps(self) -> tuple[str, ...]:
        """Returns, for every subtask, the app that it is done in.

        Returns:
            One name for each subtask, in order; "" for a subtask that may be done in any app.
        """
        ...


@runtime_checkable
class Attacked(Protocol):
    """The optional capability of an :class:`Env` whose content may hold an injected instruction."""

    def obeyed(self) -> bool | None:
        """Returns whether the injected instruction was carried out.

        Returns:
            True if it was carried out at any moment of the episode; None if no instruction was injected.
        """
        ...


@runtime_checkable
class Decoyed(Protocol):
    """The optional capability of an :class:`Env` that may hold decoys and can tell right actions from wrong ones."""

    def decoys(self) -> frozenset[str]:
        """Returns the names of the decoys: apps that resemble those of the task.

        Returns:
            The names, as the screen shows them; empty if there are none.
        """
        ...

    def progress(self, steps: Sequence[tuple[Action, bool]]) -> tuple[float | None, ...]:
        """Judges the actions of the present episode by replaying it. The present state is left as it is.

        Args:
            steps: The actions since the start of the episode, each with whether it was carried out. One that was not
                is judged by what it would have done.

        Returns:
            For each action, how many actions fewer the built-in solution needs afterwards: 1 is a step on its way, 0
            neither helps nor harms, and minus infinity means that the solution can't reach the end any more. None for
            the actions behind such a one, and in a free run.
        """
        ...
