"""Intervals against independent computations: roots found by bisection, coverage counted exactly, published tables."""

from __future__ import annotations

from itertools import product
from math import comb, sqrt

import pytest

from homeostat.agent.intervals import newcombe_paired, wilson
from homeostat.envs.errors import ConfigError

Z = 1.959963984540054


def bisect(low: float, high: float, inside: float, p: float, n: int) -> float:
    """Where |p − x| = z √(x(1−x)/n) between an x that is inside the interval and one that is not."""
    outside = low if inside == high else high
    for _ in range(200):
        middle = (inside + outside) / 2
        if abs(p - middle) <= Z * sqrt(middle * (1 - middle) / n):
            inside = middle
        else:
            outside = middle
    return inside


@pytest.mark.parametrize(("k", "n"), [(1, 10), (5, 10), (93, 100), (187, 200), (199, 200)])
def test_wilson_solves_its_equation(k: int, n: int) -> None:
    interval = wilson(k, n)
    assert interval.mean == k / n
    assert interval.low == pytest.approx(bisect(0.0, k / n, k / n, k / n, n), abs=1e-9)
    assert interval.high == pytest.approx(bisect(k / n, 1.0, k / n, k / n, n), abs=1e-9)


def test_wilson_at_the_ends_and_without_trials() -> None:
    assert wilson(0, 20).low == 0.0
    assert wilson(20, 20).high == 1.0
    assert wilson(20, 20).low == pytest.approx(20 / (20 + Z**2), abs=1e-9)
    assert (wilson(0, 0).low, wilson(0, 0).high) == (0.0, 1.0)
    with pytest.raises(ConfigError, match="3 successes in 2 trials"):
        wilson(3, 2)


def test_the_paired_interval_gives_a_published_value() -> None:
    """Complete response before and after consolidation (Cavo et al. 2012), as R's ``contingencytables`` has it."""
    interval = newcombe_paired(59, 6, 16, 80)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((-0.0621, -0.1186, -0.0046), abs=5e-5)


def test_pairs_that_all_agree_leave_wilsons_margins() -> None:
    """Without a discordant pair φ is undefined and taken as 0: both margins are Wilson's, joined as independent."""
    interval = newcombe_paired(54, 0, 0, 0)
    assert interval.high == pytest.approx(1 - wilson(54, 54).low)
    assert interval.low == -interval.high


def test_the_paired_interval_covers_what_it_says() -> None:
    """Every outcome of 16 pairs, weighed by its multinomial probability."""
    p, n = (0.5, 0.2, 0.1, 0.2), 16
    covered = 0.0
    for a, b, c in product(range(n + 1), repeat=3):
        d = n - a - b - c
        if d < 0:
            continue
        chance = comb(n, a) * comb(n - a, b) * comb(n - a - b, c)
        weight = chance * p[0] ** a * p[1] ** b * p[2] ** c * p[3] ** d
        interval = newcombe_paired(a, b, c, d)
        covered += weight * (interval.low <= p[1] - p[2] <= interval.high)
    assert 0.93 < covered < 0.98


def test_swapping_the_sides_mirrors_the_interval() -> None:
    one, other = newcombe_paired(30, 9, 4, 7), newcombe_paired(30, 4, 9, 7)
    assert (one.mean, one.low, one.high) == pytest.approx((-other.mean, -other.high, -other.low))
