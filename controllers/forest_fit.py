"""Fits the weights of the score forest to labelled candidates.

CyberV's weights are 0.2 for every model. Here the probability that a candidate is right is a logistic function of its
trees,

    P(right) = σ(b + Σ_k w_k tree_k),   w ≥ 0,

fitted by penalised maximum likelihood. The w, scaled to sum 1, replace the paper's weights. They can't be negative: a
tree counts for a candidate or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from homeostat.controllers.forest import CYBERV
from homeostat.errors import ConfigError

__all__ = ["fit_weights"]


def fit_weights(
    trees: Sequence[Mapping[str, float]], right: Sequence[bool], *, penalty: float = 1e-2
) -> dict[str, float]:
    """Fits the weights.

    Args:
        trees: For each candidate, the values of its trees by name, as in ``Verdict.trees``.
        right: For each candidate, whether it was right.
        penalty: The factor of |w|²/2 in the loss, in nats per candidate.

    Returns:
        The weights by tree: each at least 0, their sum 1.

    Raises:
        ConfigError: The lengths differ, there are fewer than ten candidates, or all of them are right or all wrong.
    """
    from scipy.optimize import minimize

    names, labels = tuple(CYBERV), np.asarray(right, float)
    if len(trees) != len(labels):
        raise ConfigError(f"{len(trees)} candidates but {len(labels)} labels; give one label for each candidate")
    if len(labels) < 10 or not 0 < labels.mean() < 1:
        raise ConfigError(f"{int(labels.sum())} of {len(labels)} candidates are right; give ten or more, of both kinds")
    x = np.array([[tree.get(name, 0.0) for name in names] for tree in trees])

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        z = theta[0] + x @ theta[1:]
        p = 1 / (1 + np.exp(-z))
        error = (p - labels) / len(labels)
        value = float((np.logaddexp(0, z) - labels * z).mean() + penalty * (theta[1:] ** 2).sum() / 2)
        return value, np.concatenate([[error.sum()], error @ x + penalty * theta[1:]])

    bounds = [(None, None)] + [(0.0, None)] * len(names)
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, bounds=bounds, method="L-BFGS-B")
    weights = np.maximum(found.x[1:], 0.0)
    total = weights.sum()
    if not total > 0:
        return dict.fromkeys(names, 1 / len(names))
    return {name: float(w / total) for name, w in zip(names, weights, strict=True)}
