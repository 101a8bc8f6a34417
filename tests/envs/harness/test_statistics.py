"""Intervals against independent computations: roots found by bisection, coverage counted exactly, published tables."""

from __future__ import annotations

import statistics
from itertools import product
from math import comb, sqrt

import pytest

from homeostat.envs.harness import (
    cluster_bootstrap,
    newcombe_paired,
    quantile,
    reversed_redundancy,
    steps_ratio,
    wilson,
)
from homeostat.errors import ConfigError

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


@pytest.mark.parametrize("confidence", [0.5, 0.95, 0.99])
def test_wilson_is_its_closed_formula(confidence: float) -> None:
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    for n in (1, 2, 7, 10, 60, 200, 1000):
        for k in {0, 1, n // 3, n // 2, n - 1, n}:
            p = k / n
            centre = (p + z * z / (2 * n)) / (1 + z * z / n)
            half = z * sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
            low, high = (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)
            found = wilson(k, n, confidence)
            assert (found.mean, found.low, found.high) == pytest.approx((p, low, high), rel=0, abs=1e-12)


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


def test_the_cluster_bootstrap_draws_whole_clusters() -> None:
    """Against all 4^4 equally likely draws of four clusters, counted out."""
    clusters = {"a": [1, 1, 1, 0], "b": [0, 0], "c": [1, 0, 0, 0, 0, 1], "d": [1]}
    values = [float(v) for group in clusters.values() for v in group]
    names = [name for name, group in clusters.items() for _ in group]
    means = sorted(
        sum(sum(clusters[n]) for n in draw) / sum(len(clusters[n]) for n in draw) for draw in product("abcd", repeat=4)
    )
    exact = [means[round(q * (len(means) - 1))] for q in (0.025, 0.975)]
    found = cluster_bootstrap(values, names, draws=20_000)
    assert found is not None
    assert found.mean == pytest.approx(6 / 13)
    assert (found.low, found.high) == pytest.approx(exact, abs=0.03)
    assert found == cluster_bootstrap(values, names, draws=20_000)
    assert cluster_bootstrap(values, names, draws=20) != cluster_bootstrap(values, names, draws=20, seed=1)


def test_alike_episodes_of_a_template_widen_the_clustered_interval() -> None:
    """Each template all right or all wrong: twenty episodes each say no more than one."""
    values = [float(template % 2) for template in range(10) for _ in range(20)]
    names = [template for template in range(10) for _ in range(20)]
    found, naive = cluster_bootstrap(values, names), wilson(100, 200)
    assert found is not None
    assert found.high - found.low > 3 * (naive.high - naive.low)


def test_the_bootstrap_says_nothing_where_nothing_varies() -> None:
    assert cluster_bootstrap([1.0, 0.0], ["a", "a"]) is None
    assert cluster_bootstrap([1.0, 1.0], ["a", "b"]) is None
    assert cluster_bootstrap([], []) is None
    with pytest.raises(ConfigError, match="give one cluster per value"):
        cluster_bootstrap([1.0], [])
    with pytest.raises(ConfigError, match="draws 0"):
        cluster_bootstrap([1.0, 0.0], ["a", "b"], draws=0)


def test_the_reversed_redundancy_ratio_is_the_mean_of_ratios() -> None:
    """As AndroidLab sums it: each completed task's optimal length over its own, divided by the completed tasks."""
    assert reversed_redundancy([(8, 6), (5, 5), (4, 6)]) == pytest.approx((0.75 + 1 + 1.5) / 3)
    assert reversed_redundancy([(8, 0), (0, 3)]) is None
    assert steps_ratio([(8, 6), (5, 5)]) == pytest.approx((8 / 6 + 1) / 2)
    assert steps_ratio([]) is None


def test_quantiles_lie_between_order_statistics() -> None:
    values = [3.0, 1.0, 4.0, 1.5, 9.0, 2.6]
    assert quantile(values, 0.5) == statistics.median(values)
    assert quantile(values, 0.95) == pytest.approx(statistics.quantiles(values, n=20, method="inclusive")[-1])
    assert (quantile(values, 0.0), quantile(values, 1.0), quantile([], 0.5)) == (1.0, 9.0, None)
    with pytest.raises(ConfigError, match="quantile 95"):
        quantile(values, 95)
