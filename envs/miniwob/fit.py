"""Places a page on a screen of another size: scaled, from the top left, with the rest blank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ActionError

__all__ = ["Fit"]

_BLANK = 0x55  # the grey around MiniWoB's own pages


@dataclass(frozen=True)
class Fit:
    """The sizes of a page and of the screen that it is drawn on.

    Attributes:
        page: The page's width and height in CSS pixels.
        screen: The screenshot's width and height in pixels.
    """

    page: tuple[int, int]
    screen: tuple[int, int]

    @property
    def scale(self) -> float:
        """Screen pixels per CSS pixel: the largest scale at which the whole page is visible."""
        return min(self.screen[0] / self.page[0], self.screen[1] / self.page[1])

    def to_page(self, point: tuple[float, float]) -> tuple[float, float]:
        """Converts a normalised point of the screen to CSS pixels.

        Args:
            point: The normalised point.

        Returns:
            The place on the page in CSS pixels.

        Raises:
            ActionError: The point is beside the page.
        """
        x, y = (point[i] * self.screen[i] / self.scale for i in (0, 1))
        if x >= self.page[0] or y >= self.page[1]:
            right, bottom = self.to_screen(self.page)
            raise ActionError(
                f"point {point!r} is beside the page; it takes up x below {right:.3f} and y below {bottom:.3f}"
            )
        return x, y

    def to_screen(self, place: tuple[float, float]) -> tuple[float, float]:
        """Converts CSS pixels to a normalised point of the screen; the inverse of :meth:`to_page`.

        Args:
            place: The place on the page in CSS pixels.

        Returns:
            The normalised point.
        """
        return place[0] * self.scale / self.screen[0], place[1] * self.scale / self.screen[1]

    def box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float] | None:
        """Converts a box to normalised coordinates, clipped to the page.

        Args:
            box: Left, top, right and bottom in CSS pixels.

        Returns:
            The normalised box; None if it lies outside the page.
        """
        left, top = max(box[0], 0.0), max(box[1], 0.0)
        right, bottom = min(box[2], self.page[0]), min(box[3], self.page[1])
        if right <= left or bottom <= top:
            return None
        return (*self.to_screen((left, top)), *self.to_screen((right, bottom)))

    def place(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Draws the page's image on a blank screen.

        Args:
            image: The page's image, shape (height, width, 3), uint8.

        Returns:
            The screen, shape (height, width, 3), uint8.
        """
        width, height = self.screen
        screen = np.full((height, width, 3), _BLANK, dtype=np.uint8)
        part = image[:height, :width]
        screen[: part.shape[0], : part.shape[1]] = part
        return screen
