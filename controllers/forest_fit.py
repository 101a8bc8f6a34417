"""Weights for the score forest, fitted on candidates of which it is known whether they were right.

CyberV's weights are all 0.2, whatever the model. Here a candidate's chance of being right is a logistic function of its
trees,

    P(right) = σ(b + Σ_k w_k tree_k),   w ≥ 0,

fitted by penalised maximum likelihood; the w, scaled to sum 1, take the place of the paper's. A tree may not count
against a candidate: it is a sign for it, or worth nothing.
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
    """The weights by tree, each at least 0, their sum 1. ``trees`` and ``right``, one a candidate.

    ``penalty``: of |w|²/2, in nats a candidate. Raises :class:`ConfigError` where there is nothing to learn from: fewer
    than ten candidates, or all of them right or all wrong.
    """
    from scipy.optimize import minimize

    names, labels = tuple(CYBERV), np.asarray(right, float)
    if len(trees) != len(labels):
        raise ConfigError(f"{len(trees)} candidates and {len(labels)} labels don't match; give one label each")
    if len(labels) < 10 or not 0 < labels.mean() < 1:
        raise ConfigError(f"{int(labels.sum())} of {len(labels)} candidates are right: nothing to fit on; give more")
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
