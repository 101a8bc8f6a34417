"""Token weights from five sources.

Every source gives the tokens of an answer weights w_t ≥ 0. They are normalised to mean 1 over the answer and blended,
w ← (1 − λ) + λ·w, so that λ = 0 is plain DPO with any source.

- ``attention``: a_t, the attention from the position that predicts y_t to the higher instruction, averaged over the
  focal heads. SAIL (arXiv 2509.23188) describes this source without publishing its formula; the formula is ours.
- ``reward``: 1 ± α·β·(log π_RM − log π_ref), with + in the chosen answer (TGDPO, 2506.14574). SAIL's released code uses
  this source. Clipping to [0.5, 1.5] is ours.
- ``contrast``: log π⁺ − log π⁻ of two contrastive models (TIS-DPO, 2410.04350, section 4), as ranks mapped to
  [0.7, 1.3], like the released code. The sign is reversed in the rejected answer.
- ``judge``: the model compares both answers. The weight is the attention of the last token over the tokens of each
  answer at one layer, averaged over heads and over both orders of the answers (AttentionPO, 2605.21883).
- ``anchors``: 1.5 on the tokens on which later tokens depend (:mod:`homeostat.alignment.sail.anchor_weights`).

The first token of an answer attracts attention whatever it is (an attention sink). The sources ``attention`` and
``judge`` therefore give it the mean weight of the other tokens.
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
from homeostat.sensors.attempts import Readout
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.heads import Heads, chosen_heads

__all__ = ["attention_weights", "blend", "contrast_weights", "judge_weights", "normalised", "reward_weights"]

Raw = list[tuple[torch.Tensor, torch.Tensor]]
"""For each pair, unnormalised weights (C,) of the chosen and (R,) of the rejected answer."""


def normalised(weights: torch.Tensor) -> torch.Tensor:
    """Scales weights to mean 1.

    Args:
        weights: Weights (T,), at least 0.

    Returns:
        The scaled weights (T,); all ones if no weight is above 0.
    """
    total = weights.sum()
    return weights * len(weights) / total if float(total) > 0 else torch.ones_like(weights)


def blend(raw: Raw, lam: float) -> list[torch.Tensor]:
    """Normalises weights and blends them with 1.

    Args:
        raw: Unnormalised weights.
        lam: λ, from 0 (all weights 1) to 1.

    Returns:
        For each pair, (1 − λ) + λ·w of the chosen and then the rejected answer's tokens (C + R,).
    """
    return [torch.cat([(1 - lam) + lam * normalised(w.float()) for w in both]) for both in raw]


def attention_weights(model: TransformersModel, pairs: Sequence[Tokens], heads: Heads, size: int = 8) -> Raw:
    """Computes weights from the attention on the higher instruction.

    Args:
        model: The frozen model.
        pairs: The pairs.
        heads: The heads to read, as (layer, head).
        size: The largest number of answers in a batch.

    Returns:
        Unnormalised weights.

    Raises:
        ConfigError: A prompt has no span of the higher instruction. The message names the row.
    """
    rows: list[Forced] = [(t.prompt, answer) for t in pairs for answer in (t.chosen, t.rejected)]
    found: dict[int, torch.Tensor] = {}
    layers = sorted({layer for layer, _ in heads})
    for group in batches(rows, size):
        inputs, shifts = padded(model.model, [rows[n] for n in group])
        longest = max(len(rows[n][0].ids) for n in group)
        spans = [
            sensors.Spans(rows[n][0].spans, length=longest - by).shift(by) for n, by in zip(group, shifts, strict=True)
        ]
        with sensors.watch(model.model, layers=layers, rows=1, sinks=False) as probe, torch.inference_mode():
            probe.start(spans)
            model.model(**inputs, use_cache=False, logits_to_keep=1)
            masses = probe.results([len(rows[n][1]) for n in group])
        for n, mass in zip(group, masses, strict=True):
            here = [label for label in pairs[n // 2].higher if label in mass.labels]
            if not here:
                raise ConfigError(
                    f"row {n // 2 + 1}, field 'higher': the prompt has no span {list(pairs[n // 2].higher)!r}"
                )
            on = sum(mass.of(label) for label in here)[:, chosen_heads(mass, heads)].mean(-1)  # type: ignore[index]
            found[n] = _first_as_mean(torch.from_numpy(np.asarray(on, np.float32)))
    return [(found[2 * n], found[2 * n + 1]) for n in range(len(pairs))]


def reward_weights(
    reward: TransformersModel, reference: TransformersModel, pairs: Sequence[Tokens], alpha: float, beta: float
) -> Raw:
    """Computes TGDPO's weights.

    Args:
        reward: A model trained with DPO.
        reference: The model that it was trained from.
        pairs: The pairs.
        alpha: TGDPO's alpha.
        beta: DPO's beta.

    Returns:
        Weights in [0.5, 1.5], unnormalised.
    """
    scale = alpha * beta
    return [
        ((1 + scale * chosen).clamp(0.5, 1.5), (1 - scale * rejected).clamp(0.5, 1.5))
        for chosen, rejected in _ratios(reward, reference, pairs)
    ]


def contrast_weights(positive: TransformersModel, negative: TransformersModel, pairs: Sequence[Tokens]) -> Raw:
    """Computes TIS-DPO's weights.

    Args:
        positive: A model trained with DPO.
        negative: A model trained with DPO on the same pairs with chosen and rejected exchanged.
        pairs: The pairs.

    Returns:
        Weights in [0.7, 1.3], unnormalised.
    """
    ratios = _ratios(positive, negative, pairs)
    return [(_ranked(chosen), _ranked(-rejected)) for chosen, rejected in ratios]


def judge_weights(model: TransformersModel, pairs: Sequence[Pair], tokens: Sequence[Tokens], layer: int) -> Raw:
    """Computes AttentionPO's weights: the model's own attention while it compares the two answers.

    Args:
        model: The frozen model.
        pairs: The pairs.
        tokens: The same pairs as tokens.
        layer: The layer to read.

    Returns:
        Unnormalised weights.
    """
    found = []
    for pair, one in zip(pairs, tokens, strict=True):
        sums = {"chosen": np.zeros(len(one.chosen)), "rejected": np.zeros(len(one.rejected))}
        for order in (("chosen", "rejected"), ("rejected", "chosen")):
            prompt = _comparison(pair, order)
            mass = model.read(prompt, [one.chosen[0]], Readout(keys=frozenset({"first", "second"})))
            row = mass.layers.index(layer)
            for label, side in zip(("first", "second"), order, strict=True):
                sums[side] += _extended(mass.keys[label][0, row].mean(0), len(sums[side]))
        found.append(tuple(_first_as_mean(torch.from_numpy(s.astype(np.float32))) for s in sums.values()))
    return found  # type: ignore[return-value]


def _comparison(pair: Pair, order: tuple[str, str]) -> Prompt:
    answers = {"chosen": pair.chosen, "rejected": pair.rejected}
    first, second = (answers[side] for side in order)
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


def _extended(values: NDArray[np.float32], length: int) -> NDArray[np.float64]:
    """Extends weights that were read within a question to the answer's ``length`` tokens.

    The tokens that end the turn were not in the question. They get the mean weight.
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
