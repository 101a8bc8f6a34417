"""What is left of evicted spans, and the estimate of the attention that they would get.

Of an evicted span, a few layers keep their keys, without the values. With them the attention that the prompt's last
rows would give to the span is computed in these layers as if it were still there. The layers lie in the middle of the
model, where heads look things up (retrieval heads, arXiv 2404.15574).

Which span is asked for is told by the *change*, as in :class:`~homeostat.sensors.AttentionDrift`: the logarithm of the
attention on the span now over the attention that it got when it was measured last, averaged over layers and heads. The
attention itself does not tell it, because most of it goes to the spans that always get most.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from homeostat.agent.memory.segments import Segment

__all__ = ["MassEstimate", "Summary", "index_layers"]

_FROM, _TO = 0.38, 0.7
"""The part of a model's layers that index layers are taken from."""

_FLOOR = 1e-6
"""Smaller masses are replaced by this value, because 0 has no logarithm."""


def index_layers(count: int, depth: int) -> tuple[int, ...]:
    """Chooses the layers that keep the keys of evicted spans.

    Args:
        count: How many.
        depth: The number of layers of the model.

    Returns:
        Their indices, evenly spaced in the middle of the model.
    """
    count = min(count, depth)
    step = (_TO - _FROM) / max(count - 1, 1)
    chosen = dict.fromkeys(min(int(depth * (_FROM + step * k)), depth - 1) for k in range(count))
    return tuple(chosen)


@dataclass(frozen=True, eq=False)
class Summary:
    """One evicted segment.

    Attributes:
        segment: The segment.
        keys: By index layer, (G, n, D) the keys of its n tokens.
        before: (I, G) the mass on the segment in each of the I index layers and G key heads, when it was measured last.
        mass: The same, averaged over all layers.
    """

    segment: Segment
    keys: dict[int, Tensor] = field(repr=False)
    before: Tensor = field(repr=False)
    mass: float = 0.0

    def bytes(self) -> int:
        """Counts the bytes of the summary.

        Returns:
            The number of bytes.
        """
        return sum(t.numel() * t.element_size() for t in self.keys.values())


class MassEstimate:
    """Computes, while the model reads new tokens, how much attention evicted segments would get in the index layers.

    It is a :class:`~homeostat.sensors.probe.thinned_keys.KeyReader`. The rows are the last ones of the prompt.

    Attributes:
        every_row: Always False: it needs no weights.
    """

    every_row = False

    def __init__(self, summaries: list[Summary], rows: int) -> None:
        """Starts an estimate.

        Args:
            summaries: The S evicted segments.
            rows: The number of the prompt's last rows that are asked.
        """
        self._summaries = summaries
        self._rows = rows
        self._masses: dict[int, Tensor] = {}  # by layer, (G, S)
        counts = torch.tensor([s.segment.tokens for s in summaries])
        self._owner = torch.arange(len(summaries)).repeat_interleave(counts)

    def queries(self, layer: int, query: Tensor, key: Tensor, scale: float, first: int, slots: Tensor | None) -> None:
        """Computes one index layer's masses; other layers are passed over.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries.
            key: (B, G, K, D) keys.
            scale: The factor of q·k.
            first: The slot of the first query.
            slots: The slots of the keys; None where key j lies in slot j.
        """
        if layer not in self._summaries[0].keys:
            return
        asked = query[0, :, -self._rows :].float() * scale
        heads, rows, dim = asked.shape
        keys = key[0].float()
        groups = len(keys)
        asked = asked.reshape(groups, -1, dim)
        logits = (asked @ keys.transpose(1, 2)).view(heads, rows, -1)
        place = torch.arange(keys.shape[1], device=key.device)
        newest = keys.shape[1] - rows + torch.arange(rows, device=key.device)
        logits.masked_fill_(place > newest[:, None], float("-inf"))
        evicted = torch.cat([s.keys[layer] for s in self._summaries], 1).float()
        guess = (asked @ evicted.transpose(1, 2)).view(heads, rows, -1)
        whole = torch.cat([logits, guess], -1).logsumexp(-1, keepdim=True)
        shares = (guess - whole).exp()
        mass = torch.zeros(heads, rows, len(self._summaries), device=key.device)
        mass.index_add_(2, self._owner.to(key.device), shares)
        self._masses[layer] = mass.mean(1).view(groups, heads // groups, -1).mean(1)

    def weights(self, layer: int, weights: Tensor, first: int, slots: Tensor | None, *, recorded: bool) -> None:
        """Ignores the weights: the estimate needs none.

        Args:
            layer: The layer's index.
            weights: (B, H, r, K) weights.
            first: The slot of the first of these rows.
            slots: (K,) or (G, K) the slots of the keys; None where key j lies in slot j.
            recorded: Whether the probe records these rows.
        """

    def masses(self) -> Tensor:
        """Returns the estimates.

        Returns:
            (I, G, S) the share of attention that each segment would get, averaged over the rows, by index layer and
            key head.
        """
        return torch.stack([self._masses[layer].cpu() for layer in self._summaries[0].keys])

    def changes(self) -> Tensor:
        """Returns how the attention on each segment would have changed since it was measured last.

        Returns:
            (S,) mean logarithms over index layers and key heads: above 0 for more attention.
        """
        before = torch.stack([s.before for s in self._summaries], -1)
        return (self.masses().clamp(min=_FLOOR).log() - before.clamp(min=_FLOOR).log()).mean((0, 1))
