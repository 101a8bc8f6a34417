"""The base class of all adversity: a Gymnasium wrapper that is also an :class:`~homeostat.envs.core.Env`.

It wraps a phone or another adversity. An adversity can intervene at three places: at the start of an episode
(:meth:`Adversity.begin`), after an action (:meth:`Adversity.after`), and between the phone and the agent (by overriding
``observe``, ``act`` and ``oracle``). Its random draws depend on the episode's seed, its own name and the number of the
step, but not on the actions; therefore two agents meet the same adversity. Its memory is ``state``, which is JSON-able
and part of the snapshot.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from typing import Any, ClassVar

import gymnasium

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.envs.gymnasium_adapter import GymnasiumAdapter
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.oracle_rollout import remaining, rollout
from homeostat.errors import ActionError, ConfigError, EnvError
from homeostat.observation import Observation

__all__ = ["Adversity", "share"]


def share(what: str, value: Any) -> float:
    """Checks a share or probability.

    Args:
        what: The name of the option, for the error message.
        value: The value.

    Returns:
        The value as a float.

    Raises:
        ConfigError: It is not a number from 0 to 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{what} {value!r} is out of range; choose a share from 0 to 1")
    return float(value)


class Adversity(GymnasiumAdapter, gymnasium.Wrapper[dict[str, Any], Any, dict[str, Any], Any]):
    """Base class of adversity. By itself it changes nothing.

    The task's ``optimal_steps`` are the oracle's steps under all adversity together. ``max_steps`` follow from them as
    on a plain phone: twice as many plus five.

    Attributes:
        inner: The wrapped environment.
        state: What the adversity remembers of the episode; JSON-able.
        info: The present task.
    """

    name: ClassVar[str] = "plain"
    restores = True

    def __init__(self, env: PhoneEnv | Adversity) -> None:
        """Wraps a phone.

        Args:
            env: A :class:`PhoneEnv` or another adversity.

        Raises:
            ConfigError: ``env`` is neither.
        """
        if not isinstance(env, PhoneEnv | Adversity):
            raise ConfigError(f"adversity wraps a phone, not {env!r}; give a PhoneEnv (gymnasium.make(...).unwrapped)")
        gymnasium.Wrapper.__init__(self, env)
        self.inner = env
        self.state: dict[str, Any] = {}
        self.info = env.info

    # -- hooks for subclasses ------------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Changes the phone at the start of an episode. The task is drawn already, and ``state`` is empty."""

    def after(self, action: a.Action) -> None:
        """Changes the phone after an action. It is not called once the episode is over.

        Args:
            action: The action that was executed.
        """

    def options(self) -> dict[str, Any]:
        """Returns the constructor's options.

        Returns:
            JSON-able data.
        """
        return {}

    def draw(self, *what: Any) -> random.Random:
        """Returns a random generator that depends on this adversity, the episode, and further values.

        Args:
            what: Further values, such as the number of the step.

        Returns:
            The generator.
        """
        info = self.phone.info
        return random.Random(" ".join(map(str, (self.name, self.phone.split, info.name, info.seed, *what))))

    # -- the wrapped phone ---------------------------------------------------------------------------------------------

    @property
    def phone(self) -> PhoneEnv:
        """The phone inside all adversity."""
        return self.inner if isinstance(self.inner, PhoneEnv) else self.inner.phone

    @property
    def device(self) -> Device:
        """The phone's device."""
        return self.phone.device

    @property
    def answers(self) -> list[str]:
        """The answers that the user received so far."""
        return self.phone.answers

    @property
    def status(self) -> str | None:  # type: ignore[override]  # a plain attribute on a phone
        """The status of the final ``terminate``; None before it."""
        return self.phone.status

    @property
    def steps(self) -> int:
        """The number of actions so far, including refused actions."""
        return self.phone.steps

    @steps.setter
    def steps(self, value: int) -> None:
        self.phone.steps = value

    def layers(self) -> tuple[Adversity, ...]:
        """Returns all adversity, from this wrapper inwards.

        Returns:
            The wrappers, the outermost first.
        """
        return (self, *(self.inner.layers() if isinstance(self.inner, Adversity) else ()))

    def obeyed(self) -> bool | None:
        """Returns whether an injected instruction was carried out; None if none was injected."""
        return self.inner.obeyed() if isinstance(self.inner, Adversity) else None

    def decoys(self) -> frozenset[str]:
        """Returns the names of the decoys that are installed."""
        return self.inner.decoys() if isinstance(self.inner, Adversity) else frozenset()

    def progress(self, steps: Sequence[tuple[a.Action, bool]]) -> tuple[float | None, ...]:
        """Judges the actions of the present episode by replaying it."""
        if self.phone.instance is None:
            return (None,) * len(steps)
        now = self.snapshot()
        self.reset_task(self.info.name, seed=self.info.seed)
        found: list[float | None] = []
        left = remaining(self)
        for action, done in steps:
            before = self.snapshot()
            with suppress(ActionError):
                self.act(action)
            then = remaining(self)
            found.append(None if left is None else -math.inf if then is None else left - then)
            if done:
                left = then
            else:
                self.resume(before)
        self.resume(now)
        return tuple(found)

    def subtasks(self) -> tuple[bool, ...]:
        """Returns, for every subtask that can be checked on its own, whether it is done now."""
        return self.phone.subtasks()

    def subtask_apps(self) -> tuple[str, ...]:
        """Returns, for every entry of :meth:`subtasks`, the app that the subtask is done in; "" if it has none."""
        return self.phone.subtask_apps()

    # -- the agent loop's contract -------------------------------------------------------------------------------------

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a task under adversity."""
        self._start(task, seed)
        self.info = self.phone.info
        if self.phone.instance is not None:
            self.info = self.phone.timed(rollout(self))
        return self.info

    def _start(self, task: str | None, seed: int | None) -> None:
        if isinstance(self.inner, Adversity):
            self.inner._start(task, seed)
        else:
            self.inner.reset_task(task, seed=seed)
        self.state = {}
        self.begin()

    def oracle(self) -> a.Action:
        """Returns the oracle's next action, expressed for the screen as this adversity shows it."""
        return self.inner.oracle()

    def observe(self) -> Observation:
        """Returns the screen as this adversity shows it."""
        return self.inner.observe()

    def act(self, action: a.Action) -> None:
        """Executes an action. An impossible action leaves the phone unchanged.

        Raises:
            ActionError: The action is impossible on this screen, or the episode has ended.
        """
        self.inner.act(action)
        if self.phone.status is None:
            self.after(action)

    def success(self) -> bool:
        """Returns whether the task's end is reached."""
        return self.phone.success()

    def snapshot(self) -> dict[str, Any]:
        """Returns the wrapped environment's snapshot and this adversity's own state as JSON-able data."""
        kept = {"options": self.options(), "state": deepcopy(self.state)}
        return {"adversity": self.name, **kept, "env": self.inner.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores a snapshot's state, in this process or another.

        Raises:
            EnvError: The snapshot was taken under other adversity.
        """
        self.reset_task(seed=self.configure(snapshot))
        self.resume(snapshot)

    def configure(self, snapshot: dict[str, Any]) -> int:
        """Adopts the constructor options that a snapshot holds.

        Args:
            snapshot: The value of :meth:`snapshot`.

        Returns:
            The episode's seed.

        Raises:
            EnvError: The snapshot was taken under other adversity.
        """
        kept = snapshot.get("adversity")
        if kept != self.name:
            raise EnvError(
                f"the snapshot has the adversity {kept!r} instead of {self.name!r}; wrap the phone in the same way"
            )
        self.adopt(**snapshot["options"])
        return self.inner.configure(snapshot["env"])

    def adopt(self, **options: Any) -> None:
        """Adopts constructor options.

        Args:
            options: The value of :meth:`options`.
        """
        for name, value in options.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Restores what has changed since the start of the episode.

        Args:
            snapshot: The value of :meth:`snapshot`, taken in the same episode.
        """
        self.state = deepcopy(snapshot["state"])
        self.inner.resume(snapshot["env"])

    def _reseed(self, seed: int | None) -> None:
        self.phone._reseed(seed)
