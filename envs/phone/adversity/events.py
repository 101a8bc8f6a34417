"""Things that happen while an agent works: pop-ups, and apps that crash."""

from __future__ import annotations

from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.adversity.base import Adversity, share
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.tasks.adverts import pop_up
from homeostat.errors import ConfigError

__all__ = ["Crashes", "PopUps"]

_PAUSE = 3  # steps from one pop-up to the next, at least: one to dismiss it, two to get on


class PopUps(Adversity):
    """Adverts and system dialogs over whatever is in front. ``rate``: the probability of one at a step.

    None comes over another dialog, nor sooner than three steps after the last. Their content is
    :mod:`homeostat.envs.phone.tasks.adverts`'; the plain phone's own single pop-up (its ``adverts``) comes besides.
    """

    name = "popups"

    def __init__(self, env: PhoneEnv | Adversity, rate: float = 0.2) -> None:
        super().__init__(env)
        self.rate = share("the rate of popups", rate)

    def options(self) -> dict[str, Any]:
        """The rate."""
        return {"rate": self.rate}

    def after(self, action: a.Action) -> None:
        """Perhaps a pop-up."""
        step, last = self.phone.steps, self.state.get("last", -_PAUSE)
        rng = self.draw(step)
        if rng.random() < self.rate and step - last >= _PAUSE and not self.device.dialog:
            self.state["last"] = step
            pop_up(rng, self.device, system=rng.random() < 0.5)


class Crashes(Adversity):
    """The app in front closes to the launcher: what was typed is lost, what was saved is there.

    ``rate``: the probability at a step, at most ``most`` times an episode, so that every task can still be done.
    """

    name = "crashes"

    def __init__(self, env: PhoneEnv | Adversity, rate: float = 0.1, most: int = 2) -> None:
        super().__init__(env)
        self.rate = share("the rate of crashes", rate)
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ConfigError(f"the most crashes {most!r} are no number; choose 0 or more")
        self.most = most

    def options(self) -> dict[str, Any]:
        """The rate and the limit."""
        return {"rate": self.rate, "most": self.most}

    def after(self, action: a.Action) -> None:
        """Perhaps a crash."""
        device, count = self.device, self.state.get("count", 0)
        if device.stack and count < self.most and self.draw(self.phone.steps).random() < self.rate:
            self.state["count"] = count + 1
            device.close_app(f"{device.app} stopped")
