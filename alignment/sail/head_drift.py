"""Head drift: how much the attention of each head differs between a conflict and its aligned twin.

SAIL (arXiv 2509.23188) names three families of head drift but does not publish their formulas; these are ours. For a
layer l and a head h:

- magnitude |m_conf − m_ali|, where m is the attention mass on the higher instruction;
- direction 1 − cos(o_conf, o_ali), where o is the head's output;
- distribution JSD(p_conf ‖ p_ali) in nats, where p is the attention mass over the spans.

Each is the mean of two values: that at the last position of the prompt, and the average over the positions that predict
the answer. Each is then z-scored over all heads and averaged over pairs of twins. The score is the sum of the three.

(The sensor ``attention_drift`` measures something else: whether attention leaves the goal while an answer is written.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import Case, Twins
from homeostat.alignment.sail.tokens import answer_tokens
from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Readout, SpanMass

__all__ = ["HeadDrift", "focal_heads", "focal_layers", "head_drift", "twin_drift"]

PerHead = NDArray[np.float64]
"""One value for each layer and head (L, H)."""


@dataclass(frozen=True)
class HeadDrift:
    """The head drift of a model, averaged over pairs of twins. All arrays are (L, H).

    Attributes:
        magnitude: Drift of the attention mass on the higher instruction.
        direction: Drift of the direction of the head's output.
        distribution: Drift of the distribution over the spans, in nats.
        score: The sum of the mean z-scores of the three.
        twins: The number of pairs of twins that were read.
    """

    magnitude: PerHead
    direction: PerHead
    distribution: PerHead
    score: PerHead
    twins: int


def head_drift(model: TransformersModel, twins: Sequence[Twins]) -> HeadDrift:
    """Measures the head drift of a model.

    Both twins are read with the conflict's chosen answer forced (teacher forcing), so that their positions correspond.
    Pairs of twins whose spans differ in length are left out.

    Args:
        model: The model.
        twins: Pairs of twins.

    Returns:
        The head drift.

    Raises:
        ConfigError: No pair of twins has spans of equal length.
    """
    found = []
    for both in twins:
        masses = [_read(model, case, both.conflict.chosen) for case in (both.conflict, both.aligned)]
        if masses[0].labels == masses[1].labels and (masses[0].lengths[:-1] == masses[1].lengths[:-1]).all():
            found.append(twin_drift(masses[0], masses[1], both.conflict.higher))
    if not found:
        raise ConfigError(
            f"none of {len(twins)} pairs of twins has spans of equal length with this tokenizer; give more pairs"
        )
    families = np.stack(found)  # (twins, 3, L, H)
    mean, spread = families.mean((2, 3), keepdims=True), families.std((2, 3), keepdims=True)
    z = ((families - mean) / np.maximum(spread, 1e-12)).mean(0)
    each = families.mean(0)
    return HeadDrift(each[0], each[1], each[2], z.sum(0), len(found))


def twin_drift(conflict: SpanMass, aligned: SpanMass, higher: Sequence[str]) -> NDArray[np.float64]:
    """Compares the readings of two twins with the same answer.

    Args:
        conflict: The reading of the conflict, with head outputs.
        aligned: The reading of the aligned twin, with head outputs.
        higher: Labels of the spans of the higher instruction.

    Returns:
        Magnitude, direction and distribution (3, L, H).
    """
    assert conflict.outputs is not None
    assert aligned.outputs is not None
    on = [sum(m.of(label) for label in higher if label in m.labels) for m in (conflict, aligned)]
    magnitude = np.abs(np.asarray(on[0], np.float64) - np.asarray(on[1], np.float64))
    a, b = conflict.outputs.astype(np.float64), aligned.outputs.astype(np.float64)
    norms = np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1)
    direction = 1 - (a * b).sum(-1) / np.maximum(norms, 1e-12)
    p, q = (_distribution(m) for m in (conflict, aligned))
    middle = (p + q) / 2
    distribution = (_kl(p, middle) + _kl(q, middle)) / 2
    return np.stack([(f[0] + f.mean(0)) / 2 for f in (magnitude, direction, distribution)])


def focal_heads(score: PerHead, share: float) -> tuple[tuple[int, int], ...]:
    """Selects the heads with the highest scores.

    Args:
        score: The scores (L, H).
        share: The share of all heads to select, above 0 and at most 1.

    Returns:
        (layer, head) pairs, the highest score first.

    Raises:
        ConfigError: The share is outside that range.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"top {share!r} is not a share of the heads; give a number above 0 and at most 1")
    count = max(1, round(share * score.size))
    order = np.argsort(-score, axis=None, kind="stable")[:count]
    return tuple((int(i // score.shape[1]), int(i % score.shape[1])) for i in order)


def focal_layers(heads: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Selects the smallest set of layers that contains half of the focal heads.

    Args:
        heads: (layer, head) pairs.

    Returns:
        The layers, ascending. Of two layers with the same number of heads, the lower one comes first.
    """
    counts: dict[int, int] = {}
    for layer, _ in heads:
        counts[layer] = counts.get(layer, 0) + 1
    chosen, held = list[int](), 0
    for layer in sorted(counts, key=lambda n: (-counts[n], n)):
        if 2 * held >= len(heads):
            break
        chosen.append(layer)
        held += counts[layer]
    return tuple(sorted(chosen))


def _read(model: TransformersModel, case: Case, answer: str) -> SpanMass:
    tokens = answer_tokens(model.renderer, case.prompt, answer)
    return model.read(case.prompt, tokens, Readout(statistics=frozenset({"outputs"})))


def _distribution(mass: SpanMass) -> NDArray[np.float64]:
    """Returns the distribution (T, L, H, S + 1) over the spans, and over all tokens outside of them."""
    spans = mass.mass.astype(np.float64)
    rest = np.clip(1 - spans.sum(-1, keepdims=True), 0, None)
    whole: NDArray[np.float64] = np.concatenate([spans, rest], -1)
    shares: NDArray[np.float64] = whole / whole.sum(-1, keepdims=True)
    return shares


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    terms: NDArray[np.float64] = np.where(p > 0, p * np.log(np.maximum(p, 1e-300) / np.maximum(q, 1e-300)), 0)
    total: NDArray[np.float64] = terms.sum(-1)
    return total
