"""Scanpaths: in which order did a model look at the elements of a screen, and how similar are two such orders?

A *fixation* is one generated token: the element that gets the largest share of the token's attention on the screen. A
*scanpath* is the sequence of fixations, as object-based models of gaze predict it (OAT, arXiv 2407.13335). Sequences
are compared in two ways, as in the study of eye movements:

- *String edit.* Each element is a letter, and d(a, b) is the least number of insertions, deletions and substitutions
  that turn one string into the other (Levenshtein). The distance is d / max(|a|, |b|), as in Foulsham and Underwood,
  "What can saliency models predict about eye movements?", Journal of Vision 8(2):6, 2008.
- *ScanMatch* (Cristino, Mathôt, Theeuwes and Gilchrist, "ScanMatch: a novel method for comparing fixation sequences",
  Behavior Research Methods 42:692–700, 2010). Needleman and Wunsch's alignment with a score τ − ‖p_i − p_j‖ for two
  fixations at the places p_i and p_j, and 0 for a gap. Near elements therefore match in part, and elements farther
  apart than τ do not match. The score is divided by τ · max(|a|, |b|), so that it is 1 for equal sequences.

How a path searches is described by OAT's shares (section 4.3 and its released evaluation): first visits of an element
(*search*), further fixations of the same element in a row (*refixation*), and returns to an earlier one (*revisit*).
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from itertools import groupby
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.observation import Element

__all__ = ["centres", "edit_distance", "fixations", "scan_match", "search_shares", "without_repeats"]

K = TypeVar("K", bound=Hashable)


def fixations(shares: NDArray[np.floating]) -> tuple[int | None, ...]:
    """Finds the element that each token looks at most.

    Args:
        shares: (T, E + 1) shares of the attention on the screen: of the E elements, and of the background last.

    Returns:
        One element's index for each token; None where no element gets any attention. The background is no fixation:
        it is not one place.
    """
    elements = shares[:, :-1]
    if not elements.shape[1]:
        return (None,) * len(shares)
    return tuple(int(row.argmax()) if row.max() > 0 else None for row in elements)


def without_repeats(path: Sequence[K]) -> tuple[K, ...]:
    """Counts successive fixations of one element as one.

    Args:
        path: The fixations.

    Returns:
        The fixations without immediate repeats.
    """
    return tuple(key for key, _ in groupby(path))


def edit_distance(one: Sequence[Hashable], other: Sequence[Hashable]) -> float:
    """Computes the normalised string-edit distance of two scanpaths.

    Args:
        one: Fixations.
        other: Fixations.

    Returns:
        The distance in [0, 1]: 0 for equal paths, 1 if they share nothing. Two empty paths are equal.
    """
    if not one and not other:
        return 0.0
    before = list(range(len(other) + 1))
    for i, a in enumerate(one, start=1):
        row = [i]
        for j, b in enumerate(other, start=1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
        before = row
    return before[-1] / max(len(one), len(other))


def scan_match(
    one: Sequence[K], other: Sequence[K], places: Mapping[K, tuple[float, float]], threshold: float = 0.25
) -> float:
    """Computes the ScanMatch similarity of two scanpaths.

    Args:
        one: Fixations.
        other: Fixations.
        places: The place (x, y) of every fixated element, in any unit, such as those of :func:`centres`.
        threshold: τ, in the unit of the places. Cristino et al. set it from the variability of saccades, which a model
            does not have; the default is a quarter of the screen's height for the places of :func:`centres`.

    Returns:
        The similarity in [0, 1]: 1 for equal paths. Two empty paths are equal.

    Raises:
        ConfigError: The threshold is not above 0, or a fixated element has no place.
    """
    if not threshold > 0:
        raise ConfigError(f"threshold={threshold!r} matches nothing; pass a distance above 0")
    if missing := [key for key in (*one, *other) if key not in places]:
        raise ConfigError(f"element {missing[0]!r} has no place; give one for every fixated element")
    if not one and not other:
        return 1.0
    if not one or not other:
        return 0.0
    here, there = (np.array([places[key] for key in path], np.float64) for path in (one, other))
    score = threshold - np.linalg.norm(here[:, None] - there[None], axis=-1)
    best = np.zeros((len(one) + 1, len(other) + 1))
    for i in range(len(one)):
        for j in range(len(other)):
            best[i + 1, j + 1] = max(best[i, j] + score[i, j], best[i, j + 1], best[i + 1, j])
    return float(best[-1, -1] / (threshold * max(len(one), len(other))))


def centres(elements: Sequence[Element], height: int, width: int) -> dict[int, tuple[float, float]]:
    """Computes where elements are.

    Args:
        elements: The screen's elements.
        height: The screen's height in pixels.
        width: The screen's width in pixels.

    Returns:
        By index, the centre (x, y) of each element's box, in units of the screen's height.
    """
    ratio = width / height
    return {i: ((e.box[0] + e.box[2]) / 2 * ratio, (e.box[1] + e.box[3]) / 2) for i, e in enumerate(elements)}


def search_shares(path: Sequence[Hashable]) -> dict[str, float]:
    """Describes how a scanpath searches.

    Args:
        path: The fixations, repeats included.

    Returns:
        The shares of ``search``, ``refixation`` and ``revisit`` among the fixations, which sum to 1. Without fixations
        all are 0.
    """
    counts = {"search": 0, "refixation": 0, "revisit": 0}
    seen: set[Hashable] = set()
    for i, key in enumerate(path):
        kind = "search" if key not in seen else "refixation" if path[i - 1] == key else "revisit"
        counts[kind] += 1
        seen.add(key)
    return {kind: count / max(len(path), 1) for kind, count in counts.items()}
