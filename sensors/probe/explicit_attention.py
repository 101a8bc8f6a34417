"""Attention weights of a few query rows, as the textbook defines them, without the n × n map.

Shapes: B batch, H query heads, G key/value heads (H a multiple of G), R query rows, K keys, D head size.
Query heads that share a key head are folded into rows, so keys are never repeated (grouped-query attention,
arXiv 2305.13245). Scores and softmax are float32 whatever the model's type.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["RowMask", "Scoring", "attend", "row_chunks"]

CHUNK = 1 << 22
"""Weights held at once when rows are worked off in chunks (16 MiB of float32)."""

MASKED = -1e4
"""An additive mask below this hides its key: exp(−1e4) is exactly 0 in float32."""


@dataclass(slots=True)
class Scoring:
    """How a layer turns q·k into logits.

    ``scale`` multiplies q·k; ``softcap`` c bends the result to c·tanh(·/c) (Gemma 2, arXiv 2408.00118); ``sinks`` (H,)
    are learned logits that take part in the softmax and belong to no key (GPT-OSS's ``s_aux``).
    """

    scale: float
    softcap: float | None = None
    sinks: Tensor | None = None

    @property
    def fused(self) -> bool:
        """Whether torch's fused kernel can compute it."""
        return self.softcap is None and self.sinks is None

    def weights(
        self,
        query: Tensor,
        key: Tensor,
        mask: Tensor | None,
        bias: Tensor | None = None,
        stretch: Tensor | None = None,
    ) -> Tensor:
        """(B, H, R, K) float32 softmax weights of (B, H, R, D) queries on (B, G, K, D) keys.

        ``mask`` broadcasts to (B, H, R, K): True for visible keys, or a float that is added. A row that sees no key
        comes out uniform, as with the eager kernel; whoever reads it must know. ``bias`` (B, H, R, K) is added to the
        logits, behind the cap; ``stretch`` α (same shape) adds α |s| to a logit s before that.
        """
        batch, heads, rows, dim = query.shape
        folded = (query.float() * self.scale).reshape(batch * key.shape[1], -1, dim)
        scores = torch.bmm(folded, key.float().flatten(0, 1).transpose(1, 2)).view(batch, heads, rows, key.shape[2])
        if self.softcap is not None:
            scores = torch.tanh(scores / self.softcap) * self.softcap
        if stretch is not None:
            scores = scores + stretch * scores.abs()
        if bias is not None:
            scores = scores + bias
        if mask is not None:
            lowest = torch.finfo(torch.float32).min
            scores = scores.masked_fill(~mask, lowest) if mask.dtype == torch.bool else scores + mask
        if self.sinks is None:
            return scores.softmax(-1)
        sinks = self.sinks.float().reshape(1, -1, 1, 1).expand(batch, heads, rows, 1)
        return torch.cat([scores, sinks], -1).softmax(-1)[..., :-1]


@dataclass(slots=True)
class RowMask:
    """Which keys each of ``queries`` rows sees, in transformers' convention for its SDPA mask.

    ``mask`` (B or 1, H or 1, Q, K) bool or additive float. None means: with one row, every key; with more rows of a
    causal layer, key j for row i iff j ≤ i, counted from the first key (so keys past the rows, which a static cache
    has, are hidden); every key otherwise.
    """

    mask: Tensor | None
    queries: int
    keys: int
    causal: bool
    device: torch.device

    def rows(self, start: int, stop: int, at: Tensor | None = None) -> Tensor | None:
        """The mask of rows ``start`` to ``stop`` (of the keys ``at`` alone), or None where they see everything."""
        if self.mask is not None:
            mine = self.mask if self.mask.shape[2] == 1 else self.mask[:, :, start:stop]
            return mine if at is None else mine[..., at]
        if not self.causal or self.queries == 1:
            return None
        row = torch.arange(start, stop, device=self.device)
        key = torch.arange(self.keys, device=self.device) if at is None else at
        return (key <= row[:, None])[None, None]


def visible(mask: Tensor) -> Tensor:
    """A row mask as bool (B or 1, R, K), the first head's where heads differ."""
    seen = mask if mask.dtype == torch.bool else mask > MASKED
    return seen[:, 0]


def row_chunks(start: int, stop: int, row_size: int) -> Iterator[tuple[int, int]]:
    """``start`` to ``stop`` in pieces of at most :data:`CHUNK` weights, one row at least; ``row_size`` is B·H·K."""
    step = max(1, CHUNK // max(1, row_size))
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


def attend(weights: Tensor, value: Tensor) -> Tensor:
    """(B, R, H, D) output of (B, H, R, K) weights on (B, G, K, D) values, contiguous, in the values' type."""
    batch, heads, rows, keys = weights.shape
    folded = weights.to(value.dtype).reshape(batch * value.shape[1], -1, keys)
    out = torch.bmm(folded, value.flatten(0, 1)).view(batch, heads, rows, value.shape[-1])
    return out.transpose(1, 2).contiguous()
