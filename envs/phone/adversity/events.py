"""Events that interrupt the agent: pop-ups and crashing apps."""

from __future__ import annotations

from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.adversity.base import Adversity, share
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.tasks.adverts import pop_up
from homeostat.errors import ConfigError

__all__ = ["Crashes", "PopUps"]

_PAUSE = 3  # the minimum number of steps between pop-ups: one to dismiss it, two to make progress


class PopUps(Adversity):
    """Shows advertisements and system dialogs over whatever is in front.

    No pop-up appears over another dialog, nor within three steps after the last one. The contents come from
    :mod:`homeostat.envs.phone.tasks.adverts`. The plain phone's own single pop-up (its option ``adverts``) is
    independent of them.
    """

    name = "popups"

    def __init__(self, env: PhoneEnv | Adversity, rate: float = 0.2) -> None:
        """Wraps a phone.

        Args:
            env: The phone or another adversity.
            rate: The probability of a pop-up at each step.

        Raises:
            ConfigError: ``rate`` is not a number from 0 to 1.
        """
        super().__init__(env)
        self.rate = share("the rate of popups", rate)

    def options(self) -> dict[str, Any]:
        """Returns the rate."""
        return {"rate": self.rate}

    def after(self, action: a.Action) -> None:
        """Shows a pop-up with the probability ``rate``."""
        step, last = self.phone.steps, self.state.get("last", -_PAUSE)
        rng = self.draw(step)
        if rng.random() < self.rate and step - last >= _PAUSE and not self.device.dialog:
            self.state["last"] = step
            pop_up(rng, self.device, system=rng.random() < 0.5)


class Crashes(Adversity):
    """Closes the app in front and shows the launcher. Drafts are lost; saved data remains."""

    name = "crashes"

    def __init__(self, env: PhoneEnv | Adversity, rate: float = 0.1, most: int = 2) -> None:
        """Wraps a phone.

        Args:
            env: The phone or another adversity.
            rate: The probability of a crash at each step.
            most: The maximum number of crashes in an episode, which keeps every task solvable.

        Raises:
            ConfigError: ``rate`` or ``most`` is out of range.
        """
        super().__init__(env)
        self.rate = share("the rate of crashes", rate)
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ConfigError(f"the maximum number of crashes {most!r} is out of range; choose 0 or more")
        self.most = most

    def options(self) -> dict[str, Any]:
        """Returns the rate and the maximum number."""
        return {"rate": self.rate, "most": self.most}

    def after(self, action: a.Action) -> None:
        """Closes the app in front with the probability ``rate``."""
        device, count = self.device, self.state.get("count", 0)
        if device.stack and count < self.most and self.draw(self.phone.steps).random() < self.rate:
            self.state["count"] = count + 1
            device.close_app(f"{device.app} stopped")
