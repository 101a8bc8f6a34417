"""Brings evicted spans back: which ones the new tokens ask for, and how their keys are computed again."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import torch
from torch import Tensor

from homeostat import sensors
from homeostat.agent.memory.summaries import MassEstimate, Summary
from homeostat.agent.memory.thinned_cache import ThinnedCache
from homeostat.agent.models.generation import PROBED_ROWS
from homeostat.sensors.chat.rendering import Rendered

__all__ = ["bring_back", "scan", "wanted"]


def scan(model: Any, cache: ThinnedCache, rendered: Rendered, shared: int, summaries: list[Summary]) -> MassEstimate:
    """Runs the prompt's new tokens, and estimates how much attention evicted segments would get from the last ones.

    Args:
        model: The transformers model.
        cache: The cache of the first ``shared`` tokens. Afterwards it stands for the whole prompt.
        rendered: The prompt.
        shared: The number of tokens that the cache stands for.
        summaries: The evicted segments.

    Returns:
        The estimate.
    """
    ids = rendered.inputs["input_ids"].to(model.device)
    reader = MassEstimate(summaries, min(PROBED_ROWS, ids.shape[1] - shared))
    with sensors.watch(model, rows=1, sinks=False) as probe, torch.inference_mode():
        probe.start(rendered.as_spans(), reader=reader)
        model(input_ids=ids[:, shared:], attention_mask=_ones(ids), past_key_values=cache, logits_to_keep=1)
    return reader


def wanted(summaries: Sequence[Summary], changes: Tensor | None, room: int, asked: Collection[str]) -> list[Summary]:
    """Chooses the segments to bring back, the most wanted first, as long as there is room.

    Args:
        summaries: The S evicted segments.
        changes: (S,) how the attention on each has changed; None where the estimate brings nothing back.
        room: The number of tokens that may come back.
        asked: Labels whose segments were asked for. They come back whatever the estimate says.

    Returns:
        The chosen segments.
    """
    order = [one for one in summaries if one.segment.label in asked]
    if changes is not None:
        ranked = [summaries[n] for n in changes.argsort(descending=True).tolist()]
        order += [one for one in ranked if one not in order]
    chosen = []
    for one in order:
        if one.segment.tokens <= room:
            chosen.append(one)
            room -= one.segment.tokens
    return chosen


def bring_back(model: Any, cache: ThinnedCache, rendered: Rendered, one: Summary) -> None:
    """Computes the keys of an evicted segment again and puts them back in their place.

    The segment is read behind the keys that are held in front of it, so its keys differ a little from the evicted ones
    where something in front of it is still evicted.

    Args:
        model: The transformers model.
        cache: The cache.
        rendered: The prompt, which holds the segment's tokens.
        one: The segment.
    """
    start, stop = one.segment.start, one.segment.stop
    ids = rendered.inputs["input_ids"][:, :stop].to(model.device)
    before = cache.before(start)
    with torch.inference_mode():
        model(input_ids=ids[:, start:], attention_mask=_ones(ids), past_key_values=before, logits_to_keep=1)
    for layer, read in zip(cache.thinned, before.thinned, strict=True):
        assert read.keys is not None
        assert read.values is not None
        layer.insert(read.keys[..., start - stop :, :], read.values[..., start - stop :, :], start)


def _ones(ids: Tensor) -> Tensor:
    return torch.ones_like(ids)
