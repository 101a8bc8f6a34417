"""``homeostat localize``: focal heads and layers of a model, and whether they matter."""

from __future__ import annotations

import random
from collections.abc import Sequence

from homeostat.agent.models.loading import resolve, weights_hash
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import Case, Twins
from homeostat.alignment.sail.head_drift import drifts, focal_heads, focal_layers
from homeostat.alignment.sail.localization import Causal, Localization
from homeostat.alignment.sail.tokens import answer_tokens
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["causal_check", "localize"]

Heads = tuple[tuple[int, int], ...]


def localize(
    white: TransformersModel, twins: Sequence[Twins], *, top: float = 0.2, causal: Causal | None = None
) -> Localization:
    """Drift between twins, the ``top`` share of heads, and the layers that hold half of those."""
    found = drifts(white, twins)
    heads = focal_heads(found.score, top)
    higher = tuple(dict.fromkeys(label for both in twins for label in both.conflict.higher))
    return Localization(
        model=white.name,
        weights=weights_hash(resolve(white.name)) or "",
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
    white: TransformersModel,
    cases: Sequence[Case],
    heads: Heads,
    *,
    factor: float = 0.1,
    draws: int = 10,
    seed: int = 0,
) -> Causal:
    """Scale the attention of ``heads``, and of as many others, on the higher instruction, and see who wins."""
    config = white.model.config.get_text_config(decoder=True)
    every = [(la, h) for la in range(config.num_hidden_layers) for h in range(config.num_attention_heads)]
    others = [head for head in every if head not in set(heads)]
    rng = random.Random(f"causal {seed}")
    sets: list[Heads] = [(), heads, *(tuple(rng.sample(others, min(len(heads), len(others)))) for _ in range(draws))]
    margins = [[_margin(white, case, chosen, factor) for case in cases] for chosen in sets]
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


def _margin(white: TransformersModel, case: Case, heads: Heads, factor: float) -> float:
    """log p(chosen) − log p(rejected), in nats a token, with these heads' attention on the higher spans scaled."""
    steer = [Actuator(label, gain=factor, heads=frozenset(heads)) for label in case.higher] if heads else []
    scores = []
    for text in (case.chosen, case.rejected):
        tokens = answer_tokens(white.renderer, case.prompt, text)
        scores.append(float(white.score(case.prompt, tokens, steer)[range(len(tokens)), list(tokens)].mean()))
    return scores[0] - scores[1]
