"""A slow phone: what is shown lags behind what is so."""

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
    """After some actions the old screen, or one that says ``loading``, is shown for up to ``longest`` steps.

    ``rate``: the probability at a step that the screen falls behind. Every action brings it a step nearer, ``wait`` as
    many steps as its seconds. Touches meanwhile land on what is really there. ``loading``: the share of delays with the
    loading screen; the others keep the old one. The oracle waits for the screen. Nothing sleeps.
    """

    name = "latency"

    def __init__(self, env: PhoneEnv | Adversity, rate: float = 0.2, longest: int = 2, loading: float = 0.5) -> None:
        super().__init__(env)
        self.rate = share("the rate of latency", rate)
        self.loading = share("latency's share of loading screens", loading)
        if isinstance(longest, bool) or not isinstance(longest, int) or not 1 <= longest <= 10:
            raise ConfigError(f"latency's longest delay {longest!r} is out of range; choose 1 to 10 steps")
        self.longest = longest

    def options(self) -> dict[str, Any]:
        """Rate, longest delay, share of loading screens."""
        return {"rate": self.rate, "longest": self.longest, "loading": self.loading}

    @property
    def behind(self) -> int:
        """How many steps from now the true screen will be shown; 0 where it is."""
        left: int = self.state.get("left", 0)
        return left

    def act(self, action: a.Action) -> None:
        """Carry the action out; the screen may fall behind."""
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
        """The screen as far as it has got."""
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
        """Wait for the screen, then go on."""
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
