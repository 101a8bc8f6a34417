"""Fits a linear probe on per-head masses, and sets its threshold.

Ridge regression on standardised features, with the target +½ for conflicts and −½ for aligned prompts:

    w = argmin ‖X w − y‖² + λ ‖w‖²

λ is chosen by cross-validation in which all prompts of one wording are left out together, because prompts of one
wording resemble each other. The threshold is set on prompts of other wordings than the fit's, by split conformal
prediction (``sensors/calibration.py``): a fit's own scores would put it too low.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from homeostat.errors import ConfigError
from homeostat.sensors.calibration import conformal_threshold
from homeostat.sensors.conflict_probe import ProbeWeights

__all__ = ["PENALTIES", "auroc", "fit_probe"]

PENALTIES = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0)
"""The values of λ that are tried."""


def fit_probe(
    features: NDArray[np.float64],
    conflict: NDArray[np.bool_],
    groups: Sequence[Hashable],
    aligned_elsewhere: NDArray[np.float64],
    *,
    model: str,
    weights: str,
    heads: Sequence[tuple[int, int]],
    higher: tuple[str, ...],
    lower: tuple[str, ...],
    rate: float,
) -> ProbeWeights:
    """Fits a probe.

    Args:
        features: (n, 2 N) features of the training prompts.
        conflict: (n,) whether the instructions of a prompt contradict each other.
        groups: The wording of each prompt; prompts of one wording are left out together in cross-validation.
        aligned_elsewhere: (m, 2 N) features of aligned prompts of other wordings, which set the threshold.
        model: The model's name.
        weights: The hash of its weights.
        heads: The N heads.
        higher: Labels of the instruction with authority.
        lower: Labels of the instruction without.
        rate: The share of aligned prompts that may raise an alarm.

    Returns:
        The probe. ``figures`` has ``penalty`` (λ) and ``auroc_left_out``, the AUROC of cross-validation.

    Raises:
        ConfigError: A class is missing, there is only one wording, or too few aligned prompts for the rate.
    """
    if not conflict.any() or conflict.all():
        raise ConfigError("the training prompts are all of one class; give conflicts and aligned prompts")
    names = sorted({str(group) for group in groups})
    if len(names) < 2:
        raise ConfigError(f"all training prompts have the wording {names[0]!r}; give several wordings")
    wording = np.array([names.index(str(group)) for group in groups])
    scores = {penalty: _left_out(features, conflict, wording, penalty) for penalty in PENALTIES}
    found = {penalty: auroc(values[conflict], values[~conflict]) for penalty, values in scores.items()}
    penalty = max(found, key=lambda one: (found[one], one))
    mean, scale = features.mean(0), features.std(0) + 1e-6
    coefficients, intercept = _ridge((features - mean) / scale, conflict.astype(np.float64) - 0.5, penalty)
    elsewhere = (aligned_elsewhere - mean) / scale @ coefficients + intercept
    return ProbeWeights(
        model=model,
        weights=weights,
        higher=higher,
        lower=lower,
        heads=tuple(heads),
        mean=tuple(mean.tolist()),
        scale=tuple(scale.tolist()),
        coefficients=tuple(coefficients.tolist()),
        intercept=float(intercept),
        threshold=conformal_threshold(elsewhere.tolist(), rate, "above"),
        rate=rate,
        prompts=len(features),
        figures={"penalty": penalty, "auroc_left_out": found[penalty]},
    )


def auroc(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> float:
    """Computes the area under the receiver operating characteristic curve.

    Args:
        positive: Values of the positive class.
        negative: Values of the negative class.

    Returns:
        The probability that a positive value is above a negative one; a tie counts half.
    """
    ranks = rankdata(np.concatenate([positive, negative]))
    above = ranks[: len(positive)].sum() - len(positive) * (len(positive) + 1) / 2
    return float(above / (len(positive) * len(negative)))


def _left_out(
    features: NDArray[np.float64], conflict: NDArray[np.bool_], wording: NDArray[np.int64], penalty: float
) -> NDArray[np.float64]:
    """(n,) values of each prompt by a fit without its wording. Wordings are left out in five groups at most."""
    values = np.zeros(len(features))
    folds = wording % min(5, int(wording.max()) + 1)
    for fold in np.unique(folds):
        inside, outside = folds == fold, folds != fold
        if not conflict[outside].any() or conflict[outside].all():
            continue
        mean, scale = features[outside].mean(0), features[outside].std(0) + 1e-6
        coefficients, intercept = _ridge(
            (features[outside] - mean) / scale, conflict[outside].astype(np.float64) - 0.5, penalty
        )
        values[inside] = (features[inside] - mean) / scale @ coefficients + intercept
    return values


def _ridge(
    features: NDArray[np.float64], target: NDArray[np.float64], penalty: float
) -> tuple[NDArray[np.float64], float]:
    """The weights and the intercept; the intercept is not penalised."""
    middle = target.mean()
    gram = features.T @ features + penalty * np.eye(features.shape[1])
    return np.linalg.solve(gram, features.T @ (target - middle)), float(middle)
