"""What a policy is shown: the segments, what is pinned and held, and what was measured of every key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from homeostat.agent.memory.evidence import Evidence
from homeostat.agent.memory.segments import Segment
from homeostat.agent.memory.settings import SpanMemory
from homeostat.agent.memory.thinned_cache import ThinnedCache

__all__ = ["View"]


@dataclass(frozen=True)
class View:
    """A cache at a turn boundary.

    Attributes:
        length: The number of tokens N.
        budget: How many keys each head may hold afterwards.
        segments: The segments, which cover the N tokens.
        held: (L, G, N): whether a head of a layer holds the token's key.
        evidence: What was measured.
        cache: The cache.
        memory: The settings.
    """

    length: int
    budget: int
    segments: tuple[Segment, ...]
    held: Tensor
    evidence: Evidence
    cache: ThinnedCache
    memory: SpanMemory

    @property
    def device(self) -> torch.device:
        """The device of the masks."""
        return self.held.device

    def pinned(self) -> Tensor:
        """Finds the tokens that stay whatever a policy says.

        Returns:
            (N,) True for pinned tokens.
        """
        found = torch.zeros(self.length, dtype=torch.bool, device=self.device)
        for segment in self.segments:
            found[segment.start : segment.stop] = segment.pinned
        return found

    def best(self, scores: Tensor) -> Tensor:
        """Picks the keys with the highest scores, within the budget, besides those that are pinned.

        Every head of every layer keeps the same number of keys.

        Args:
            scores: (N,) for all heads, or (L, G, N).

        Returns:
            (L, G, N): True for the keys that stay.
        """
        scores = scores.to(self.device, torch.float32).expand_as(self.held).clone()
        scores[self.pinned().expand_as(scores)] = float("inf")
        scores[~self.held] = float("-inf")
        held = self.held.sum(-1)
        count = min(max(self.budget, int((self.held & self.pinned()).sum(-1).max())), int(held.min()))
        at = scores.topk(count, dim=-1).indices
        return torch.zeros_like(self.held).scatter_(-1, at, True)

    def tensors(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Goes through the layers' keys.

        Yields:
            For each layer (G, K, D) float32 keys and values, and the (G, K) slots of the keys.
        """
        for layer in self.cache.thinned:
            assert layer.keys is not None
            assert layer.values is not None
            key, value = layer.keys[0].float(), layer.values[0].float()
            yield key, value, layer.slots().expand(len(key), -1)

    def wide(self, values: Tensor, slots: Tensor) -> Tensor:
        """Puts a value of each held key into the column of its token.

        Args:
            values: (G, K).
            slots: (G, K).

        Returns:
            (G, N); 0 for tokens without a key.
        """
        return torch.zeros(len(values), self.length, device=values.device).scatter_(1, slots, values)

    def segment_of(self) -> Tensor:
        """Finds the segment that each token belongs to.

        Returns:
            (N,) indices of :attr:`segments`.
        """
        counts = torch.tensor([segment.tokens for segment in self.segments], device=self.device)
        return torch.arange(len(self.segments), device=self.device).repeat_interleave(counts)
