"""Explicit attention: the softmax weights of a few query rows, outside the fused kernel and without the n × n map.

Shapes: B batch, H query heads, G key/value heads (H is a multiple of G), R query rows, K keys, D head size. Query heads
that share a key head are folded into rows, so that keys are never repeated (grouped-query attention, arXiv 2305.13245).
Scores and softmax are computed in float32, whatever the model's data type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["AttentionScoring", "RowMask", "attend", "row_chunks", "row_ranges", "visible"]

CHUNK = 1 << 22
"""The largest number of weights that are held at once when rows are processed in chunks (16 MiB of float32)."""

BLOCK = 1 << 18
"""The number of key components that are converted to float32 at once (1 MiB)."""

MASKED = -1e4
"""An additive mask below this value hides its key: exp(−1e4) is exactly 0 in float32."""


@dataclass(slots=True)
class AttentionScoring:
    """How a layer computes its logits from q·k.

    Attributes:
        scale: The factor of q·k.
        softcap: c, which maps the scaled product x to c·tanh(x/c) (Gemma 2, arXiv 2408.00118); None for no cap.
        sinks: (H,) learned logits that take part in the softmax and belong to no key (``s_aux`` of GPT-OSS).
    """

    scale: float
    softcap: float | None = None
    sinks: Tensor | None = None

    @property
    def fused(self) -> bool:
        """Whether torch's fused kernel can compute these logits."""
        return self.softcap is None and self.sinks is None

    def weights(
        self,
        query: Tensor,
        key: Tensor,
        mask: Tensor | None,
        change: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Computes softmax weights.

        Args:
            query: (B, H, R, D) queries.
            key: (B, G, K, D) keys.
            mask: Broadcasts to (B, H, R, k): True for visible keys, or a float that is added to the logits. It is about
                the last k ≤ K keys; every row sees the keys before them.
            change: What steering does to the (B, H, R, K) capped logits; None leaves them as they are.

        Returns:
            (B, H, R, K) float32 weights. The weights of a row that sees no key are uniform, as in the eager kernel;
            callers have to treat such rows apart.
        """
        batch, heads, rows, _ = query.shape
        scores = _products(query, key, self.scale).view(batch, heads, rows, key.shape[2])
        if self.softcap is not None:
            scores = torch.tanh(scores / self.softcap) * self.softcap
        if change is not None:
            scores = change(scores)
        if mask is not None:
            blind = scores[..., scores.shape[-1] - mask.shape[-1] :]
            if mask.dtype == torch.bool:  # a mask is smaller than the scores, and adding is faster than filling
                mask = scores.new_zeros(mask.shape).masked_fill_(~mask, torch.finfo(torch.float32).min)
            blind += mask
        if self.sinks is None:
            return scores.softmax(-1)
        sinks = self.sinks.float().reshape(1, -1, 1, 1).expand(batch, heads, rows, 1)
        return torch.cat([scores, sinks], -1).softmax(-1)[..., :-1]


@dataclass(slots=True)
class RowMask:
    """Which keys each row sees, in transformers' convention for its SDPA mask.

    Without a mask, a single row sees every key. If there are more rows and the layer is causal, row i sees key j iff
    j ≤ i, counted from the first key; keys past the rows, which a static cache has, are therefore hidden. In a layer
    that is not causal, every row sees every key.

    Attributes:
        mask: (B or 1, H or 1, Q, K), bool or an additive float; None as above.
        queries: The number of rows Q.
        keys: The number of keys K.
        causal: Whether the layer is causal.
        device: The device for masks that are built here.
    """

    mask: Tensor | None
    queries: int
    keys: int
    causal: bool
    device: torch.device

    def rows(self, start: int, stop: int, at: Tensor | None = None) -> Tensor | None:
        """Returns the mask of some rows.

        Args:
            start: The first row.
            stop: The row after the last.
            at: (n,) the keys to keep; None keeps all.

        Returns:
            A mask that broadcasts to (B, H, stop − start, K), or None if the rows see everything.
        """
        if self.mask is not None:
            mine = self.mask if self.mask.shape[2] == 1 else self.mask[:, :, start:stop]
            return mine if at is None else mine[..., at]
        if not self.causal or self.queries == 1:
            return None
        return self._causal(start, stop, 0, at)

    def last_keys(self, start: int, stop: int) -> Tensor | None:
        """Returns the mask of some rows for the last keys alone, because all of these rows see the keys before them.

        Args:
            start: The first row.
            stop: The row after the last.

        Returns:
            A mask that broadcasts to (B, H, stop − start, k), about the last k ≤ K keys; None if the rows see
            everything.
        """
        if self.mask is None and self.causal and self.queries > 1:
            return self._causal(start, stop, min(start + 1, self.keys))
        return self.rows(start, stop)

    def _causal(self, start: int, stop: int, first: int, at: Tensor | None = None) -> Tensor:
        row = torch.arange(start, stop, device=self.device)
        key = torch.arange(first, self.keys, device=self.device) if at is None else at
        return (key <= row[:, None])[None, None]


def _products(query: Tensor, key: Tensor, scale: float) -> Tensor:
    """(B·G, H/G·R, K) float32: the scaled products of all queries and keys of each key head.

    Half-precision keys are converted in blocks that stay in the processor's cache, because a converted copy of all keys
    would be written to memory and read again at every step.
    """
    asked = query.float().reshape(len(query) * key.shape[1], -1, query.shape[-1])
    held = key.flatten(0, 1)
    learning = torch.is_grad_enabled() and (query.requires_grad or key.requires_grad)
    if held.dtype == torch.float32 or held.device.type != "cpu" or learning:
        return torch.bmm(asked * scale, held.float().transpose(1, 2))
    heads, keys, size = held.shape
    many = max(1, min(heads, BLOCK // max(1, keys * size)))
    step = max(1, -(-keys // max(1, round(many * keys * size / BLOCK))))  # blocks of one length
    scores = asked.new_empty(heads, asked.shape[1], keys)
    block = asked.new_empty(many, step, size)
    for head in range(0, heads, many):
        mine = slice(head, head + many)
        for first in range(0, keys, step):
            some = held[mine, first : first + step]
            converted = block[: some.shape[0], : some.shape[1]].copy_(some).transpose(1, 2)
            out = scores[mine, :, first : first + step]
            torch.baddbmm(out, asked[mine], converted, beta=0, alpha=scale, out=out)
    return scores


def visible(mask: Tensor) -> Tensor:
    """Converts a row mask to booleans.

    Args:
        mask: (B or 1, H or 1, R, K), bool or an additive float.

    Returns:
        (B or 1, R, K): True for visible keys, those of the first head if heads differ.
    """
    seen = mask if mask.dtype == torch.bool else mask > MASKED
    return seen[:, 0]


def row_chunks(start: int, stop: int, row_size: int) -> Iterator[tuple[int, int]]:
    """Splits rows into chunks of at most :data:`CHUNK` weights, but at least one row.

    Args:
        start: The first row.
        stop: The row after the last.
        row_size: The number of weights of one row, B·H·K.

    Yields:
        The first row of each chunk, and the row after its last.
    """
    step = max(1, CHUNK // max(1, row_size))
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


def row_ranges(rows: Sequence[int], row_size: int) -> Iterator[tuple[int, int]]:
    """Joins adjacent rows to chunks of at most :data:`CHUNK` weights, but at least one row.

    Args:
        rows: Ascending rows.
        row_size: The number of weights of one row, B·H·K.

    Yields:
        The first row of each chunk, and the row after its last.
    """
    for start, stop in _adjacent(rows):
        yield from row_chunks(start, stop, row_size)


def _adjacent(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending row numbers as ranges [start, stop)."""
    ranges: list[tuple[int, int]] = []
    for row in rows:
        if ranges and ranges[-1][1] == row:
            ranges[-1] = (ranges[-1][0], row + 1)
        else:
            ranges.append((row, row + 1))
    return ranges


def attend(weights: Tensor, value: Tensor) -> Tensor:
    """Computes the attention output Σ p_s v_s.

    Args:
        weights: (B, H, R, K) weights.
        value: (B, G, K, D) values.

    Returns:
        (B, R, H, D) outputs, contiguous, in the values' data type.
    """
    batch, heads, rows, keys = weights.shape
    groups = value.shape[1]
    # No -1 here: with no key at all, which a sliding window may leave of a span, it could be any number.
    folded = weights.to(value.dtype).reshape(batch * groups, heads // groups * rows, keys)
    out = torch.bmm(folded, value.flatten(0, 1)).view(batch, heads, rows, value.shape[-1])
    return out.transpose(1, 2).contiguous()
