"""The activity in recordings that questions are asked about: small tasks and visits to apps, one after another."""

from __future__ import annotations

import random
from collections.abc import Sequence

from homeostat import actions as a
from homeostat.envs.phone.adversity import Adversity
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.base import NotPossible, World
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.envs.phone.tasks.words import Words

__all__ = ["Errands"]

_TRIES = 20


class Errands:
    """A policy that does a sequence of errands: atomic tasks and visits to apps.

    A task is drawn on the phone in its present state and done by its oracle. A visit opens an app. Between two errands
    the policy sometimes returns to the launcher.

    Attributes:
        names: The remaining errands: names of atomic tasks or of apps.
        rng: The random generator.
        failed: Whether a task was left out because it fitted nothing on this phone.
    """

    def __init__(self, names: Sequence[str], rng: random.Random) -> None:
        """Creates the policy.

        Args:
            names: The errands, in order.
            rng: The random generator.
        """
        self.names, self.rng = list(names), rng
        self.failed = False
        self._task: Instance | None = None
        self._heard = 0

    @property
    def done(self) -> bool:
        """Whether all errands were done and none was left out."""
        return not self.names and self._task is None and not self.failed

    def __call__(self, env: PhoneEnv | Adversity) -> a.Action | None:
        """Returns the next action; None once all errands are done."""
        phone = env if isinstance(env, PhoneEnv) else env.phone
        while True:
            if self._task is not None:
                action = self._task.oracle(phone.device, phone.answers[self._heard :])
                if not isinstance(action, a.Terminate):
                    return action
                self._task, self._heard = None, len(phone.answers)
                if phone.device.app != "home" and self.rng.random() < 0.3:
                    return a.SystemButton(button="Home")
            if not self.names:
                return None
            name = self.names.pop(0)
            if name not in TEMPLATES:
                return a.Open(app=name)
            self._task = self._draw(phone, name)
            self.failed |= self._task is None

    def _draw(self, phone: PhoneEnv, name: str) -> Instance | None:
        world = World(phone.device, Words(self.rng, phone.split))
        for _ in range(_TRIES):
            try:
                return draw(TEMPLATES[name], world)
            except NotPossible:
                continue
        return None
