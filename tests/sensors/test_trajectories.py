"""Statistics of trajectories, against simulations whose truth is known."""

import math
from itertools import pairwise

import numpy as np
import pytest

from homeostat.errors import ConfigError
from homeostat.sensors.impulse_response import impulse_response
from homeostat.sensors.trajectories import fit_trajectories, ols_step


def simulate(phi, n, turns, seed, spread=1.0, start=None):
    """n trajectories of D' = c_i + φ D + η, from their own equilibria."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(5, spread, n)
    out = np.empty((n, turns))
    out[:, 0] = (centres if start is None else start) + rng.normal(0, 1, n)
    for t in range(1, turns):
        out[:, t] = centres + phi * (out[:, t - 1] - centres) + rng.normal(0, 1, n)
    return out


def by_dummies(paths):
    """φ by least squares with a dummy for each trajectory: what the within estimator must equal."""
    rows = [(n, x, y) for n, path in enumerate(paths) for x, y in pairwise(path)]
    design = np.zeros((len(rows), len(paths) + 1))
    for k, (n, x, _) in enumerate(rows):
        design[k, n], design[k, -1] = 1, x
    return np.linalg.lstsq(design, np.array([y for _, _, y in rows]), rcond=None)[0][-1]


def test_the_estimates_are_those_of_least_squares_with_dummies():
    paths = [*simulate(0.5, 4, 21, 0), *simulate(0.5, 4, 26, 1)]  # 20 steps in two tens, and 25 in two thirteens
    found = fit_trajectories(paths, resamples=9)
    halves = (
        [p[:11] for p in paths[:4]] + [p[:14] for p in paths[4:]],
        [p[10:] for p in paths[:4]] + [p[12:] for p in paths[4:]],
    )
    assert found.plain == pytest.approx(by_dummies(paths))
    assert found.phi == pytest.approx(2 * by_dummies(paths) - np.mean([by_dummies(half) for half in halves]))
    assert (found.trajectories, found.turns) == (8, 21)


def test_a_fit_by_hand():
    """From 0 1 0 to 1 0 2, and from 2 0 2 to 0 2 0: less the means, Σ x y = −1 and −8/3, Σ x² = 2/3 and 8/3."""
    found = fit_trajectories(
        [[0.0, 1.0, 0.0, 2.0], [2.0, 0.0, 2.0, 0.0]], least_turns=4, least_trajectories=2, resamples=9
    )
    assert found.plain == pytest.approx((-1 - 8 / 3) / (2 / 3 + 8 / 3))
    assert fit_trajectories(
        [[0.0, 1.0, 0.0, 2.0]] * 3, least_turns=4, least_trajectories=2, resamples=9
    ).low == pytest.approx(
        fit_trajectories([[0.0, 1.0, 0.0, 2.0]] * 3, least_turns=4, least_trajectories=2, resamples=9).high
    )  # trajectories that are all alike have no error


@pytest.mark.parametrize("phi", [0.0, 0.4, 0.7])
def test_phi_is_recovered_and_the_plain_estimate_is_too_small(phi):
    found = [fit_trajectories(simulate(phi, 40, 24, seed), resamples=19) for seed in range(12)]
    corrected, plain = np.mean([f.phi for f in found]), np.mean([f.plain for f in found])
    assert abs(corrected - phi) < 0.04
    assert plain < phi - 0.02  # Nickell's bias, about −(1 + φ) / (T − 1)
    assert abs(plain - phi + (1 + phi) / 23) < 0.03


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    found = [fit_trajectories(simulate(0.5, 12, 20, seed), resamples=99) for seed in range(100)]
    covered = sum(f.low <= 0.5 <= f.high for f in found)
    assert 85 <= covered < 100  # in the long run 92
    assert all(f.low < f.phi < f.high for f in found)


def test_without_memory_only_the_unit_root_is_rejected_and_no_equilibrium_is_said():
    found = [fit_trajectories(simulate(0.0, 12, 20, seed), resamples=99) for seed in range(40)]
    assert sum(f.memoryless < 0.05 for f in found) <= 6  # nominal: 2 of 40
    assert all(f.unit_root < 0.05 for f in found)
    assert sum(f.equilibrium is None for f in found) >= 34


def test_a_random_walk_only_the_memoryless_is_rejected():
    rng = np.random.default_rng(3)
    found = [fit_trajectories(rng.normal(0, 1, (12, 20)).cumsum(1), resamples=99) for _ in range(40)]
    assert sum(f.unit_root < 0.05 for f in found) <= 6
    assert sum(f.memoryless < 0.05 for f in found) >= 36


def test_a_restoring_force_is_told_from_both_and_its_equilibrium_found():
    found = fit_trajectories(simulate(0.5, 40, 24, 1, spread=0.5, start=12.0), resamples=199)
    assert found.memoryless < 0.05
    assert found.unit_root < 0.05
    assert found.equilibrium == pytest.approx(5, abs=0.6)
    assert (found.trajectories, found.turns) == (40, 24)


def test_the_paper_s_fit_finds_a_force_in_noise_without_any():
    """Seven points of noise around a mean give a slope near −1: why one short trajectory says nothing."""
    rng = np.random.default_rng(0)
    slopes = [ols_step(rng.normal(8, 1, 8))[0] for _ in range(2000)]
    assert np.mean(slopes) == pytest.approx(-1.15, abs=0.05)
    low, high = np.quantile(slopes, [0.05, 0.95])
    assert (low, high) == (pytest.approx(-1.70, abs=0.1), pytest.approx(-0.56, abs=0.1))
    b, equilibrium = ols_step([0.0, 1.0, 1.5, 1.75])  # halfway to 2 each turn
    assert (b, equilibrium) == (pytest.approx(-0.5), pytest.approx(2.0))


def test_the_response_to_a_pulse_and_its_half_life():
    rng = np.random.default_rng(5)
    control = rng.normal(6, 0.3, (60, 30))
    treated = control + rng.normal(0, 0.1, (60, 30))
    turns = rng.integers(4, 12, 60)
    for row, turn in zip(treated, turns, strict=True):
        row[turn:] += -2.0 * 0.6 ** np.arange(30 - turn)
    found = impulse_response(treated, control, turns.tolist(), 10, resamples=199)
    np.testing.assert_allclose(found.mean, -2.0 * 0.6 ** np.arange(10), atol=0.08)
    assert (found.low < found.mean).all()
    assert (found.mean < found.high).all()
    assert (found.size, found.decay) == (pytest.approx(-2, abs=0.1), pytest.approx(0.6, abs=0.03))
    assert found.half_life == pytest.approx(math.log(0.5) / math.log(0.6), abs=0.15)
    assert found.half_life_low <= found.half_life <= found.half_life_high
    assert found.pairs == 60


def test_a_pulse_that_stays_never_halves_and_one_that_is_gone_halves_at_once():
    control = np.random.default_rng(1).normal(0, 1e-6, (5, 12))
    step, spike = control.copy(), control.copy()
    step[:, 2:] += 1
    spike[:, 2] += 1
    assert impulse_response(step, control, 2, 8).half_life > 1e4
    assert impulse_response(spike, control, 2, 8).half_life < 0.1


def test_the_response_of_three_pairs_by_hand():
    control = [[5.0, 5.0, 5.0, 5.0], [6.0, 6.0, 6.0, 6.0], [7.0, 7.0, 7.0, 7.0]]
    treated = [[5.0, 1.0, 3.0, 4.0], [6.0, 2.0, 4.0, 5.0], [7.0, 3.0, 5.0, 6.0]]
    found = impulse_response(treated, control, np.int64(1), 3, least_pairs=3, resamples=19)
    assert found.mean.tolist() == found.low.tolist() == found.high.tolist() == [-4.0, -2.0, -1.0]
    assert (found.size, found.decay) == (pytest.approx(-4, abs=1e-3), pytest.approx(0.5, abs=1e-4))
    assert found.half_life == pytest.approx(1, abs=1e-3)  # turns


def test_a_shared_trend_looks_like_memory_as_the_module_warns():
    rising = [fit_trajectories(simulate(0.0, 12, 20, seed) + 0.1 * np.arange(20), resamples=99) for seed in range(10)]
    assert np.mean([f.phi for f in rising]) > 0.25
    assert sum(f.memoryless < 0.05 for f in rising) >= 7


def test_the_same_seed_says_the_same():
    paths = simulate(0.5, 6, 20, 0)
    assert fit_trajectories(paths, resamples=19) == fit_trajectories(paths, resamples=19)
    assert fit_trajectories(paths, resamples=19).low != fit_trajectories(paths, resamples=19, seed=1).low


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fit_trajectories([[1.0] * 30] * 3), "3 trajectories are too few"),
        (lambda: fit_trajectories([[1.0] * 30], least_trajectories=0), "1 trajectories are too few; give 2"),
        (lambda: fit_trajectories([], least_trajectories=0), "0 trajectories are too few"),
        (lambda: fit_trajectories([list(range(30))] * 6, resamples=0), "resamples=0 draws nothing"),
        (lambda: fit_trajectories([list(range(9))] * 6), "has 9 turns; give 20"),
        (lambda: fit_trajectories([[1, 2, 1]] * 6, least_turns=2), "has 3 turns; give 4"),
        (lambda: fit_trajectories([[1.0] * 30] * 6), "no trajectory ever changes"),
        (lambda: fit_trajectories([[math.nan, *range(29)]] * 6), "no number"),
        (lambda: ols_step([1.0, 1.0, 1.0]), "has no slope"),
        (lambda: impulse_response([[1, 2]] * 4, [[1, 2]] * 4, 0, 2), "4 treated and 4 control episodes.* 5 or more"),
        (lambda: impulse_response([[1, 2]] * 5, [[1, 2]] * 6, 0, 2), "5 treated and 6 control"),
        (lambda: impulse_response([[1, 2, 3]] * 5, [[1, 2, 3]] * 5, 2, 2), "pair 0 ends before turn 4"),
        (lambda: impulse_response([[1, 2, 3]] * 5, [[1, 2, 3]] * 5, [1], 2), r"at=\[1\], horizon=2"),
        (lambda: impulse_response([[1, 2, 3]] * 5, [[1, 2, math.nan]] * 5, 1, 2), "pair 0 holds a value"),
        (lambda: impulse_response([[1, 2]] * 5, [[1, 2]] * 5, 0, 2, resamples=0), "resamples=0"),
    ],
)
def test_too_little_to_go_on_is_named(call, says):
    with pytest.raises(ConfigError, match=says):
        call()


def test_less_can_be_asked_for():
    short = simulate(0.5, 4, 12, 0)
    assert fit_trajectories(short, least_turns=10, least_trajectories=3, resamples=19).turns == 12
