"""Learns a probe of conflicts for one model: reads train and dev prompts, fits, and sets the threshold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeostat.agent.models.loading import weights_hash
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import Case
from homeostat.alignment.probing.fit import auroc, fit_probe
from homeostat.alignment.probing.reading import first_masses
from homeostat.errors import ConfigError
from homeostat.sensors.conflict_probe import ProbeWeights, head_features

__all__ = ["case_features", "learn_probe"]


def learn_probe(
    model: TransformersModel,
    train: Sequence[Case],
    dev: Sequence[Case],
    heads: Sequence[tuple[int, int]],
    *,
    higher: tuple[str, ...] = ("system",),
    lower: tuple[str, ...] = ("user",),
    rate: float = 0.1,
    on_progress: Callable[[int], None] = lambda done: None,
) -> ProbeWeights:
    """Learns a probe.

    Args:
        model: The model.
        train: Conflicts and aligned twins that the probe is fitted on; ``variant`` names the wording of each.
        dev: Conflicts and aligned twins of other wordings; the aligned ones set the threshold.
        heads: The heads whose attention is read.
        higher: Labels of the instruction with authority.
        lower: Labels of the instruction without.
        rate: The share of aligned prompts that may raise an alarm.
        on_progress: Called with the number of prompts read so far.

    Returns:
        The probe. Its ``figures`` have the penalty, the AUROC of cross-validation over wordings (``auroc_left_out``)
        and on the dev prompts (``auroc_dev``), and the share of dev conflicts that raise an alarm (``alarms_dev``).

    Raises:
        ConfigError: The heads are not the model's, or the cases don't suffice for a fit at this rate.
    """
    features = case_features(model, train, heads, higher, lower, on_progress)
    elsewhere = case_features(model, dev, heads, higher, lower, lambda done: on_progress(len(train) + done))
    conflict = np.array([not case.aligned for case in dev])
    probe = fit_probe(
        features,
        np.array([not case.aligned for case in train]),
        [case.variant or case.kind for case in train],
        elsewhere[~conflict],
        model=model.name,
        weights=(weights_hash(model.name) or "") if Path(model.name).exists() else "",
        heads=heads,
        higher=higher,
        lower=lower,
        rate=rate,
    )
    values = probe.value(elsewhere)
    figures = {**probe.figures, "alarms_dev": float((values[conflict] > probe.threshold).mean())}
    return probe.model_copy(update={"figures": figures | {"auroc_dev": auroc(values[conflict], values[~conflict])}})


def case_features(
    model: TransformersModel,
    cases: Sequence[Case],
    heads: Sequence[tuple[int, int]],
    higher: tuple[str, ...],
    lower: tuple[str, ...],
    on_progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float64]:
    """Reads the features of cases.

    Args:
        model: The model.
        cases: The cases.
        heads: The N heads.
        higher: Labels of the instruction with authority.
        lower: Labels of the instruction without.
        on_progress: Called with the number of cases read so far.

    Returns:
        (n, 2 N) features.

    Raises:
        ConfigError: A prompt lacks one of the two instructions, or the model has no such head.
    """
    rows = []
    masses = first_masses(model, [case.prompt for case in cases], on_progress=on_progress)
    for case, mass in zip(cases, masses, strict=True):
        found = head_features(mass, tuple(heads), higher, lower)
        if found is None:
            raise ConfigError(
                f"case {case.id!r} has no span {'/'.join(higher)} or {'/'.join(lower)}, or the model lacks a head of "
                "the localization; use a localization of this model"
            )
        rows.append(found)
    return np.stack(rows)
