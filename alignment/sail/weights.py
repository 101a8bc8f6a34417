"""Token weights from four sources behind one interface.

Every source gives each answer w_t ≥ 0, normalised to mean 1 over the answer and blended, w ← (1 − λ) + λ·w, so that
λ = 0 is DPO itself whatever the source:

- ``attention`` (what SAIL claims, arXiv 2509.23188; the formula is ours, theirs can't be had): a_t, the mean over the
  focal heads of the attention from the position that predicts y_t to the higher-priority instruction;
- ``reward`` (TGDPO, 2506.14574; what SAIL's released code runs): 1 ± α·β·(log π_RM − log π_ref), + in the chosen
  answer, clipped to [0.5, 1.5] (ours);
- ``contrast`` (TIS-DPO, 2410.04350, section 4): from log π⁺ − log π⁻ of two contrastive models, as ranks mapped to
  [0.7, 1.3] (as released), upside down in the rejected answer;
- ``judge`` (AttentionPO, 2605.21883): the model compares both answers; the last token's attention over each answer's
  tokens at one layer, mean over heads and over both orders.

An answer's first token is an attention sink to what follows, so its weight is the others' mean where a source reads
attention.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from homeostat import sensors
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.preference.pairs import Pair
from homeostat.alignment.sail.tokens import Forced, Tokens, answer_logprobs, batches, padded
from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.core import Readout
from homeostat.sensors.heads import Heads, chosen_heads

__all__ = ["attention_weights", "blend", "contrast_weights", "judge_weights", "normalised", "reward_weights"]

Raw = list[tuple[torch.Tensor, torch.Tensor]]
"""For every pair, (C,) and (R,) unnormalised weights."""


def normalised(weights: torch.Tensor) -> torch.Tensor:
    """The same with mean 1; all ones where nothing is above 0."""
    total = weights.sum()
    return weights * len(weights) / total if float(total) > 0 else torch.ones_like(weights)


def blend(raw: Raw, lam: float) -> list[torch.Tensor]:
    """(C + R,) weights of every pair: (1 − λ) + λ·w of both answers, one behind the other."""
    return [torch.cat([(1 - lam) + lam * normalised(w.float()) for w in both]) for both in raw]


def attention_weights(white: TransformersModel, pairs: Sequence[Tokens], heads: Heads, size: int = 8) -> Raw:
    """Attention on each pair's ``higher`` spans, by the ``heads`` (layer, head).

    Raises :class:`ConfigError` with the row whose prompt has no such span.
    """
    rows: list[Forced] = [(t.prompt, answer) for t in pairs for answer in (t.chosen, t.rejected)]
    found: dict[int, torch.Tensor] = {}
    layers = sorted({layer for layer, _ in heads})
    for group in batches(rows, size):
        inputs, shifts = padded(white.model, [rows[n] for n in group])
        longest = max(len(rows[n][0].ids) for n in group)
        spans = [
            sensors.Spans(rows[n][0].spans, length=longest - by).shift(by) for n, by in zip(group, shifts, strict=True)
        ]
        with sensors.watch(white.model, layers=layers, rows=1, sinks=False) as probe, torch.inference_mode():
            probe.start(spans)
            white.model(**inputs, use_cache=False, logits_to_keep=1)
            masses = probe.results([len(rows[n][1]) for n in group])
        for n, mass in zip(group, masses, strict=True):
            here = [label for label in pairs[n // 2].higher if label in mass.labels]
            if not here:
                raise ConfigError(
                    f"row {n // 2 + 1}, field 'higher': its prompt has no span {list(pairs[n // 2].higher)!r}"
                )
            on = sum(mass.of(label) for label in here)[:, chosen_heads(mass, heads)].mean(-1)  # type: ignore[index]
            found[n] = _first_as_mean(torch.from_numpy(np.asarray(on, np.float32)))
    return [(found[2 * n], found[2 * n + 1]) for n in range(len(pairs))]


def reward_weights(
    reward: TransformersModel, reference: TransformersModel, pairs: Sequence[Tokens], alpha: float, beta: float
) -> Raw:
    """TGDPO's weights; ``reward`` is a model trained by DPO, ``reference`` the one it came from."""
    scale = alpha * beta
    return [
        ((1 + scale * chosen).clamp(0.5, 1.5), (1 - scale * rejected).clamp(0.5, 1.5))
        for chosen, rejected in _ratios(reward, reference, pairs)
    ]


def contrast_weights(positive: TransformersModel, negative: TransformersModel, pairs: Sequence[Tokens]) -> Raw:
    """TIS-DPO's weights; ``positive`` was trained by DPO, ``negative`` by DPO with chosen and rejected swapped."""
    ratios = _ratios(positive, negative, pairs)
    return [(_ranked(chosen), _ranked(-rejected)) for chosen, rejected in ratios]


def judge_weights(white: TransformersModel, pairs: Sequence[Pair], tokens: Sequence[Tokens], layer: int) -> Raw:
    """AttentionPO's weights: the model's own attention while it compares the answers, at one layer."""
    found = []
    for pair, one in zip(pairs, tokens, strict=True):
        sums = {"chosen": np.zeros(len(one.chosen)), "rejected": np.zeros(len(one.rejected))}
        for order in (("chosen", "rejected"), ("rejected", "chosen")):
            prompt = _comparison(pair, order)
            mass = white.read(prompt, [one.chosen[0]], Readout(keys=frozenset({"first", "second"})))
            row = mass.layers.index(layer)
            for label, side in zip(("first", "second"), order, strict=True):
                sums[side] += _stretched(mass.keys[label][0, row].mean(0), len(sums[side]))
        found.append(tuple(_first_as_mean(torch.from_numpy(s.astype(np.float32))) for s in sums.values()))
    return found  # type: ignore[return-value]


def _comparison(pair: Pair, order: tuple[str, str]) -> Prompt:
    first, second = (getattr(pair, side) for side in order)
    asked = (
        Part("judge", "\ntwo answers.\nfirst: "),
        Part("first", first),
        Part("judge", "\nsecond: "),
        Part("second", second),
        Part("judge", "\nwhich keeps the rules and does what is asked? "),
    )
    *before, last = pair.prompt.messages
    if last.role == "user":
        return Prompt((*before, Message("user", (*last.parts, *asked), last.extra)))
    return Prompt((*pair.prompt.messages, Message("user", asked)))


def _stretched(values: NDArray[np.float32], length: int) -> NDArray[np.float64]:
    """Weights of an answer within a question, for the answer's own ``length`` tokens: its last ones (what ends a turn)
    were not in the question and take the mean.
    """
    out = np.full(length, float(values.mean()))
    out[: min(length, len(values))] = values[:length]
    return out


def _first_as_mean(weights: torch.Tensor) -> torch.Tensor:
    if len(weights) > 1:
        weights = weights.clone()
        weights[0] = weights[1:].mean()
    return weights


def _ratios(one: TransformersModel, other: TransformersModel, pairs: Sequence[Tokens]) -> Raw:
    rows: list[Forced] = [(t.prompt, answer) for t in pairs for answer in (t.chosen, t.rejected)]
    apart = [a - b for a, b in zip(answer_logprobs(one, rows), answer_logprobs(other, rows), strict=True)]
    return [(apart[2 * n], apart[2 * n + 1]) for n in range(len(pairs))]


def _ranked(values: torch.Tensor) -> torch.Tensor:
    """Ranks mapped linearly to [0.7, 1.3]; a single token has 1."""
    if len(values) < 2:
        return torch.ones_like(values)
    rank = values.argsort().argsort().float()
    return 0.7 + 0.6 * rank / (len(values) - 1)
