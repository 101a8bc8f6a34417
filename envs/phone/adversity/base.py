"""What every adversity is: a Gymnasium wrapper that is an ``Env`` too, around a phone or around another adversity.

An adversity may act at three places: at an episode's start (:meth:`Adversity.begin`), after an action
(:meth:`Adversity.after`), and between the screen and whoever looks (``observe``, ``act``, ``oracle`` overridden). What
it draws comes from the episode's seed, its own name and the step's number, never from what was done: so two agents meet
the same adversity. What it remembers is ``state``, JSON-able, part of the snapshot.
"""

from __future__ import annotations

import random
from copy import deepcopy
from typing import Any, ClassVar

import gymnasium

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.envs.gymnasium_adapter import GymnasiumAdapter
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.oracle_rollout import rollout
from homeostat.errors import ConfigError, EnvError
from homeostat.observation import Observation

__all__ = ["Adversity", "share"]


def share(what: str, value: Any) -> float:
    """A share or probability. Raises :class:`ConfigError` where it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ConfigError(f"{what} {value!r} is no share; choose a number from 0 to 1")
    return float(value)


class Adversity(GymnasiumAdapter, gymnasium.Wrapper[dict[str, Any], Any, dict[str, Any], Any]):
    """Base class, and by itself a wrapper that changes nothing.

    ``env``: a :class:`PhoneEnv` or another adversity; anything else is a :class:`ConfigError`. The task's
    ``optimal_steps`` are the oracle's under all the adversity there is, and ``max_steps`` follow from them as on a
    plain phone (twice as many, and five more).
    """

    name: ClassVar[str] = "plain"

    def __init__(self, env: PhoneEnv | Adversity) -> None:
        if not isinstance(env, PhoneEnv | Adversity):
            raise ConfigError(f"adversity is for a phone, not {env!r}; give a PhoneEnv (of gymnasium.make: .unwrapped)")
        gymnasium.Wrapper.__init__(self, env)
        self.inner = env
        self.state: dict[str, Any] = {}
        self.info = env.info

    # -- what an adversity adds ---------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Change the phone at the start of an episode; ``state`` is empty, the task in ``self.phone`` is drawn."""

    def after(self, action: a.Action) -> None:
        """Change the phone after an action, unless the episode is over."""

    def options(self) -> dict[str, Any]:
        """The constructor's options as JSON-able data."""
        return {}

    def draw(self, *what: Any) -> random.Random:
        """A generator of this adversity's own for this episode and what else is named."""
        info = self.phone.info
        return random.Random(" ".join(map(str, (self.name, self.phone.split, info.name, info.seed, *what))))

    # -- what is inside -----------------------------------------------------------------------------------------------

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
        """What the user was told so far."""
        return self.phone.answers

    @property
    def status(self) -> str | None:  # type: ignore[override]  # a plain attribute on a phone
        """None until ``terminate``."""
        return self.phone.status

    @property
    def steps(self) -> int:
        """Actions so far, refused ones included."""
        return self.phone.steps

    @steps.setter
    def steps(self, value: int) -> None:
        self.phone.steps = value

    def layers(self) -> tuple[Adversity, ...]:
        """All adversity from here inwards."""
        return (self, *(self.inner.layers() if isinstance(self.inner, Adversity) else ()))

    def obeyed(self) -> bool | None:
        """Whether an injected instruction was obeyed; None where none was injected."""
        return self.inner.obeyed() if isinstance(self.inner, Adversity) else None

    def subtasks(self) -> tuple[bool, ...]:
        """For every part of the task, whether what it asks for is there now."""
        return self.phone.subtasks()

    def subtask_apps(self) -> tuple[str, ...]:
        """For every part of the task, the app that it is done in; "" where it has none of its own."""
        return self.phone.subtask_apps()

    # -- the loop's face ----------------------------------------------------------------------------------------------

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Start a task under adversity."""
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
        """The oracle's next action, as an agent in front of this screen would have to write it."""
        return self.inner.oracle()

    def observe(self) -> Observation:
        """The screen as this adversity shows it."""
        return self.inner.observe()

    def act(self, action: a.Action) -> None:
        """Carry the action out. Raises ``ActionError`` where it can't be, with the phone unchanged."""
        self.inner.act(action)
        if self.phone.status is None:
            self.after(action)

    def success(self) -> bool:
        """Whether the task's end is reached."""
        return self.phone.success()

    def snapshot(self) -> dict[str, Any]:
        """The whole state as JSON-able data, inside what this adversity adds."""
        kept = {"options": self.options(), "state": deepcopy(self.state)}
        return {"adversity": self.name, **kept, "env": self.inner.snapshot()}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put a snapshot's state back, in this process or another. Raises ``EnvError`` for other adversity."""
        self.reset_task(seed=self.configure(snapshot))
        self.resume(snapshot)

    def configure(self, snapshot: dict[str, Any]) -> int:
        """Take over a snapshot's options; its seed."""
        kept = snapshot.get("adversity")
        if kept != self.name:
            raise EnvError(f"the snapshot has the adversity {kept!r} where {self.name!r} stands; wrap the phone alike")
        self.adopt(**snapshot["options"])
        return self.inner.configure(snapshot["env"])

    def adopt(self, **options: Any) -> None:
        """Take over what :meth:`options` gave."""
        for name, value in options.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)

    def resume(self, snapshot: dict[str, Any]) -> None:
        """Put back what has changed since the episode's start."""
        self.state = deepcopy(snapshot["state"])
        self.inner.resume(snapshot["env"])

    def _reseed(self, seed: int | None) -> None:
        self.phone._reseed(seed)
