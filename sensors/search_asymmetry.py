"""Search asymmetry: a test of whether a model's attention searches a display as human vision does.

A feature that is present in one item among items that lack it pops out. An item that lacks the feature among items that
have it must be searched for: a Q among Os is found faster than an O among Qs (Treisman and Gormican, "Feature analysis
in early vision: Evidence from search asymmetries", Psychological Review 95:15–48, 1988). Gupta, Zhang, Wu, Wolfe and
Kreiman (arXiv 2106.02953, NeurIPS 2021) test networks in this way: an attention map is read as a sequence of fixations,
each at the largest value among the places not yet visited, until the target is reached.

Here a display is a picture with items in some cells of a grid, and the attention on the items orders them. The *number
of fixations* f is the target's rank in this order. With m items, chance is (m + 1) / 2. For a pair of displays that
differ only in which shape is the target,

    asymmetry = (f_absent − f_present) / (f_absent + f_present)

is above 0 if the item with the feature is found earlier, as in people.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError, UnknownName
from homeostat.observation import Element

__all__ = ["FEATURES", "Asymmetry", "Display", "asymmetry", "displays", "fixations_to"]

Feature = Literal["line", "gap", "tilt", "curve"]
FEATURES: tuple[Feature, ...] = ("line", "gap", "tilt", "curve")
"""The features: a line across a circle (Q and O), a gap in a circle (C and O), a tilted bar among upright ones, and a
curved bar among straight ones. In each the shape with the feature is the one that people find earlier."""
_RADIUS, _STROKE = 0.31, 0.055  # of a cell's side


@dataclass(frozen=True)
class Display:
    """One display.

    Attributes:
        feature: The feature.
        present: Whether the target has the feature and the other items lack it; False for the reverse.
        screenshot: (height, width, 3) uint8.
        elements: The items, in reading order.
        target: The index of the target among them.
    """

    feature: Feature
    present: bool
    screenshot: NDArray[np.uint8]
    elements: tuple[Element, ...]
    target: int


def displays(
    feature: Feature,
    items: int,
    count: int,
    *,
    seed: int = 0,
    columns: int = 4,
    rows: int = 7,
    cell: int = 32,
    size: tuple[int, int] = (256, 144),
) -> Iterator[tuple[Display, Display]]:
    """Draws pairs of displays with the same items at the same places.

    Args:
        feature: The feature.
        items: The number of items in a display, the target included.
        count: The number of pairs.
        seed: The random seed.
        columns: The number of the grid's columns.
        rows: The number of its rows.
        cell: The side of a cell in pixels.
        size: The picture's height and width in pixels. The grid lies in its middle.

    Yields:
        The display whose target has the feature, and the one whose target lacks it.

    Raises:
        UnknownName: The feature is unknown.
        ConfigError: The items do not fit into the grid, or the grid not into the picture.
    """
    if feature not in FEATURES:
        raise UnknownName.of("feature", feature, FEATURES)
    if not 2 <= items <= columns * rows:
        raise ConfigError(f"items={items!r}: a display has 2 to {columns * rows} items in {rows} × {columns} cells")
    height, width = size
    if rows * cell > height or columns * cell > width:
        raise ConfigError(f"{rows} × {columns} cells of {cell} pixels do not fit into {height} × {width} pixels")
    top, left = (height - rows * cell) // 2, (width - columns * cell) // 2
    for number in range(count):
        rng = random.Random(f"search {feature} {items} {seed} {number}")
        places = sorted(rng.sample(range(rows * columns), items))
        target = rng.randrange(items)
        corners = [(top + p // columns * cell, left + p % columns * cell) for p in places]
        elements = tuple(
            Element(role="item", text=f"item {i}", box=(x / width, y / height, (x + cell) / width, (y + cell) / height))
            for i, (y, x) in enumerate(corners)
        )
        one, other = (
            Display(feature, present, _drawn(feature, present, corners, target, cell, size), elements, target)
            for present in (True, False)
        )
        yield one, other


def fixations_to(target: int, attention: Sequence[float] | NDArray[np.floating]) -> float:
    """Counts the fixations until the target is reached.

    Args:
        target: The target's index.
        attention: The attention on each item.

    Returns:
        The target's rank by attention, from 1. Items with equal attention share their mean rank.
    """
    values = np.asarray(attention, np.float64)
    return float((values > values[target]).sum() + ((values == values[target]).sum() + 1) / 2)


@dataclass(frozen=True)
class Asymmetry:
    """The result of a search test.

    Attributes:
        present: The mean number of fixations where the target has the feature.
        absent: The mean number where the target lacks it.
        value: (absent − present) / (absent + present), in (−1, 1).
        low: The lower end of the 95 % bootstrap interval of ``value``, over pairs of displays.
        high: The upper end.
        pairs: The number of pairs.
    """

    present: float
    absent: float
    value: float
    low: float
    high: float
    pairs: int


def asymmetry(present: Sequence[float], absent: Sequence[float], *, draws: int = 2000, seed: int = 0) -> Asymmetry:
    """Computes the asymmetry of paired searches.

    Args:
        present: The number of fixations for each display whose target has the feature.
        absent: The same for the display with the same places whose target lacks it, in the same order.
        draws: The number of bootstrap samples.
        seed: The random seed of the bootstrap.

    Returns:
        The asymmetry.

    Raises:
        ConfigError: There are no pairs, or the two differ in number.
    """
    if len(present) != len(absent) or not present:
        raise ConfigError(f"{len(present)} and {len(absent)} searches are no pairs; give as many of each, at least one")
    both = np.stack([np.asarray(present, np.float64), np.asarray(absent, np.float64)])
    picks = np.random.default_rng(seed).integers(0, both.shape[1], (draws, both.shape[1]))
    means = both[:, picks].mean(-1)  # (2, draws)
    spread = (means[1] - means[0]) / (means[1] + means[0])
    low, high = np.quantile(spread, (0.025, 0.975))
    here, there = both.mean(1)
    return Asymmetry(
        float(here), float(there), float((there - here) / (there + here)), float(low), float(high), both.shape[1]
    )


def _drawn(
    feature: Feature,
    present: bool,
    corners: Sequence[tuple[int, int]],
    target: int,
    cell: int,
    size: tuple[int, int],
) -> NDArray[np.uint8]:
    """(height, width, 3): light shapes on a dark ground."""
    ink = np.zeros(size, np.float64)
    shapes = {with_feature: _shape(feature, with_feature, cell) for with_feature in (True, False)}
    for i, (y, x) in enumerate(corners):
        ink[y : y + cell, x : x + cell] = shapes[present == (i == target)]
    levels = (24 + ink * 206).round().astype(np.uint8)
    return np.repeat(levels[..., None], 3, -1)


def _shape(feature: Feature, with_feature: bool, cell: int, fine: int = 4) -> NDArray[np.float64]:
    """(cell, cell) coverage in [0, 1] of one shape, from fine × fine samples of each pixel."""
    at = (np.arange(cell * fine) + 0.5) / (cell * fine) - 0.5
    x, y = np.meshgrid(at, at)
    ring = np.abs(np.hypot(x, y) - _RADIUS) <= _STROKE
    if feature == "line":
        line = (np.abs(x) <= _STROKE) & (y >= 0) & (y <= _RADIUS * 1.5)
        ink = ring | line if with_feature else ring
    elif feature == "gap":
        gap = (x > 0) & (np.abs(y) <= _RADIUS * 0.5)
        ink = ring & ~gap if with_feature else ring
    elif feature == "tilt":
        angle = np.deg2rad(25 if with_feature else 0)
        ink = _bar(x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle))
    else:
        bend = 0.5 * (y**2 - _RADIUS**2 / 3) / _RADIUS if with_feature else np.zeros_like(y)
        ink = _bar(x - bend, y)
    covered: NDArray[np.float64] = ink.reshape(cell, fine, cell, fine).mean((1, 3))
    return covered


def _bar(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
    inside: NDArray[np.bool_] = (np.abs(x) <= _STROKE) & (np.abs(y) <= _RADIUS)
    return inside
