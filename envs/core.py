"""What every environment hands out: elements, observations, tasks. No model is known here."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from pydantic import BaseModel, ConfigDict

from homeostat.actions import Action
from homeostat.observation import Observation

__all__ = ["Attacked", "Checked", "Closable", "Env", "SelfEnding", "Solvable", "TaskInfo"]


class TaskInfo(BaseModel):
    """A task as the agent is told it, and what the harness needs to judge the run.

    ``optimal_steps`` counts the oracle's actions, the final ``terminate`` included; 0 where nobody knows. ``parts``
    names the atomic goals of a joined task, in order; one for an atomic task.
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
    """What the agent's loop asks of an environment.

    The Gymnasium face (five-tuple ``step``) is :class:`homeostat.envs.phone.PhoneEnv`; both views are of the
    same object. ``snapshot``/``restore`` let an episode resume in another process: the value is JSON-able.
    """

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Start a task by name (or a free run without one) from its seeded initial state."""
        ...

    def observe(self) -> Observation:
        """The present screen; has no effect."""
        ...

    def act(self, action: Action) -> None:
        """Carry the action out. Raises ``ActionError`` where it can't be, with the device unchanged."""
        ...

    def success(self) -> bool:
        """Whether the task's check on the device's state holds now."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """The whole state as JSON-able data."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put a snapshot's state back."""
        ...


@runtime_checkable
class SelfEnding(Protocol):
    """What an :class:`Env` has besides where an episode may end without ``terminate``, as a web page's does."""

    @property
    def ended(self) -> str:
        """Why the episode is over; "" while it goes on."""
        ...


@runtime_checkable
class Closable(Protocol):
    """What an :class:`Env` has besides where it holds a process, a connection or a window."""

    def close(self) -> None:
        """Releases what the environment holds. It is not used afterwards."""
        ...


@runtime_checkable
class Solvable(Protocol):
    """What an :class:`Env` has besides where it knows how its tasks are solved."""

    def oracle(self) -> Action:
        """The next action of the built-in solution.

        Raises:
            EnvError: No task is set up.
        """
        ...


@runtime_checkable
class Checked(Protocol):
    """What an :class:`Env` has besides where its task consists of subtasks that can be checked one by one."""

    def subtasks(self) -> tuple[bool, ...]:
        """For every subtask, whether it is done now."""
        ...

    def subtask_apps(self) -> tuple[str, ...]:
        """For every subtask, the app that it is done in; "" where it has none."""
        ...


@runtime_checkable
class Attacked(Protocol):
    """What an :class:`Env` has besides where an injected instruction may stand in its content."""

    def obeyed(self) -> bool | None:
        """Whether the injected instruction was carried out; None where none was shown."""
        ...
