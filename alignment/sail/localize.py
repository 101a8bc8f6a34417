"""Finds the focal heads and layers of a model, and checks whether they matter."""

from __future__ import annotations

import random
from collections.abc import Sequence

from homeostat.agent.models.loading import resolve, weights_hash
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import Case, Twins
from homeostat.alignment.sail.head_drift import focal_heads, focal_layers, head_drift
from homeostat.alignment.sail.localization import Causal, Localization
from homeostat.alignment.sail.tokens import answer_tokens
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["causal_check", "localize"]

Heads = tuple[tuple[int, int], ...]


def localize(
    model: TransformersModel, twins: Sequence[Twins], *, top: float = 0.2, causal: Causal | None = None
) -> Localization:
    """Finds the heads with the largest drift between twins, and the layers that contain half of them.

    Args:
        model: The model.
        twins: Pairs of twins.
        top: The share of all heads that are called focal.
        causal: The result of a causal check, if there is one.

    Returns:
        The localization.

    Raises:
        ConfigError: No pair of twins has spans of equal length, or ``top`` is not a share.
    """
    found = head_drift(model, twins)
    heads = focal_heads(found.score, top)
    higher = tuple(dict.fromkeys(label for both in twins for label in both.conflict.higher))
    return Localization(
        model=model.name,
        weights=weights_hash(resolve(model.name)) or "",
        twins=found.twins,
        higher=higher,
        magnitude=tuple(map(tuple, found.magnitude.tolist())),
        direction=tuple(map(tuple, found.direction.tolist())),
        distribution=tuple(map(tuple, found.distribution.tolist())),
        score=tuple(map(tuple, found.score.tolist())),
        heads=heads,
        layers=focal_layers(heads),
        causal=causal,
    )


def causal_check(
    model: TransformersModel,
    cases: Sequence[Case],
    heads: Heads,
    *,
    factor: float = 0.1,
    draws: int = 10,
    seed: int = 0,
) -> Causal:
    """Scales the attention of some heads on the higher instruction, and compares with random other heads.

    Args:
        model: The model.
        cases: Conflicts.
        heads: The heads to check, as (layer, head).
        factor: What their attention on the higher instruction is multiplied by.
        draws: The number of random sets of as many other heads.
        seed: The random seed of the draws.

    Returns:
        The check.
    """
    config = model.model.config.get_text_config(decoder=True)
    every = [(la, h) for la in range(config.num_hidden_layers) for h in range(config.num_attention_heads)]
    others = [head for head in every if head not in set(heads)]
    rng = random.Random(f"causal {seed}")
    sets: list[Heads] = [(), heads, *(tuple(rng.sample(others, min(len(heads), len(others)))) for _ in range(draws))]
    margins = [[_margin(model, case, chosen, factor) for case in cases] for chosen in sets]
    kept = [sum(m > 0 for m in one) / len(one) for one in margins]
    mean = [sum(one) / len(one) for one in margins]
    return Causal(
        factor=factor,
        cases=len(cases),
        kept_plain=kept[0],
        kept_focal=kept[1],
        kept_random=tuple(kept[2:]),
        margin_plain=mean[0],
        margin_focal=mean[1],
        margin_random=tuple(mean[2:]),
    )


def _margin(model: TransformersModel, case: Case, heads: Heads, factor: float) -> float:
    """Returns log p(chosen) − log p(rejected) in nats per token, with the attention of these heads scaled."""
    steer = [Actuator(label, gain=factor, heads=frozenset(heads)) for label in case.higher] if heads else []
    scores = []
    for text in (case.chosen, case.rejected):
        tokens = answer_tokens(model.renderer, case.prompt, text)
        scores.append(float(model.score(case.prompt, tokens, steer)[range(len(tokens)), list(tokens)].mean()))
    return scores[0] - scores[1]
