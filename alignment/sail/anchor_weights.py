"""Token weights from future attention influence (FAI): the tokens on which later tokens depend count more.

Li et al. (arXiv 2510.13554, sections 3 and 4) amplify the credit of *anchor* tokens by 1.5 in reinforcement learning:
of the middle third of layers, the 30 % of heads with the longest mean distance are global; FAI_s is the mean of their
attention from the tokens 10 to 50 behind token s to token s; the 40 % of tokens with the highest FAI are anchors
(:mod:`homeostat.sensors.rhythm` has the formulas). Notable choices here:

- The credit weights the tokens of a preference pair, in the chosen and in the rejected answer. The paper weights the
  advantages of sampled answers.
- A head's distance is its mean over the tokens of all answers, so every answer is weighted by the same heads.
- An answer is complete, so the FAI of a token with fewer than 50 tokens behind it is the mean over those that there
  are. The last ten tokens have none and are never anchors; an answer of at most eleven tokens has equal weights.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from homeostat import sensors
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.sail.layout import find_decoder
from homeostat.alignment.sail.tokens import Forced, Tokens, batches, padded
from homeostat.sensors.attempts import Readout, SpanMass
from homeostat.sensors.rhythm import FAR, anchors, fai, local_and_global

__all__ = ["anchor_weights"]


def anchor_weights(
    model: TransformersModel, pairs: Sequence[Tokens], credit: float = 1.5, size: int = 8
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Computes weights that give the anchor tokens of each answer more credit.

    Args:
        model: The frozen model.
        pairs: The pairs.
        credit: The weight of an anchor token; other tokens have 1. The paper's is 1.5.
        size: The largest number of answers in a batch.

    Returns:
        For each pair, unnormalised weights (C,) of the chosen and (R,) of the rejected answer.
    """
    rows: list[Forced] = [(t.prompt, answer) for t in pairs for answer in (t.chosen, t.rejected)]
    layers = _middle_third(len(find_decoder(model.model)))
    total, count = 0.0, 0
    for _, mass in _read(model, rows, layers, Readout(statistics=frozenset({"distance"})), size):
        assert mass.distance is not None
        total, count = total + mass.distance.sum(0, dtype=np.float64), count + len(mass.distance)
    reach: NDArray[np.float64] = np.asarray(total) / count
    _, far = local_and_global(reach)
    found: dict[int, torch.Tensor] = {}
    for n, mass in _read(model, rows, layers, Readout(window=FAR + 1), size):
        assert mass.recent is not None
        chosen = anchors(fai(mass.recent, far, complete=False))
        found[n] = torch.from_numpy(np.where(chosen, credit, 1.0).astype(np.float32))
    return [(found[2 * n], found[2 * n + 1]) for n in range(len(pairs))]


def _middle_third(count: int) -> list[int]:
    first = math.floor(count / 3)
    return list(range(first, max(math.ceil(2 * count / 3), first + 1)))


def _read(
    model: TransformersModel, rows: Sequence[Forced], layers: Sequence[int], readout: Readout, size: int
) -> Iterator[tuple[int, SpanMass]]:
    """Forces the answers, and yields each row's number with what was read of its answer's attention."""
    for group in batches(rows, size):
        inputs, shifts = padded(model.model, [rows[n] for n in group])
        longest = max(len(rows[n][0].ids) for n in group)
        spans = [
            sensors.Spans(rows[n][0].spans, length=longest - by).shift(by) for n, by in zip(group, shifts, strict=True)
        ]
        with (
            sensors.watch(model.model, layers=layers, rows=1, sinks=False, readout=readout) as probe,
            torch.inference_mode(),
        ):
            probe.start(spans)
            model.model(**inputs, use_cache=False, logits_to_keep=1)
            masses = probe.results([len(rows[n][1]) for n in group])
        yield from zip(group, masses, strict=True)
