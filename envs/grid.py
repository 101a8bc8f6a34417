"""The coordinate systems in which models write points, and the spellings of a point that models use."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from homeostat.errors import UnparsableAction
from homeostat.foreign_text import quoted

__all__ = ["Grid"]

_LAST = math.nextafter(1.0, 0.0)  # the right and the lower edge, in coordinates that exclude 1
_TAG = re.compile(r"</?(?:point|box|bbox)>|<\|(?:box|point)_(?:start|end)\|>")
_BRACKETS = str.maketrans("[](),;", "      ")
_LONGEST = 200  # characters of a point that is written as a text


@dataclass(frozen=True)
class Grid:
    """The range of the numbers that a model writes for a point: ``0 ≤ x ≤ width``, ``0 ≤ y ≤ height``.

    A number at the upper end of the range names the right or the lower edge of the screen.

    Attributes:
        width: The width of the picture in pixels, or 1000.
        height: The height of the picture in pixels, or 1000.
    """

    width: int
    height: int

    def spell(self, point: tuple[float, float]) -> list[int]:
        """Converts a normalised point to the grid.

        Args:
            point: ``(x, y)``, each from 0 to 1.

        Returns:
            The pair of integers ``[x, y]``.
        """
        nudge = 1e-6  # without it, rounding errors would turn 8/144·144 into 7
        return [int(point[0] * self.width + nudge), int(point[1] * self.height + nudge)]

    def read(self, place: Any) -> tuple[float, float]:
        """Converts what a model wrote for a point to a normalised point.

        Args:
            place: ``[x, y]``, or a box ``[left, top, right, bottom]``, of which the centre is meant. Nested lists,
                ``{"x": …, "y": …}``, numbers as texts and whole texts such as ``"[40, 96]"``, ``"(40,96)"`` or
                ``"<point>40 96</point>"`` are accepted.

        Returns:
            ``(x, y)``, each from 0 (included) to 1 (excluded).

        Raises:
            UnparsableAction: It is neither two nor four numbers, or it lies outside the grid.
        """
        numbers = _numbers(place)
        if len(numbers) not in (2, 4):
            raise UnparsableAction(f"coordinate {quoted(place)} is no pair of numbers; write [x, y]")
        xs, ys = numbers[::2], numbers[1::2]
        if not (all(0 <= x <= self.width for x in xs) and all(0 <= y <= self.height for y in ys)):
            raise UnparsableAction(
                f"coordinate {quoted(place)} is off the screen; x must be at most {self.width}, y at most {self.height}"
            )
        x, y = sum(xs) / len(xs), sum(ys) / len(ys)
        return min(x / self.width, _LAST), min(y / self.height, _LAST)


def _numbers(place: Any) -> list[float]:
    """The numbers of a place, at most five of them; empty where anything in it is no number."""
    if isinstance(place, dict):
        place = [place.get("x"), place.get("y")]
    elif isinstance(place, str):
        place = _TAG.sub(" ", place[:_LONGEST]).translate(_BRACKETS).split()
    found: list[float] = []
    left = [place]
    while left and len(found) <= 4:
        item = left.pop()
        if isinstance(item, list | tuple):
            left += reversed(item)
            continue
        try:
            found.append(float(item))
        except (TypeError, ValueError, OverflowError):
            return []
    return found
