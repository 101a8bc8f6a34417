"""How far attention drifts, layer by layer and head by head, when two instructions stop to agree.

Three families (arXiv 2509.23188 names them; its formulas can't be had, these are ours), for layer l and head h at the
prompt's last position and as a mean over the answer's:

- magnitude |m_conf − m_ali|, m the attention's mass on the higher-priority instruction;
- direction 1 − cos(o_conf, o_ali) of the head's output;
- distribution JSD(p_conf ‖ p_ali) over the spans, in nats.

Each is z-scored over all heads, averaged over pairs of twins, and the three are summed.
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
from homeostat.sensors.core import Readout, SpanMass

__all__ = ["Drifts", "drifts", "focal_heads", "focal_layers", "twin_drift"]

Heads = NDArray[np.float64]


@dataclass(frozen=True)
class Drifts:
    """(L, H) each: the families' means over twins, and the sum of their mean z-scores. ``twins`` were read."""

    magnitude: Heads
    direction: Heads
    distribution: Heads
    score: Heads
    twins: int


def drifts(white: TransformersModel, twins: Sequence[Twins]) -> Drifts:
    """Read every pair of twins whose prompts have spans of equal length. Raises :class:`ConfigError` for none."""
    found = []
    for both in twins:
        masses = [_read(white, case, both.conflict.chosen) for case in (both.conflict, both.aligned)]
        if masses[0].labels == masses[1].labels and (masses[0].lengths[:-1] == masses[1].lengths[:-1]).all():
            found.append(twin_drift(masses[0], masses[1], both.conflict.higher))
    if not found:
        raise ConfigError(f"none of {len(twins)} twins has spans of equal length for this tokenizer; give more")
    families = np.stack(found)  # (twins, 3, L, H)
    mean, spread = families.mean((2, 3), keepdims=True), families.std((2, 3), keepdims=True)
    z = ((families - mean) / np.maximum(spread, 1e-12)).mean(0)
    each = families.mean(0)
    return Drifts(each[0], each[1], each[2], z.sum(0), len(found))


def twin_drift(conflict: SpanMass, aligned: SpanMass, higher: Sequence[str]) -> NDArray[np.float64]:
    """(3, L, H): magnitude, direction and distribution drift between two readings of the same answer.

    Each is the mean of the first row (the prompt's last position) and of the mean over the answer's rows.
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


def focal_heads(score: Heads, share: float) -> tuple[tuple[int, int], ...]:
    """The top ``share`` of all heads, the highest score first. Raises :class:`ConfigError` outside (0, 1]."""
    if not 0 < share <= 1:
        raise ConfigError(f"top {share!r} is no share of the heads; give a number above 0, at most 1")
    count = max(1, round(share * score.size))
    order = np.argsort(-score, axis=None, kind="stable")[:count]
    return tuple((int(i // score.shape[1]), int(i % score.shape[1])) for i in order)


def focal_layers(heads: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """The smallest set of layers that holds half of the heads (of equals the lower one), ascending."""
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


def _read(white: TransformersModel, case: Case, answer: str) -> SpanMass:
    """Both twins are read with the conflict's right answer forced, so that rows correspond."""
    tokens = answer_tokens(white.renderer, case.prompt, answer)
    return white.read(case.prompt, tokens, Readout(statistics=frozenset({"outputs"})))


def _distribution(mass: SpanMass) -> NDArray[np.float64]:
    """(T, L, H, S + 1) over the spans and all that lies in none."""
    spans = mass.mass.astype(np.float64)
    rest = np.clip(1 - spans.sum(-1, keepdims=True), 0, None)
    whole: NDArray[np.float64] = np.concatenate([spans, rest], -1)
    shares: NDArray[np.float64] = whole / whole.sum(-1, keepdims=True)
    return shares


def _kl(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
    terms: NDArray[np.float64] = np.where(p > 0, p * np.log(np.maximum(p, 1e-300) / np.maximum(q, 1e-300)), 0)
    total: NDArray[np.float64] = terms.sum(-1)
    return total
