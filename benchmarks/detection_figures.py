"""The figures of the detection benchmark: AUROC with intervals, alarm rates, and prompts matched by length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from homeostat.envs.harness import wilson
from homeostat.sensors.calibration import conformal_threshold

DRAWS = 1000
CALIPER = 0.05
Values = NDArray[np.float64]


def matched(length: Values, conflict: NDArray[np.bool_], caliper: float = CALIPER) -> NDArray[np.int64]:
    """Pairs conflicts with aligned prompts of nearly the same length.

    Args:
        length: (N,) the prompts' tokens.
        conflict: (N,) whether a prompt is a conflict.
        caliper: The largest difference within a pair, as a share of the longer prompt.

    Returns:
        The indices of the prompts in pairs: as many pairs as possible, and of these the closest.
    """
    sides = np.flatnonzero(conflict), np.flatnonzero(~conflict)
    long, other = length[sides[0]][:, None], length[sides[1]][None]
    away = abs(long - other) / np.maximum(long, other)
    rows, columns = linear_sum_assignment(np.where(away <= caliper, away, 10.0 * len(length)))
    close = away[rows, columns] <= caliper
    return np.concatenate([sides[0][rows[close]], sides[1][columns[close]]])


def draws_of(group: NDArray[Any], draws: int = DRAWS) -> Values:
    """How often each prompt occurs in each draw of a bootstrap over groups.

    Args:
        group: (N,) the prompts' groups; all prompts of a group are drawn together.
        draws: The number of draws.

    Returns:
        (draws, N) counts.
    """
    names, place = np.unique(group, return_inverse=True)
    counts = np.random.default_rng(0).multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    found: Values = counts[:, place].astype(np.float64)
    return found


def weighted_auroc(values: Values, conflict: NDArray[np.bool_], weights: Values) -> Values:
    """Computes AUROCs of weighted prompts.

    Args:
        values: (N,) larger for conflicts, if the sensor is any good.
        conflict: (N,) whether a prompt is a conflict.
        weights: (D, N) each prompt's weight in each of D draws.

    Returns:
        (D,) the probability that a conflict has the larger value, where a tie counts half; NaN without both sides.
    """
    places = np.unique(values, return_inverse=True)[1]
    steps = np.eye(places.max() + 1)[places]  # (N, distinct values)
    positive, negative = (weights * conflict) @ steps, (weights * ~conflict) @ steps
    below = np.cumsum(negative, 1) - negative / 2
    total = positive.sum(1) * negative.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Values = (positive * below).sum(1) / total
    return found


def auroc_with_interval(values: Values, conflict: NDArray[np.bool_], weights: Values) -> dict[str, float]:
    """The AUROC, and the middle 95 % of its bootstrap draws."""
    mean = weighted_auroc(values, conflict, np.ones((1, len(values))))[0]
    return {"mean": float(mean)} | _middle(weighted_auroc(values, conflict, weights))


def difference(one: Values, other: Values, conflict: NDArray[np.bool_], weights: Values) -> dict[str, float]:
    """How much larger the first AUROC is, on the same draws."""
    whole = np.ones((1, len(one)))
    mean = weighted_auroc(one, conflict, whole)[0] - weighted_auroc(other, conflict, whole)[0]
    drawn = weighted_auroc(one, conflict, weights) - weighted_auroc(other, conflict, weights)
    return {"mean": float(mean)} | _middle(drawn)


def _middle(drawn: Values) -> dict[str, float]:
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    return {"low": float(low), "high": float(high)}


def alarms(values: Values, conflict: NDArray[np.bool_], calm: Values, rate: float) -> dict[str, Any]:
    """Sets a threshold on aligned prompts of other data, and counts alarms.

    Args:
        values: (N,) the tested prompts' values, larger where more alarming.
        conflict: (N,) whether a prompt is a conflict.
        calm: (M,) the values of aligned dev prompts.
        rate: The share of false alarms that is wanted.

    Returns:
        The ``threshold``, the number of prompts that it was set on, and the shares of alarms with Wilson intervals:
        ``false_alarms`` on aligned prompts, ``found`` on conflicts.
    """
    threshold = conformal_threshold(calm.tolist(), rate, "above")
    over = values > threshold
    shares = {"false_alarms": over[~conflict], "found": over[conflict]}
    counted = {name: wilson(int(one.sum()), len(one)).as_dict() for name, one in shares.items()}
    return {"threshold": threshold, "set_on": len(calm), **counted}


def best(rows: Mapping[str, float]) -> str:
    """The row with the largest value; of equal ones the first by name."""
    return min(rows, key=lambda name: (-rows[name], name))
