"""What is known of a model's queries, for the weight that a key will get from queries that don't exist yet.

The queries of a model, before their rotary positions are applied, are taken for normally distributed in each head.
Their mean μ and covariance Σ are added up over everything that the model has read in the episode, so nothing has to be
read twice. With R the rotation averaged over the next positions, a query to come gives key k the expected weight

    exp(kᵀ R μ / √d + kᵀ R Σ Rᵀ k / (2 d))

up to a factor that all keys share (Expected Attention, arXiv 2510.00636, section 3).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from homeostat.errors import ModelError

__all__ = ["FIRST", "QueryStatistics", "Rotary", "rotary_of"]

Rotary = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From (n,) positions to their cosines and sines, (n, d) each."""

_AHEAD = 512
"""The number of positions to come over which the rotation is averaged, as in the paper's code."""

FIRST = 4
"""The first tokens are sinks: their queries are outliers and do not count."""


class QueryStatistics:
    """Adds up the mean and the covariance of a model's queries before rotation, by layer and head."""

    def __init__(self, rotary: Rotary) -> None:
        """Starts without any queries.

        Args:
            rotary: The model's rotary positions.
        """
        self.rotary = rotary
        self._count: dict[int, int] = {}
        self._sum: dict[int, Tensor] = {}  # by layer, (H, D)
        self._outer: dict[int, Tensor] = {}  # by layer, (H, D, D)

    def add(self, layer: int, query: Tensor, first: int) -> None:
        """Adds the queries of some rows.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries, rotated.
            first: The slot of the first row.
        """
        skip = max(FIRST - first, 0)
        rows = query[0, :, skip:].float()
        if not rows.shape[1]:
            return
        at = torch.arange(first + skip, first + query.shape[2], device=query.device)
        cos, sin = (part.float() for part in self.rotary(at))
        plain = _rotated(rows, cos, -sin) / _scaling(cos, sin)
        self._count[layer] = self._count.get(layer, 0) + rows.shape[1]
        for table, more in ((self._sum, plain.sum(1)), (self._outer, plain.transpose(1, 2) @ plain)):
            table[layer] = table[layer] + more if layer in table else more

    def ahead(self, layer: int, length: int) -> tuple[Tensor, Tensor]:
        """Returns what is expected of the queries to come.

        Args:
            layer: The layer's index.
            length: The slot of the next query.

        Returns:
            (H, D) their mean and (H, D, D) their covariance, rotated by the mean rotation of the next positions.
        """
        count = self._count[layer]
        mean = self._sum[layer] / count
        covariance = self._outer[layer] / count - mean[:, :, None] * mean[:, None, :]
        at = torch.arange(length, length + _AHEAD, device=mean.device)
        cos, sin = (part.float().mean(0) for part in self.rotary(at))
        turn = _rotated(torch.eye(mean.shape[-1], device=mean.device), cos, sin)  # row i is the image of axis i
        return mean @ turn, turn.T @ covariance @ turn


def rotary_of(model: Any, name: str) -> Rotary:
    """Finds a model's rotary positions.

    Args:
        model: The transformers model.
        name: The model's name.

    Returns:
        From positions to cosines and sines.

    Raises:
        ModelError: The model has no rotary positions, or turns other pairs of dimensions than Llama.
    """
    decoder = model.get_decoder()
    rotary = getattr(decoder, "rotary_emb", None)
    half = getattr(sys.modules[type(decoder).__module__], "rotate_half", None)
    if rotary is None or half is None or half(torch.arange(4)).tolist() != [-2, -3, 0, 1]:
        raise ModelError(f"{name!r} has no rotary positions like Llama's; choose another policy, such as 'label_mass'")

    def at(positions: Tensor) -> tuple[Tensor, Tensor]:
        cos, sin = rotary(torch.zeros(1, device=positions.device), positions[None])
        return cos[0], sin[0]

    return at


def _rotated(rows: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """(…, n, D) rows, turned by (n, d) or (d,) angles; dimensions behind the first d stay."""
    size = cos.shape[-1]
    turned, rest = rows[..., :size], rows[..., size:]
    one, other = turned.chunk(2, -1)
    return torch.cat([turned * cos + torch.cat([-other, one], -1) * sin, rest], -1)


def _scaling(cos: Tensor, sin: Tensor) -> Tensor:
    """The square of the factor that some models (YaRN) put on cosines and sines; 1 for others."""
    return (cos.square() + sin.square()).mean()
