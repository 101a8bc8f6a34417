"""Screens that look otherwise: dark, rearranged, turned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from gymnasium import spaces

from homeostat import actions as a
from homeostat.envs.phone.adversity.base import Adversity
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.theme import other_bands
from homeostat.errors import ConfigError
from homeostat.observation import Element, Observation

__all__ = ["TURNS", "Dark", "Rotated", "Shuffled"]

TURNS = (90, 180, 270)
_HAIR = 1e-9  # a point is the half-open pixel's: 0 turns to just below 1


class Dark(Adversity):
    """The dark theme."""

    name = "dark"

    def begin(self) -> None:
        """Switch it on."""
        self.device.theme = replace(self.device.theme, dark=True)
        self.device.changed()


class Shuffled(Adversity):
    """Another layout in every episode. ``rows``: other orders of lists, menus and footer buttons; ``bands``: title bar,
    body and footer from top to bottom in another order.
    """

    name = "shuffled"

    def __init__(self, env: PhoneEnv | Adversity, rows: bool = True, bands: bool = True) -> None:
        super().__init__(env)
        for what, value in (("rows", rows), ("bands", bands)):
            if not isinstance(value, bool):
                raise ConfigError(f"shuffled's {what} {value!r} is neither true nor false; choose one")
        self.rows, self.bands = rows, bands

    def options(self) -> dict[str, Any]:
        """What is shuffled."""
        return {"rows": self.rows, "bands": self.bands}

    def begin(self) -> None:
        """Draw the layout."""
        rng, theme = self.draw(), self.device.theme
        seed, bands = rng.randrange(2**31), other_bands(rng)
        if self.rows:
            theme = replace(theme, shuffle=seed)
        if self.bands:
            theme = replace(theme, bands=bands)
        self.device.theme = theme
        self.device.changed()


class Rotated(Adversity):
    """The phone turned by ``turn`` degrees counter-clockwise: so are the screenshot, the elements' boxes, and the
    points of actions, the oracle's too. At 90 and 270 the screen is wider than high.
    """

    name = "rotated"

    def __init__(self, env: PhoneEnv | Adversity, turn: int = 90) -> None:
        super().__init__(env)
        if turn not in TURNS or isinstance(turn, bool):
            raise ConfigError(f"rotated's turn {turn!r} is none of {', '.join(map(str, TURNS))}; choose one")
        self.turn = turn
        self._respace()

    def options(self) -> dict[str, Any]:
        """The turn."""
        return {"turn": self.turn}

    def adopt(self, **options: Any) -> None:
        """Take over the turn, and the shape of the screen with it."""
        super().adopt(**options)
        self._respace()

    def _respace(self) -> None:
        inner = self.inner.observation_space
        assert isinstance(inner, spaces.Dict)
        screen = inner["screen"]
        assert isinstance(screen, spaces.Box)
        blank = np.rot90(np.zeros(screen.shape, np.uint8), self.turn // 90)
        turned = spaces.Box(0, 255, blank.shape, np.uint8)
        self.observation_space = spaces.Dict({**inner.spaces, "screen": turned})

    def observe(self) -> Observation:
        """The turned screen."""
        seen = self.inner.observe()
        elements = tuple(self._box(e) for e in seen.elements)
        pixels = np.ascontiguousarray(np.rot90(seen.screenshot, self.turn // 90))
        return Observation(pixels, elements, seen.app)

    def _box(self, element: Element) -> Element:
        left, top, right, bottom = element.box
        boxes = {
            90: (top, 1 - right, bottom, 1 - left),
            180: (1 - right, 1 - bottom, 1 - left, 1 - top),
            270: (1 - bottom, left, 1 - top, right),
        }
        return element.model_copy(update={"box": boxes[self.turn]})

    def act(self, action: a.Action) -> None:
        """Carry out what the action means on the upright phone."""
        super().act(_turned(action, 360 - self.turn))

    def oracle(self) -> a.Action:
        """The oracle's action in the turned screen's coordinates."""
        return _turned(self.inner.oracle(), self.turn)


def _turned(action: a.Action, turn: int) -> a.Action:
    def point(p: tuple[float, float]) -> tuple[float, float]:
        x, y = p
        back = [max(0.0, 1 - v - _HAIR) for v in p]
        turned: tuple[float, float] = {90: (y, back[0]), 180: (back[0], back[1]), 270: (back[1], x)}[turn]
        return turned

    match action:
        case a.Click() | a.LongPress():
            return action.model_copy(update={"point": point(action.point)})
        case a.Swipe():
            return action.model_copy(update={"point": point(action.point), "to": point(action.to)})
        case _:
            return action
