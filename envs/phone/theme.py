"""The phone's visual theme: colours, the order of rows and buttons, and the positions of title bar, body and footer."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

from homeostat.envs.phone.layout import BODY_ROWS, Placed
from homeostat.envs.phone.ui import Screen, Widget

__all__ = ["BANDS", "Theme", "other_bands"]

BANDS = ("title", "body", "footer")
_HEIGHT = {"title": 1, "body": BODY_ROWS, "footer": 1}
_FIRST = {"title": 1, "body": 2, "footer": 2 + BODY_ROWS}


def other_bands(rng: random.Random) -> tuple[str, ...]:
    """Draws an unusual order of the three bands.

    Args:
        rng: The random generator.

    Returns:
        The names of the bands from top to bottom, in another order than :data:`BANDS`.
    """
    return rng.choice([p for p in permutations(BANDS) if p != BANDS])


@dataclass(frozen=True)
class Theme:
    """How a phone presents its content.

    Attributes:
        dark: Whether the colours are dark.
        shuffle: The seed of another order of rows, menu options and footer buttons. None keeps the apps' own order.
        bands: Title bar, body and footer in their order from top to bottom. The status bar stays above them and the
            navigation bar below.
    """

    dark: bool = False
    shuffle: int | None = None
    bands: tuple[str, ...] = BANDS

    @classmethod
    def of(cls, data: dict[str, Any]) -> Theme:
        """Restores a theme from JSON.

        Args:
            data: The fields of a theme.

        Returns:
            The theme.
        """
        return cls(data["dark"], data["shuffle"], tuple(data["bands"]))

    def arrange(self, screen: Screen, name: str) -> Screen:
        """Reorders a screen's rows and buttons.

        Rows that do nothing keep their positions, so that texts and chats remain readable.

        Args:
            screen: The screen as its app builds it.
            name: The screen's name, which is part of the order's seed.

        Returns:
            The reordered screen.
        """
        if self.shuffle is None:
            return screen
        roles = ("item", "icon", "option")
        movable = [n for n, w in enumerate(screen.body) if w.role in roles and (w.tap or w.hold)]
        body = list(screen.body)
        for n, w in zip(movable, self._order([screen.body[n] for n in movable], name), strict=True):
            body[n] = w
        return replace(screen, body=tuple(body), footer=tuple(self._order(screen.footer, name)))

    def _order(self, widgets: Sequence[Widget], name: str) -> list[Widget]:
        """Sorts by a number that is drawn for each label, so that a new row does not change the order of the others."""
        return sorted(widgets, key=lambda w: random.Random(f"{self.shuffle} {name} {w.text}").random())

    def place(self, placed: list[Placed]) -> list[Placed]:
        """Moves the title bar, the body and the footer to their positions.

        Args:
            placed: The elements in the usual layout.

        Returns:
            The elements in this theme's layout.
        """
        if self.bands == BANDS:
            return placed
        shift, top = {}, 1
        for band in self.bands:
            shift[band] = top - _FIRST[band]
            top += _HEIGHT[band]
        return [_moved(p, shift) for p in placed]


def _moved(p: Placed, shift: dict[str, int]) -> Placed:
    left, top, right, bottom = p.box
    band = next((b for b in BANDS if _FIRST[b] <= top < _FIRST[b] + _HEIGHT[b]), None)
    down = shift[band] if band else 0
    if not down:
        return p
    runs = tuple(replace(r, row=r.row + down) for r in p.runs)
    return replace(p, box=(left, top + down, right, bottom + down), runs=runs)
