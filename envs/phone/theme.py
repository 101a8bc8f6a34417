"""How a phone looks, apart from what it shows: theme, order of the rows, where title, body and footer stand."""

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
    """Another order of the three bands than the usual one, from top to bottom."""
    return rng.choice([p for p in permutations(BANDS) if p != BANDS])


@dataclass(frozen=True)
class Theme:
    """``dark``: the theme. ``shuffle``: the seed of another order of rows, menu options and footer buttons (None: as
    the apps have it). ``bands``: from top to bottom, between the status bar and the navigation bar.
    """

    dark: bool = False
    shuffle: int | None = None
    bands: tuple[str, ...] = BANDS

    @classmethod
    def of(cls, data: dict[str, Any]) -> Theme:
        """The looks of their JSON."""
        return cls(data["dark"], data["shuffle"], tuple(data["bands"]))

    def arrange(self, screen: Screen, name: str) -> Screen:
        """The screen with its rows and buttons in this order. Rows that do nothing keep their places: a text reads on,
        and a chat from old to new.
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
        """By a number drawn for each label, so that a row's going or coming leaves the order of the others."""
        return sorted(widgets, key=lambda w: random.Random(f"{self.shuffle} {name} {w.text}").random())

    def place(self, placed: list[Placed]) -> list[Placed]:
        """What was laid out, with the bands moved to where they stand."""
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
