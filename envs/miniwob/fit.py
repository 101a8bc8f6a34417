"""A page fitted into a screen of another size: drawn at a scale, from the top left, the rest left blank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ActionError

__all__ = ["Fit"]

_BLANK = 0x55  # the grey around MiniWoB's own pages


@dataclass(frozen=True)
class Fit:
    """``page`` (width, height) in CSS pixels and ``screen`` (width, height) in pixels of the screenshot."""

    page: tuple[int, int]
    screen: tuple[int, int]

    @property
    def scale(self) -> float:
        """Screen pixels a CSS pixel: the largest at which the whole page shows."""
        return min(self.screen[0] / self.page[0], self.screen[1] / self.page[1])

    def to_page(self, point: tuple[float, float]) -> tuple[float, float]:
        """CSS pixels of a normalised point of the screen. Raises ``ActionError`` beside the page."""
        x, y = (point[i] * self.screen[i] / self.scale for i in (0, 1))
        if x >= self.page[0] or y >= self.page[1]:
            right, bottom = self.to_screen(self.page)
            raise ActionError(
                f"point {point!r} is beside the page; it takes up x below {right:.3f} and y below {bottom:.3f}"
            )
        return x, y

    def to_screen(self, place: tuple[float, float]) -> tuple[float, float]:
        """The normalised point of CSS pixels; :meth:`to_page` is its inverse."""
        return place[0] * self.scale / self.screen[0], place[1] * self.scale / self.screen[1]

    def box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
        """A box in CSS pixels, normalised and cut to the page; None where nothing of it is left."""
        left, top = max(box[0], 0.0), max(box[1], 0.0)
        right, bottom = min(box[2], self.page[0]), min(box[3], self.page[1])
        if right <= left or bottom <= top:
            return None
        return (*self.to_screen((left, top)), *self.to_screen((right, bottom)))

    def place(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The page's image on the screen."""
        width, height = self.screen
        screen = np.full((height, width, 3), _BLANK, dtype=np.uint8)
        part = image[:height, :width]
        screen[: part.shape[0], : part.shape[1]] = part
        return screen
