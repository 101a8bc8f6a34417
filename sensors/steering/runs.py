"""Runs of adjacent keys that belong to the same spans of some steering rules."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["Run", "runs_of"]


class Run(NamedTuple):
    """Adjacent keys in which no span of a rule begins or ends.

    Attributes:
        start: The first key.
        stop: The key after the last.
        named: Whether some rule names the keys.
    """

    start: int
    stop: int
    named: bool


def runs_of(ranges: Iterable[tuple[int, int]], keys: int) -> tuple[Run, ...]:
    """Splits keys into runs.

    Args:
        ranges: The ranges [start, stop) of all spans that the rules name. They may overlap and reach beyond the keys.
        keys: The number of keys.

    Returns:
        The runs, from the first key to the last.
    """
    inside = [(max(start, 0), min(stop, keys)) for start, stop in ranges if stop > 0 and start < keys]
    opened = Counter(start for start, _ in inside)
    opened.subtract(stop for _, stop in inside)
    cuts = sorted({0, keys, *opened})
    depth = itertools.accumulate(opened[cut] for cut in cuts)
    return tuple(Run(*ends, named > 0) for ends, named in zip(itertools.pairwise(cuts), depth, strict=False))
