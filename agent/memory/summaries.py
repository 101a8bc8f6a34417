"""Short summaries of evicted spans, and the estimate of the attention that they would get.

A block of n evicted keys is summarised by their mean μ and their variance σ² in each dimension. A query q would give
the block the unnormalised weight Σ exp(s·q·k) ≈ n · exp(s·q·μ + ½ s² Σ_d q_d² σ_d²), which is exact for keys that are
normally distributed in each dimension (the second-order cumulant expansion of the log-sum-exp). Rotary positions are
part of the keys, so positions are accounted for.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from homeostat.agent.memory.segments import Segment

__all__ = ["MassEstimate", "Summary", "summarised"]


@dataclass(frozen=True, eq=False)
class Summary:
    """One evicted segment.

    Attributes:
        segment: The segment.
        slots: (n,) its evicted tokens.
        mean: By layer, (G, m, D) the mean key of each of its m blocks.
        variance: By layer, (G, m, D) the variance of the block's keys in each dimension.
        sizes: (m,) the number of tokens of each block.
        mass: The attention mass on these tokens when they were last measured.
    """

    segment: Segment
    slots: Tensor
    mean: list[Tensor] = field(repr=False)
    variance: list[Tensor] = field(repr=False)
    sizes: Tensor = field(repr=False)
    mass: float = 0.0

    def bytes(self) -> int:
        """Counts the bytes of the summary.

        Returns:
            The number of bytes.
        """
        return sum(t.numel() * t.element_size() for t in (*self.mean, *self.variance))


def summarised(segment: Segment, slots: Tensor, keys: list[Tensor], block: int, mass: float) -> Summary:
    """Summarises the keys of one segment that are about to be evicted.

    Args:
        segment: The segment.
        slots: (n,) the tokens that are evicted.
        keys: By layer, (G, n, D) their keys.
        block: The number of tokens of one block.
        mass: The attention mass on these tokens when they were last measured.

    Returns:
        The summary.
    """
    means, variances = [], []
    parts = [slots.new_tensor(range(a, min(a + block, len(slots)))) for a in range(0, len(slots), block)]
    for key in keys:
        blocks = [key[:, part].float() for part in parts]
        means.append(torch.stack([b.mean(1) for b in blocks], 1).to(key.dtype))
        variances.append(torch.stack([b.var(1, correction=0) for b in blocks], 1).to(key.dtype))
    return Summary(segment, slots, means, variances, torch.tensor([float(len(p)) for p in parts]), mass)


class MassEstimate:
    """Estimates, while the model reads new tokens, how much attention evicted segments would get.

    It is a :class:`~homeostat.sensors.probe.thinned_keys.KeyReader`. The rows are the last ones of the prompt.

    Attributes:
        every_row: Always False: it needs no weights.
    """

    every_row = False

    def __init__(self, summaries: list[Summary], rows: int) -> None:
        """Starts an estimate.

        Args:
            summaries: The evicted segments.
            rows: The number of the prompt's last rows that are asked.
        """
        self._summaries = summaries
        self._rows = rows
        self._shares: list[Tensor] = []  # by layer, (H, R, segments)
        counts = torch.tensor([len(s.sizes) for s in summaries])
        self._owner = torch.arange(len(summaries)).repeat_interleave(counts)

    def queries(self, layer: int, query: Tensor, key: Tensor, scale: float, first: int, slots: Tensor | None) -> None:
        """Estimates one layer's masses.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries.
            key: (B, G, K, D) keys.
            scale: The factor of q·k.
            first: The slot of the first query.
            slots: The slots of the keys; None where key j lies in slot j.
        """
        asked = query[0, :, -self._rows :].float() * scale
        heads, rows, dim = asked.shape
        keys = key[0].float()
        groups = len(keys)
        asked = asked.reshape(groups, -1, dim)
        logits = (asked @ keys.transpose(1, 2)).view(heads, rows, -1)
        place = torch.arange(keys.shape[1], device=key.device)
        newest = keys.shape[1] - rows + torch.arange(rows, device=key.device)
        logits.masked_fill_(place > newest[:, None], float("-inf"))
        mean = torch.cat([s.mean[layer] for s in self._summaries], 1).float()
        variance = torch.cat([s.variance[layer] for s in self._summaries], 1).float()
        sizes = torch.cat([s.sizes for s in self._summaries]).to(key.device)
        guess = asked @ mean.transpose(1, 2) + asked.square() @ variance.transpose(1, 2) / 2
        guess = guess.view(heads, rows, -1) + sizes.log()
        whole = torch.cat([logits, guess], -1).logsumexp(-1, keepdim=True)
        shares = (guess - whole).exp()
        owner = self._owner.to(key.device)
        mass = torch.zeros(heads, rows, len(self._summaries), device=key.device).index_add_(2, owner, shares)
        self._shares.append(mass)

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
            (L, H, R, segments) the share of each row's attention that each segment would get.
        """
        return torch.stack([s.to(self._shares[0].device) for s in self._shares])
