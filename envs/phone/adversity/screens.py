"""Changed screens: dark, rearranged, or rotated."""

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
_HAIR = 1e-9  # points lie in [0, 1): the mirror image of 0 is just below 1


class Dark(Adversity):
    """Shows the phone in dark colours."""

    name = "dark"

    def begin(self) -> None:
        """Switches to the dark theme."""
        self.device.theme = replace(self.device.theme, dark=True)
        self.device.changed()


class Shuffled(Adversity):
    """Shows another layout in every episode."""

    name = "shuffled"

    def __init__(self, env: PhoneEnv | Adversity, rows: bool = True, bands: bool = True) -> None:
        """Wraps a phone.

        Args:
            env: The phone or another adversity.
            rows: Whether to reorder lists, menus and footer buttons.
            bands: Whether to reorder title bar, body and footer.

        Raises:
            ConfigError: An option is neither true nor false.
        """
        super().__init__(env)
        for what, value in (("rows", rows), ("bands", bands)):
            if not isinstance(value, bool):
                raise ConfigError(f"shuffled's {what} {value!r} is not a boolean; choose true or false")
        self.rows, self.bands = rows, bands

    def options(self) -> dict[str, Any]:
        """Returns what is reordered."""
        return {"rows": self.rows, "bands": self.bands}

    def begin(self) -> None:
        """Draws the layout."""
        rng, theme = self.draw(), self.device.theme
        seed, bands = rng.randrange(2**31), other_bands(rng)
        if self.rows:
            theme = replace(theme, shuffle=seed)
        if self.bands:
            theme = replace(theme, bands=bands)
        self.device.theme = theme
        self.device.changed()


class Rotated(Adversity):
    """Rotates the phone counter-clockwise.

    The screenshot, the elements' boxes and the points of actions (also the oracle's) are rotated. At 90 and 270 degrees
    the screen is wider than high.
    """

    name = "rotated"

    def __init__(self, env: PhoneEnv | Adversity, turn: int = 90) -> None:
        """Wraps a phone.

        Args:
            env: The phone or another adversity.
            turn: The angle in degrees: 90, 180 or 270.

        Raises:
            ConfigError: ``turn`` is none of these.
        """
        super().__init__(env)
        if turn not in TURNS or isinstance(turn, bool):
            raise ConfigError(f"rotated's turn {turn!r} is invalid; choose one of {', '.join(map(str, TURNS))}")
        self.turn = turn
        self._respace()

    def options(self) -> dict[str, Any]:
        """Returns the angle."""
        return {"turn": self.turn}

    def adopt(self, **options: Any) -> None:
        """Adopts the angle, and the shape of the screen that follows from it."""
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
        """Returns the rotated screen."""
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
        """Executes the action's equivalent on the upright phone."""
        super().act(_turned(action, 360 - self.turn))

    def oracle(self) -> a.Action:
        """Returns the oracle's action in the coordinates of the rotated screen."""
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
