"""Intervals for proportions: Wilson's for one, Newcombe's for the difference of two paired ones.

k of n successes, p̂ = k/n, z the normal quantile of the confidence. Wilson (1927) solves |p̂ − p| = z √(p(1−p)/n) for p;
it stays inside [0, 1] and keeps its coverage near 0 and 1, where the usual p̂ ± z·se fails.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist

from homeostat.envs.errors import ConfigError

__all__ = ["Interval", "newcombe_paired", "wilson"]


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
