"""ElementGaze: where on the screen did the model look before it tapped?

The attention on a screenshot's image tokens is summed over the elements of the user interface. A token is a patch of
the screen. Its weight is divided among the elements in proportion to the area of the patch that they cover; if elements
are nested, the smallest one at a point counts. Area that no element covers is ``background``. The shares refer to the
attention *on the screen*: they sum to 1 over the elements and the background.

The method is ours. LVLM grounding reads locations from attention in the same way (arXiv 2503.06287); only some heads
allow it, so choose them. The order in which the generated tokens look at elements is the scanpath
(:mod:`homeostat.sensors.scanpaths`); :mod:`homeostat.sensors.search_asymmetry` tests the gaze. Cost: the probe records
one weight for every image token, T·L·H·n numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.observation import Element, element_at
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, not_judged
from homeostat.sensors.scanpaths import fixations, search_shares, without_repeats

__all__ = ["ElementGaze", "coverage", "grid_of", "heat_map"]

FINE = 8
"""The number of sample points along each side of a patch, from which the covered areas are estimated."""


class ElementGaze:
    """Measures the share of the screen's attention that lies on the tapped element, and alarms below the threshold.

    ``value`` lies in [0, 1]. The tapped point is ``context.point``. Without a tap the attempt is not judged, but the
    reading still shows where the model looked.

    ``by_element`` holds the five elements with the largest shares, adding up elements with the same text. ``scanpath``
    holds the elements that the tokens looked at, in order (:mod:`homeostat.sensors.scanpaths`). ``detail`` holds the
    share of the ``background``, the number of ``fixations`` (of tokens that looked at an element), and how the path
    searches: the shares of ``search``, ``refixation`` and ``revisit``.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"

    def __init__(
        self,
        span: str = "screen",
        *,
        threshold: float = 0.0,
        heads: Heads | None = None,
        tokens: Literal["all", "last"] = "all",
        grid: tuple[int, int] | None = None,
        name: str = "element_gaze",
    ) -> None:
        """Creates the sensor.

        Args:
            span: The image's label.
            threshold: The share below which it alarms. The default 0 never alarms: **calibrate it**.
            heads: (layer, head) pairs; None means all probed heads.
            tokens: The attempt's tokens to average over: all, or the last.
            grid: (rows, columns) of the image's tokens; None takes the division whose patches are closest to squares.
            name: The sensor's name.

        Raises:
            ConfigError: A setting is invalid.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a share; pass a number from 0 to 1")
        if tokens not in ("all", "last"):
            raise ConfigError(f"tokens={tokens!r} is unknown; use 'all' or 'last'")
        self.name = name
        self.span = span
        self.threshold = threshold
        self.heads = None if heads is None else frozenset(heads)
        self.tokens = tokens
        self.grid = grid
        self.reads = Readout(keys=frozenset({span}))

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without the image's keys, a screenshot, or a tapped point."""
        spans, seen = attempt.spans, context.observation
        keys = None if spans is None else spans.keys.get(self.span)
        if spans is None or keys is None or not keys.shape[0]:
            return self._nothing(f"the keys of {self.span!r} were not recorded: Readout(keys={{{self.span!r}}})")
        if seen is None:
            return self._nothing("there is no observation")
        chosen = chosen_heads(spans, self.heads)
        if not chosen.any():
            return self._nothing("none of the chosen heads was probed")
        height, width = seen.screenshot.shape[:2]
        grid = self.grid or grid_of(keys.shape[-1], height, width)
        if grid[0] * grid[1] != keys.shape[-1]:
            return self._nothing(f"a grid of {grid[0]} × {grid[1]} does not fit the image's {keys.shape[-1]} tokens")
        rows = keys[:, chosen].mean(1, dtype=np.float64)  # (T, n)
        weight = rows.mean(0) if self.tokens == "all" else rows[-1]
        total = float(weight.sum())
        if total <= 0:
            return self._nothing("the screen gets no attention")
        covered = coverage(seen.elements, grid)
        shares = (weight / total) @ covered  # (E + 1,)
        path = [at for at in fixations(rows @ covered) if at is not None]
        visited = without_repeats([_named(seen.elements[at]) for at in path])
        detail = {"background": float(shares[-1]), "fixations": float(len(path))} | search_shares(path)
        named: dict[str, float] = {}
        for element, share in zip(seen.elements, shares, strict=False):
            named[_named(element)] = named.get(_named(element), 0.0) + float(share)
        best = sorted(named.items(), key=lambda item: -item[1])[:5]
        by_element = dict(best)
        looked = f"most on {best[0][0]!r} ({best[0][1]:.0%})" if best else "no element"
        point = context.point
        if point is None:
            return self._nothing(
                f"{looked}; nothing was tapped", by_element=by_element, scanpath=visited, detail=detail
            )
        target = element_at(seen.elements, point)
        value = float(shares[-1] if target is None else shares[target])
        name = "the background" if target is None else repr(_named(seen.elements[target]))
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=" ".join(f"{value:.0%} of the screen's attention on {name}, which is tapped; {looked}".split()),
            span=self.span,
            by_element=by_element,
            scanpath=visited,
            detail=detail,
        )

    def _nothing(self, reason: str, **more: Any) -> Reading:
        return not_judged(self.name, " ".join(reason.split()), threshold=self.threshold, span=self.span, **more)


def grid_of(tokens: int, height: int, width: int) -> tuple[int, int]:
    """Divides an image into patches that are as close to squares as possible.

    Args:
        tokens: The number of patches.
        height: The image's height.
        width: The image's width.

    Returns:
        (rows, columns), whose product is ``tokens``.
    """
    options = [(r, tokens // r) for r in range(1, tokens + 1) if tokens % r == 0]
    return min(options, key=lambda g: abs(np.log((height / g[0]) / (width / g[1]))))


def coverage(elements: Sequence[Element], grid: tuple[int, int], fine: int = FINE) -> NDArray[np.float64]:
    """Computes the share of each patch that each element covers.

    Each of fine × fine sample points of a patch belongs to the smallest element that contains it.

    Args:
        elements: The E elements.
        grid: (rows, columns) of the patches.
        fine: The number of sample points along each side of a patch.

    Returns:
        (rows · columns, E + 1): the shares of the elements, and of the background last. Rows sum to 1.

    Raises:
        ConfigError: The grid has no patch.
    """
    rows, columns = grid
    if rows < 1 or columns < 1:
        raise ConfigError(f"grid={grid!r} has no patch; pass (rows, columns), 1 or more each")
    y = (np.arange(rows * fine) + 0.5) / (rows * fine)
    x = (np.arange(columns * fine) + 0.5) / (columns * fine)
    owner = np.full((len(y), len(x)), len(elements))
    for index in sorted(range(len(elements)), key=lambda i: -_area(elements[i])):
        left, top, right, bottom = elements[index].box
        owner[np.ix_((y >= top) & (y < bottom), (x >= left) & (x < right))] = index
    patches = owner.reshape(rows, fine, columns, fine).transpose(0, 2, 1, 3).reshape(rows * columns, fine * fine)
    return np.stack([(patches == k).mean(1) for k in range(len(elements) + 1)], 1)


def heat_map(weights: NDArray[np.floating], grid: tuple[int, int]) -> NDArray[np.float64]:
    """Arranges the weights of image tokens as a picture.

    Args:
        weights: (…, n) weights on the image's n tokens; they are averaged over all leading dimensions.
        grid: (rows, columns) of the tokens.

    Returns:
        (rows, columns) values, scaled so that the largest is 1.

    Raises:
        ConfigError: The grid does not have n patches.
    """
    if grid[0] * grid[1] != weights.shape[-1]:
        raise ConfigError(f"grid={grid!r} does not fit the image's {weights.shape[-1]} tokens")
    flat = weights.reshape(-1, weights.shape[-1]).mean(0, dtype=np.float64)
    most = flat.max()
    shown: NDArray[np.float64] = (flat / most if most > 0 else flat).reshape(grid)
    return shown


def _named(element: Element) -> str:
    return element.text or element.role


def _area(element: Element) -> float:
    left, top, right, bottom = element.box
    return max(right - left, 0) * max(bottom - top, 0)
