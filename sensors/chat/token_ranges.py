"""Maps characters of a rendered text to tokens, past the image placeholders that a processor expands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ranges", "expanded", "joined", "runs", "tokens_between", "unexpanded"]

Ranges = tuple[tuple[int, int], ...]
"""Token ranges [start, stop)."""


def unexpanded(length: int, replaced: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
    """Maps the characters after the expansion of placeholders to those before.

    Args:
        length: The number of characters before.
        replaced: The processor's record of each expanded image placeholder.

    Returns:
        For each character after the expansion, its place before; -1 inside an expanded placeholder.
    """
    pieces, at = [], 0
    for record in replaced:
        start, stop = record["span"]
        first, last = record["new_span"]
        pieces += [np.arange(at, start), np.full(last - first, -1)]
        at = stop
    return np.concatenate([*pieces, np.arange(at, length)]).astype(np.int64)


def expanded(at: int, replaced: Sequence[Mapping[str, Any]]) -> int:
    """Computes a character's position after the placeholders before it were expanded.

    Args:
        at: The position before.
        replaced: The processor's record of each expanded image placeholder.

    Returns:
        The position after.
    """
    gained = 0
    for record in replaced:
        if record["span"][1] <= at:
            gained = record["new_span"][1] - record["span"][1]
    return at + gained


def tokens_between(offsets: NDArray[np.int64], start: int, stop: int) -> list[tuple[int, int]]:
    """Finds the tokens whose first character lies in a range.

    Args:
        offsets: (T, 2): the first character of each token and the one after its last.
        start: The first character of the range.
        stop: The character after its last.

    Returns:
        The token ranges [first, last).
    """
    first, last = offsets[:, 0], offsets[:, 1]
    return runs(np.flatnonzero((first >= start) & (first < stop) & (last > first)).tolist())


def runs(indices: Iterable[int]) -> list[tuple[int, int]]:
    """Converts ascending indices to ranges.

    Args:
        indices: The indices.

    Returns:
        The ranges [start, stop).
    """
    out: list[tuple[int, int]] = []
    for k in indices:
        if out and out[-1][1] == k:
            out[-1] = (out[-1][0], k + 1)
        else:
            out.append((k, k + 1))
    return out


def joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorts ranges and merges those that touch.

    Args:
        ranges: Disjoint ranges.

    Returns:
        The merged ranges.
    """
    out: list[tuple[int, int]] = []
    for start, stop in sorted(ranges):
        if out and start <= out[-1][1]:
            out[-1] = (out[-1][0], max(stop, out[-1][1]))
        else:
            out.append((start, stop))
    assert all(a[1] < b[0] for a, b in pairwise(out))
    return tuple(out)
