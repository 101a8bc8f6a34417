"""Environments whose tools act on a simulated world of their own, which every task begins anew."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from contextlib import suppress
from typing import Any

from homeostat.actions import Action, Call
from homeostat.envs.core import TaskInfo
from homeostat.envs.tools.env import ToolEnv
from homeostat.errors import ActionError, EnvError
from homeostat.observation import Observation

__all__ = ["PerTaskEnv"]


class PerTaskEnv(ABC):
    """An environment that builds a :class:`ToolEnv` with a fresh world for every task.

    Its tools are deterministic and change nothing but that world. So :meth:`restore` builds the world again and repeats
    the calls, and a run continues in another process exactly where it was.

    Attributes:
        restores: Always True.
    """

    restores = True

    def __init__(self) -> None:
        self._inner: ToolEnv | None = None
        self._begun: tuple[str | None, int] = (None, 0)

    @abstractmethod
    def build(self, task: str | None, seed: int) -> ToolEnv:
        """Builds the tools with a fresh world.

        Args:
            task: The task's name; None for a free conversation.
            seed: The seed of the world.

        Returns:
            An environment of these tools, which has the task if one is named.

        Raises:
            UnknownName: There is no such task.
        """

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a task in a fresh world, or a free conversation if ``task`` is None."""
        seed = random.randrange(2**31) if seed is None else seed
        self._inner, self._begun = self.build(task, seed), (task, seed)
        return self._inner.reset_task(task, seed=seed)

    @property
    def current(self) -> ToolEnv:
        """The tools of the present task.

        Raises:
            EnvError: No task is set up.
        """
        if self._inner is None:
            raise EnvError("no task is set up; call reset_task first")
        return self._inner

    def observe(self) -> Observation:
        """Returns the conversation so far."""
        return self.current.observe()

    def act(self, action: Action) -> None:
        """Calls tools or answers, as :meth:`ToolEnv.act` does."""
        self.current.act(action)

    def note_refusal(self, action: Action) -> None:
        """Notes refused calls in the conversation, as :meth:`ToolEnv.note_refusal` does.

        Args:
            action: The action that a controller refused.
        """
        self.current.note_refusal(action)

    def repeatable(self, action: Action) -> bool:
        """Tells whether every tool that an action calls may be called twice.

        Args:
            action: The action.

        Returns:
            True where twice has the same effect as once.
        """
        return self.current.repeatable(action)

    @property
    def ended(self) -> str:
        """The reason why the episode is over; "" while it goes on."""
        return self.current.ended

    def success(self) -> bool:
        """Whether the task's check holds now."""
        return self.current.success()

    def obeyed(self) -> bool | None:
        """Whether the injected order was carried out; None in an episode without one."""
        return self.current.obeyed()

    def oracle(self) -> Action:
        """The next action of the task's known solution."""
        return self.current.oracle()

    def snapshot(self) -> dict[str, Any]:
        """The task, its seed and the conversation; the world follows from these."""
        task, seed = self._begun
        return {"task": task, "seed": seed, "conversation": self.current.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Builds the world again, repeats the calls, and restores the conversation."""
        self.reset_task(snapshot["task"], seed=snapshot["seed"])
        for call, _ in snapshot["conversation"]["done"]:
            with suppress(ActionError):  # what failed then fails again
                self.current.act(Call.model_validate(call))
        self.current.restore(snapshot["conversation"])
