"""Finds attention sinks while the model processes a prompt.

Key k is a sink if α_k exceeds a threshold. α_k is the mean weight that the key receives, over those of the prompt's
last rows that can see it, and over all probed heads and layers. (arXiv 2410.10781 applies the threshold to single
heads; ``docs/design/probe.md`` explains the difference.) Memory: one number per key, and, during a forward, one row of
weights for each layer and head.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["SinkFinder"]


class SinkFinder:
    """Sums the weights that keys receive, layer by layer, and finds the sinks after each of the prompt's forwards.

    The results are None until :meth:`find` has succeeded.

    Attributes:
        threshold: A key is a sink if its mean received weight exceeds this.
        slots: (b, m): the keys that receive most.
        valid: (b, m): whether each of these keys is a sink.
        first: (L, b, H, m): the weight on each sink in the row that produces the first token; 0 if the key is no sink.
    """

    def __init__(self, threshold: float) -> None:
        """Prepares empty sums.

        Args:
            threshold: A number in (0, 1); at most ⌊1/threshold⌋ keys can exceed it.
        """
        self.threshold = threshold
        self.slots: Tensor | None = None
        self.valid: Tensor | None = None
        self.first: Tensor | None = None
        # (2, b, slots): the weight each key received, summed over heads, rows and layers, and the number of summands.
        self._sums: Tensor | None = None
        self._rows: set[int] = set()
        self._last: list[tuple[Tensor, int]] = []
        # With each result, what the row sees is kept, so that its id is not reused while it is part of a key.
        self._shared: dict[tuple[int, int, int, int, torch.device], tuple[Tensor | None, Tensor, Tensor | int]] = {}

    def restart(self) -> None:
        """Discards the rows so far, because the forward that begins may contain all rows that count."""
        self._sums = None
        self._rows.clear()

    def receive(
        self, weights: Tensor, seen: Tensor | None, slot: int, offset: int, total: int, *, after: int, last: bool
    ) -> None:
        """Adds the weights of some rows of one layer.

        Args:
            weights: (b, H, r, K) weights.
            seen: (b or 1, r or 1, K): whether the row sees the key, or the share of heads that hold a key that it sees;
                None if every row sees every key.
            slot: The slot of the first row.
            offset: The slot of the first key.
            total: The number of slots so far.
            after: Rows before this slot do not count.
            last: Whether the last of these rows is the forward's last row.
        """
        batch, heads, count, keys = weights.shape
        if last:
            # A copy: a view would keep the weights of every row alive until the last layer.
            self._last.append((weights[:, :, -1].clone(), offset))
        skip = max(after - slot, 0)
        if skip >= count:
            return
        self._rows.update(range(slot + skip, slot + count))
        sums = self._fit(batch, total, weights.device)
        upto = min(keys, total - offset)  # a static cache has keys that hold no token yet
        every = weights[:, :, skip:].reshape(batch, -1, keys)
        counted, could = self._counted(seen, skip, batch, heads, count - skip, weights.device)
        sums[0, :, offset : offset + upto] += torch.bmm(counted, every)[:, 0, :upto].to(sums.device)
        sums[1, :, offset : offset + upto] += could if isinstance(could, int) else could[:, :upto].to(sums.device)

    def _counted(
        self, seen: Tensor | None, skip: int, batch: int, heads: int, rows: int, device: torch.device
    ) -> tuple[Tensor, Tensor | int]:
        """(b, 1, H·r): 1 for each head's rows that count, and (b or 1, K) in how many of them a key can be seen.

        A padding row sees nothing, and its weights are uniform: it does not count. Layers that share a mask share the
        result.
        """
        key = (id(seen), skip, heads, rows, device)
        if key not in self._shared:
            if seen is None:
                found: tuple[Tensor, Tensor | int] = torch.ones(batch, 1, heads * rows, device=device), heads * rows
            else:
                mine = seen[:, skip:] if seen.shape[1] > 1 else seen
                valid = mine.any(-1).float().expand(batch, rows)  # (b, r)
                found = valid.repeat(1, heads)[:, None].to(device), mine.sum(1) * heads
            self._shared[key] = seen, *found
        return self._shared[key][1:]

    def find(self, total: int) -> bool:
        """Finds the sinks. To be called after the forward's last layer.

        Args:
            total: The number of slots so far.

        Returns:
            False if this forward contained no row of the prompt.
        """
        self._shared.clear()
        if not self._last or self._sums is None:
            self._last.clear()
            return False
        mean = self._sums[0] / self._sums[1].clamp(min=1)
        # For a key that fewer than half of the rows see, the mean says little: the last tokens would count as sinks.
        mean[:, total - len(self._rows) // 2 :] = 0
        best, slots = mean.topk(min(max(1, int(1 / self.threshold)), mean.shape[1]), dim=-1)
        self.slots, self.valid = slots, best > self.threshold
        first = []
        for weights, offset in self._last:
            index = slots.to(weights.device) - offset
            inside = (index >= 0) & self.valid.to(weights.device)
            picked = weights.gather(-1, index.clamp(min=0)[:, None].expand(-1, weights.shape[1], -1))
            first.append((picked * inside[:, None]).to(slots.device))
        self.first = torch.stack(first)
        self._last.clear()
        return True

    def _fit(self, batch: int, total: int, device: torch.device) -> Tensor:
        """Returns the sums, grown to this forward's number of slots and batch rows."""
        have = self._sums
        if have is None:
            have = torch.zeros(2, batch, total, device=device)
        elif have.shape[1] != batch or have.shape[2] < total:
            grown = torch.nn.functional.pad(have, (0, total - have.shape[2]))
            have = grown.repeat_interleave(batch // have.shape[1], 1)
        self._sums = have
        return have
