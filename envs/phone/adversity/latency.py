"""Latency: a slow phone, whose screen lags behind its state."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from homeostat import actions as a
from homeostat.envs.phone.adversity.base import Adversity, share
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.layout import Placed, lay_out
from homeostat.envs.phone.ui import Screen, Widget
from homeostat.errors import ConfigError
from homeostat.observation import Element, Observation

__all__ = ["Latency"]


class Latency(Adversity):
    """After some actions, shows the old screen or a loading screen for a few steps.

    Every action brings the true screen one step nearer; ``wait`` brings it as many steps nearer as it has seconds.
    Meanwhile, touches hit the true screen. The oracle waits for the screen. No real time passes.
    """

    name = "latency"

    def __init__(self, env: PhoneEnv | Adversity, rate: float = 0.2, longest: int = 2, loading: float = 0.5) -> None:
        """Wraps a phone.

        Args:
            env: The phone or another adversity.
            rate: The probability, at each step, that the screen falls behind.
            longest: The longest delay in steps; 1 to 10.
            loading: The share of the delays that show a loading screen. The others show the old screen.

        Raises:
            ConfigError: An option is out of range.
        """
        super().__init__(env)
        self.rate = share("the rate of latency", rate)
        self.loading = share("latency's share of loading screens", loading)
        if isinstance(longest, bool) or not isinstance(longest, int) or not 1 <= longest <= 10:
            raise ConfigError(f"latency's longest delay {longest!r} is out of range; choose 1 to 10 steps")
        self.longest = longest

    def options(self) -> dict[str, Any]:
        """Returns the rate, the longest delay, and the share of loading screens."""
        return {"rate": self.rate, "longest": self.longest, "loading": self.loading}

    @property
    def behind(self) -> int:
        """The number of steps until the true screen is shown; 0 if it is shown now."""
        left: int = self.state.get("left", 0)
        return left

    def act(self, action: a.Action) -> None:
        """Executes an action, after which the screen may fall behind."""
        rng = self.draw(self.phone.steps)
        falls = not self.behind and not isinstance(action, a.Wait) and rng.random() < self.rate
        old = self.inner.observe() if falls else None
        super().act(action)
        if old is not None and self.phone.status is None:
            left, loading = rng.randint(1, self.longest), rng.random() < self.loading
            self.state = {"left": left, "old": None if loading else _packed(old)}
        elif self.behind:
            passed = max(1, int(action.seconds)) if isinstance(action, a.Wait) else 1
            left = self.behind - passed
            self.state = {**self.state, "left": left} if left > 0 else {}

    def observe(self) -> Observation:
        """Returns the screen that is shown now: the true one, the old one, or a loading screen."""
        if not self.behind:
            return self.inner.observe()
        old = self.state["old"]
        if old is not None:
            return _unpacked(old)
        with self.device.covered(self._loading()):
            return self.inner.observe()

    def _loading(self) -> list[Placed]:
        minutes, screen = self.device.clock, Screen("", (Widget("text", "loading ..."),))
        clock = f"{minutes // 60:02d}:{minutes % 60:02d}"
        placed, _ = lay_out(screen, deep=False, scroll=0, focus=None, clock=clock, badge=0, message="")
        return self.device.theme.place([p for p in placed if p.widget.role != "nav"])

    def oracle(self) -> a.Action:
        """Waits until the true screen is shown, then continues."""
        return a.Wait() if self.behind else self.inner.oracle()


def _packed(seen: Observation) -> dict[str, Any]:
    data = BytesIO()
    Image.fromarray(seen.screenshot).save(data, format="png", compress_level=1)
    elements = [e.model_dump() for e in seen.elements]
    return {"png": base64.b64encode(data.getvalue()).decode(), "elements": elements, "app": seen.app}


def _unpacked(data: dict[str, Any]) -> Observation:
    with Image.open(BytesIO(base64.b64decode(data["png"]))) as image:
        pixels = np.asarray(image.convert("RGB"), np.uint8)
    return Observation(pixels, tuple(Element.model_validate(e) for e in data["elements"]), data["app"])
