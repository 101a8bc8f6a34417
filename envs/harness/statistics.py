"""The statistical formulas of the harness. Each is defined in this file only.

- Wilson's score interval (1927) for k successes in n trials, computed by SciPy. With p̂ = k/n and z the normal quantile
  of the confidence, its bounds solve |p̂ − p| = z √(p(1−p)/n) for p. It stays inside [0, 1] and keeps its coverage near
  0 and 1, where the usual interval p̂ ± z·se fails.
- Newcombe's interval (1998) for the difference of two proportions that were measured on the same trials.
- The cluster bootstrap (Davison & Hinkley 1997, section 3.8; Cameron, Gelbach & Miller 2008). Episodes of one template
  resemble one another, so n episodes of a few templates carry less information than n independent ones. Therefore
  whole templates are drawn.
- The reversed redundancy ratio of AndroidLab (arXiv 2410.24024, section 3.2.3).

SciPy has no interval for paired proportions, and its bootstrap draws single values, so these two are written out here.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from math import sqrt

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
    """A point estimate and its confidence interval.

    Attributes:
        mean: The point estimate.
        low: The lower bound.
        high: The upper bound.
    """

    mean: float
    low: float
    high: float

    def as_dict(self) -> dict[str, float]:
        """Returns the fields by name, as plain data."""
        return {"mean": self.mean, "low": self.low, "high": self.high}

    def percent(self) -> str:
        """Returns the interval as text in percent, such as ``93.5 % [89.2, 96.2]``."""
        return f"{100 * self.mean:.1f} % [{100 * self.low:.1f}, {100 * self.high:.1f}]"


def _check(confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ConfigError(f"confidence {confidence!r} is not between 0 and 1; 0.95 is usual")


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Computes Wilson's score interval for a proportion (``scipy.stats.binomtest``).

    Args:
        successes: The number of successes k.
        trials: The number of trials n.
        confidence: The two-sided confidence.

    Returns:
        The proportion k/n and its interval. Without trials: mean 0 and the interval [0, 1].

    Raises:
        ConfigError: The counts contradict each other, or the confidence is not between 0 and 1.
    """
    if not 0 <= successes <= trials:
        raise ConfigError(f"{successes!r} successes in {trials!r} trials are impossible; check the counts")
    _check(confidence)
    if trials == 0:
        return Interval(0.0, 0.0, 1.0)
    from scipy.stats import binomtest  # takes about a second to import

    bounds = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Interval(successes / trials, float(bounds.low), float(bounds.high))


def newcombe_paired(both: int, only_a: int, only_b: int, neither: int, confidence: float = 0.95) -> Interval:
    """Computes the interval of the difference p_a − p_b of two proportions that were measured on the same trials.

    Newcombe (1998, Statistics in Medicine 17, 2635), method 10: combines Wilson's intervals of the two proportions by
    the correlation φ of the paired outcomes, with his continuity correction. SciPy has no interval for paired
    proportions, so the formula is written out here.

    Args:
        both: The number of trials in which a and b succeeded.
        only_a: The number of trials in which only a succeeded.
        only_b: The number of trials in which only b succeeded.
        neither: The number of trials in which neither succeeded.
        confidence: The two-sided confidence.

    Returns:
        The difference and its interval. Without trials: 0 and [−1, 1].

    Raises:
        ConfigError: A count is negative, or the confidence is not between 0 and 1.
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
    """Computes the mean of values with the percentile interval of a cluster bootstrap.

    With C clusters, every draw takes C of them with replacement and pools their values: Σ sums / Σ sizes. The same seed
    gives the same interval.

    Args:
        values: The values, such as 1 for a solved episode and 0 for another.
        clusters: The cluster of each value, such as its template.
        confidence: The two-sided confidence.
        draws: The number of bootstrap draws.
        seed: The seed of the draws.

    Returns:
        The mean and its interval. None for fewer than two clusters, and if all values are equal: then no draw differs
        from another, and the method would report a certainty that the data do not support.

    Raises:
        ConfigError: The two sequences differ in length, there are no draws, or the confidence is not between 0 and 1.
    """
    import numpy as np

    _check(confidence)
    if len(values) != len(clusters):
        raise ConfigError(f"{len(values)!r} values in {len(clusters)!r} clusters; give one cluster per value")
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
    """Computes AndroidLab's RRR: the mean of optimal steps / steps over solved episodes. Higher is less redundant.

    AndroidLab counts a person's steps as optimal. Here they are the oracle's, so a ratio above 1 says that an episode
    was shorter than the oracle's.

    Args:
        solved: (steps, optimal steps) of each solved episode. Episodes without a known optimum or without a step do
            not count.

    Returns:
        The mean ratio; None if no episode counts.
    """
    ratios = [optimal / steps for steps, optimal in solved if steps and optimal]
    return sum(ratios) / len(ratios) if ratios else None


def steps_ratio(solved: Iterable[tuple[int, int]]) -> float | None:
    """Computes the mean of steps / optimal steps over solved episodes. Lower is better.

    Args:
        solved: (steps, optimal steps) of each solved episode. Episodes without a known optimum do not count.

    Returns:
        The mean ratio; None if no episode counts.
    """
    ratios = [steps / optimal for steps, optimal in solved if optimal]
    return sum(ratios) / len(ratios) if ratios else None


def quantile(values: Sequence[float], q: float) -> float | None:
    """Computes a quantile, linear between order statistics (type 7 of Hyndman & Fan, NumPy's default).

    Args:
        values: The values, in any order.
        q: Which quantile, from 0 to 1.

    Returns:
        The quantile; None without values.

    Raises:
        ConfigError: ``q`` is not between 0 and 1.
    """
    if not 0 <= q <= 1:
        raise ConfigError(f"quantile {q!r} is not between 0 and 1; 0.5 is the median")
    if not values:
        return None
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
