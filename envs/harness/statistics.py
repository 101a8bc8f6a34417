"""The formulas of the harness, each in this one place.

- k of n successes, p̂ = k/n, z the normal quantile of the confidence. Wilson (1927) solves |p̂ − p| = z √(p(1−p)/n) for
  p; it stays inside [0, 1] and keeps its coverage near 0 and 1, where the usual p̂ ± z·se fails.
- Newcombe (1998): the difference of two proportions measured on the same trials.
- Episodes of one template resemble one another, so n episodes of few templates say less than n independent ones. The
  cluster bootstrap (Davison & Hinkley 1997, section 3.8; Cameron, Gelbach & Miller 2008) draws whole templates.
- The reversed redundancy ratio of AndroidLab (arXiv 2410.24024, section 3.2.3).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from homeostat.errors import ConfigError

__all__ = [
    "Interval",
    "cluster_bootstrap",
    "newcombe_paired",
    "quantile",
    "reversed_redundancy",
    "steps_ratio",
    "wilson",
]


@dataclass(frozen=True)
class Interval:
    """A point estimate and its bounds."""

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """``{"mean", "low", "high"}``."""
        return {"mean": self.mean, "low": self.low, "high": self.high}

    def percent(self) -> str:
        """``93.5 % [89.2, 96.2]``."""
        return f"{100 * self.mean:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence {confidence!r} is not between 0 and 1; 0.95 is usual")
    return NormalDist().inv_cdf((1 + confidence) / 2)


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval. Without trials nothing is known: [0, 1], mean 0. Raises :class:`ConfigError`."""
    if not 0 <= successes <= trials:
        raise ConfigError(f"{successes!r} successes in {trials!r} trials can't be; check the counts")
    z = _z(confidence)
    if trials == 0:
        return Interval(0.0, 0.0, 1.0)
    p, n = successes / trials, trials
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return Interval(p, low, high)


def newcombe_paired(both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95) -> Interval:
    """The difference p_a − p_b of two proportions measured on the same trials.

    Newcombe (1998, Statistics in Medicine 17, 2635), method 10: Wilson's intervals of both, joined by the correlation φ
    of the paired outcomes (with his continuity correction). Raises :class:`ConfigError` for a negative count.
    """
    if min(both, only_a, only_b, neither) < 0:
        raise ConfigError(f"counts {(both, only_a, only_b, neither)!r} hold a negative one")
    n = both + only_a + only_b + neither
    if n == 0:
        return Interval(0.0, -1.0, 1.0)
    a, b = wilson(both + only_a, n, confidence), wilson(both + only_b, n, confidence)
    difference = (only_a - only_b) / n
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    cross = both * neither - only_a * only_b
    phi = 0.0 if margins == 0 else (max(cross - n / 2, 0.0) if cross > 0 else cross) / sqrt(margins)
    below = _joined(a.mean - a.low, b.high - b.mean, phi)
    above = _joined(a.high - a.mean, b.mean - b.low, phi)
    return Interval(difference, max(-1.0, difference - below), min(1.0, difference + above))


def _joined(x: float, y: float, phi: float) -> float:
    return sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def cluster_bootstrap(
    values: Sequence[float],
    clusters: Sequence[Hashable],
    *,
    confidence: float = 0.95,
    draws: int = 4000,
    seed: int = 0,
) -> Interval | None:
    """The mean of ``values`` with the percentile interval of a cluster bootstrap.

    With C clusters, every draw takes C of them with replacement and pools their values: Σ sums / Σ sizes. None below
    two clusters and where all values are equal: nothing varies then, which the method takes for certainty. The same
    seed gives the same interval. Raises :class:`ConfigError`.
    """
    import numpy as np

    _z(confidence)
    if len(values) != len(clusters):
        raise ConfigError(f"{len(values)!r} values in {len(clusters)!r} clusters; name one cluster a value")
    if draws < 1:
        raise ConfigError(f"draws {draws!r} is below 1; 4000 are usual")
    place = {name: row for row, name in enumerate(dict.fromkeys(clusters))}
    if len(place) < 2 or len(set(values)) < 2:
        return None
    rows = np.array([place[name] for name in clusters])
    sums = np.bincount(rows, weights=np.asarray(values, dtype=float))
    sizes = np.bincount(rows)
    taken = np.random.default_rng(seed).integers(len(place), size=(draws, len(place)))
    means = sums[taken].sum(axis=1) / sizes[taken].sum(axis=1)
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(sums.sum() / sizes.sum()), float(low), float(high))


def reversed_redundancy(solved: Iterable[tuple[int, int]]) -> float | None:
    """AndroidLab's RRR over solved episodes: the mean of optimal steps / steps taken; higher is less redundant.

    ``solved``: (steps, optimal steps) each. Ours are an oracle's steps where theirs are a person's; above 1 an episode
    was shorter than that. Episodes without a known optimum or without a step don't count; None where none is left.
    """
    ratios = [optimal / steps for steps, optimal in solved if steps and optimal]
    return sum(ratios) / len(ratios) if ratios else None


def steps_ratio(solved: Iterable[tuple[int, int]]) -> float | None:
    """The mean of steps taken / optimal steps over solved episodes, (steps, optimal steps) each; lower is better."""
    ratios = [steps / optimal for steps, optimal in solved if optimal]
    return sum(ratios) / len(ratios) if ratios else None


def quantile(values: Sequence[float], q: float) -> float | None:
    """The q-quantile, linear between order statistics (Hyndman & Fan's type 7, as numpy's); None without values."""
    if not 0 <= q <= 1:
        raise ConfigError(f"quantile {q!r} is not between 0 and 1; 0.5 is the median")
    if not values:
        return None
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
