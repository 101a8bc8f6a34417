"""Attention sinks, found while a prompt runs.

Key k is a sink if α_k, the mean weight it receives over the prompt's last rows that can see it and over all probed
heads and layers, exceeds a threshold (arXiv 2410.10781, where it is taken for each head; why not here:
``docs/design/probe.md``). Memory: one number a key, and one row of weights for each layer and head within a forward.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["SinkFinder"]


class SinkFinder:
    """Sums what keys receive, layer by layer, and finds the sinks at the end of each of the prompt's forwards.

    After :meth:`find`: ``slots`` (b, m) the keys that receive most, ``valid`` (b, m) whether each is a sink, and
    ``first`` (L, b, H, m) the weight on each of the row that gives the first token, 0 where it is none.
    """

    def __init__(self, threshold: float) -> None:
        """``threshold`` in (0, 1): at most ⌊1/threshold⌋ keys can pass."""
        self.threshold = threshold
        self.slots: Tensor | None = None
        self.valid: Tensor | None = None
        self.first: Tensor | None = None
        # (2, b, slots): the weight each key received, summed over heads, rows and layers, and how many went into it.
        self._sums: Tensor | None = None
        self._rows: set[int] = set()
        self._last: list[tuple[Tensor, int]] = []

    def restart(self) -> None:
        """Forget the rows so far: the forward that begins may be the whole of the prompt's end."""
        self._sums = None
        self._rows.clear()

    def receive(
        self, weights: Tensor, seen: Tensor | None, slot: int, offset: int, total: int, *, after: int, last: bool
    ) -> None:
        """Weights (b, H, r, K) of the rows from ``slot`` on, on the keys from slot ``offset`` on.

        ``seen`` (b or 1, r or 1, K): whether row sees key, None for everything. ``total``: slots so far. Rows before
        slot ``after`` don't count. ``last``: whether these rows end with the forward's last one.
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
        upto = min(keys, total - offset)  # a static cache has keys that no token fills yet
        given = weights[:, :, skip:].sum(1)
        could: Tensor | int = count - skip
        if seen is not None:
            seen = seen[:, skip:] if seen.shape[1] > 1 else seen
            could = seen.sum(1)[:, :upto].to(sums.device)
            given = given * seen.any(-1, keepdim=True)  # a padding row, which sees nothing, comes out uniform
        sums[0, :, offset : offset + upto] += given.sum(1)[:, :upto].to(sums.device)
        sums[1, :, offset : offset + upto] += could * heads

    def find(self, total: int) -> bool:
        """After the forward's last layer: find the sinks. False where this forward brought no row of the prompt."""
        if not self._last or self._sums is None:
            self._last.clear()
            return False
        mean = self._sums[0] / self._sums[1].clamp(min=1)
        # A key that fewer than half of the rows see has no mean worth the name: the last tokens would pass for sinks.
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
        """The sums, longer and for more rows of the batch where this forward needs that."""
        have = self._sums
        if have is None:
            have = torch.zeros(2, batch, total, device=device)
        elif have.shape[1] != batch or have.shape[2] < total:
            grown = torch.nn.functional.pad(have, (0, total - have.shape[2]))
            have = grown.repeat_interleave(batch // have.shape[1], 1)
        self._sums = have
        return have
