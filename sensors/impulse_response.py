"""The impulse response of a reminder: how much, and for how long, does it change a sensor's values?

A reminder is a pulse. Its *impulse response* is the mean difference between paired episodes with and without it, at
each turn after it. δ λ^k is fitted to that; its half-life, log ½ / log λ, is the shortest sensible cool-down.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from homeostat.errors import ConfigError
from homeostat.sensors.trajectories import Trajectory, require_resamples

__all__ = ["Response", "impulse_response"]


@dataclass(frozen=True)
class Response:
    """The impulse response of a pulse, with 95 % bootstrap intervals over pairs of episodes.

    Attributes:
        mean: The mean paired difference k turns after the pulse; k = 0 is the pulse's own turn.
        low: The lower end of its interval.
        high: The upper end.
        size: δ of the fitted δ λ^k.
        decay: λ of the fitted δ λ^k.
        half_life: The half-life in turns; inf if the response does not decay.
        half_life_low: The lower end of its interval.
        half_life_high: The upper end.
        pairs: The number of pairs of episodes.
    """

    mean: Trajectory
    low: Trajectory
    high: Trajectory
    size: float
    decay: float
    half_life: float
    half_life_low: float
    half_life_high: float
    pairs: int


def impulse_response(
    treated: Sequence[Sequence[float]],
    control: Sequence[Sequence[float]],
    at: int | Sequence[int],
    horizon: int,
    *,
    least_pairs: int = 5,
    resamples: int = 999,
    seed: int = 0,
) -> Response:
    """Measures the effect of a pulse from matched episodes with and without it.

    The intervals are percentile bootstrap intervals over pairs; with few pairs they are too narrow.

    Args:
        treated: The values of each episode with the pulse.
        control: The values of the matching episodes without it.
        at: The turn of the pulse, counted from 0; one for all pairs, or one for each.
        horizon: The number of turns to measure, from the pulse's own turn on.
        least_pairs: The required number of pairs, 2 at least.
        resamples: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Returns:
        The impulse response.

    Raises:
        ConfigError: The two sides do not match, there are too few pairs, an episode is too short, or a value is not a
            finite number.
    """
    if len(treated) != len(control) or len(treated) < max(least_pairs, 2):
        raise ConfigError(
            f"{len(treated)} treated and {len(control)} control episodes; pass as many of each, "
            f"{max(least_pairs, 2)} or more, or least_pairs=… (2 at least)"
        )
    require_resamples(resamples)
    turns = [int(at)] * len(treated) if isinstance(at, int | np.integer) else [int(turn) for turn in at]
    if len(turns) != len(treated) or horizon < 2:
        raise ConfigError(
            f"at={at!r}, horizon={horizon!r}: pass one turn for each pair, and a horizon of 2 turns or more"
        )
    rows = []
    for n, (one, other, turn) in enumerate(zip(treated, control, turns, strict=True)):
        if turn < 0 or min(len(one), len(other)) < turn + horizon:
            raise ConfigError(f"pair {n} ends before turn {turn + horizon}; shorten the horizon or leave the pair out")
        rows.append(np.subtract(one[turn : turn + horizon], other[turn : turn + horizon]))
    apart = np.asarray(rows, np.float64)
    if not np.isfinite(apart).all():
        raise ConfigError(
            f"pair {np.argwhere(~np.isfinite(apart))[0][0]} holds a value that is no number; leave it out"
        )
    rng = np.random.default_rng(seed)
    draws = np.stack([apart[rng.integers(0, len(apart), len(apart))].mean(0) for _ in range(resamples)])
    mean = apart.mean(0)
    size, decay = _pulse(mean)
    lives = [_half_life(_pulse(one)[1]) for one in draws]
    low, high = np.quantile(draws, [0.025, 0.975], axis=0)
    life_low, life_high = np.quantile(lives, [0.025, 0.975], method="nearest")
    return Response(mean, low, high, size, decay, _half_life(decay), float(life_low), float(life_high), len(apart))


def _pulse(response: Trajectory) -> tuple[float, float]:
    """(δ, λ) of δ λ^k by least squares, λ in [0, 1]."""
    from scipy.optimize import minimize_scalar

    turns = np.arange(len(response))

    def size(decay: float) -> float:
        shape = np.power(decay, turns)
        return float(response @ shape / (shape @ shape))

    def error(decay: float) -> float:
        return float(((response - size(decay) * np.power(decay, turns)) ** 2).sum())

    grid = np.linspace(0, 1, 41)
    best = float(grid[int(np.argmin([error(x) for x in grid]))])
    found = minimize_scalar(error, bounds=(max(best - 0.025, 0), min(best + 0.025, 1)), method="bounded")
    decay = float(found.x) if found.fun <= error(best) else best
    return size(decay), decay


def _half_life(decay: float) -> float:
    if decay <= 0:
        return 0.0
    return math.inf if decay >= 1 - 1e-9 else math.log(0.5) / math.log(decay)
