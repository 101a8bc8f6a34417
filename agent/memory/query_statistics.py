"""What is known of a model's queries, for the weight that a key will get from queries that don't exist yet.

The queries of a model, before their rotary positions are applied, are taken for normally distributed in each head.
Their mean μ and covariance Σ are added up over everything that the model has read in the episode, so nothing has to be
read twice. With R the rotation averaged over the next positions, a query to come gives key k the expected weight

    exp(kᵀ R μ / √d + kᵀ R Σ Rᵀ k / (2 d))

up to a factor that all keys share (Expected Attention, arXiv 2510.00636, section 3).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
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
        self._near: dict[int, Tensor] = {}  # by layer, (H, 1, D) a point near the mean, from which sums count
        self._sum: dict[int, Tensor] = {}  # by layer, (H, D)
        self._outer: dict[int, Tensor] = {}  # by layer, (H, D, D)

    @contextmanager
    def listening(self, model: Any) -> Iterator[None]:
        """Adds the queries of everything that the model reads meanwhile.

        They are taken where no position is in them yet. Turning rotated queries back would not do: in bfloat16, the
        rounding errors of models with large biases are larger than the variance.

        Args:
            model: The transformers model.

        Yields:
            Nothing.
        """
        hooks = []
        try:
            for number, layer in enumerate(model.get_decoder().layers):
                attention = layer.self_attn
                source = getattr(attention, "q_norm", attention.q_proj)
                hooks.append(source.register_forward_hook(partial(self._hear, number, attention.head_dim)))
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _hear(self, layer: int, size: int, module: Any, given: Any, output: Tensor) -> None:
        rows = output.detach()[0].reshape(output.shape[1], -1, size).transpose(0, 1)  # (H, Q, D)
        if layer not in self._count:
            rows = rows[:, FIRST:]
        if not rows.shape[1]:
            return
        rows = rows.float()
        if layer not in self._near:
            self._near[layer] = rows.mean(1, keepdim=True)
        rows = rows - self._near[layer]  # else the square of a large mean would swallow the covariance
        self._count[layer] = self._count.get(layer, 0) + rows.shape[1]
        for table, more in ((self._sum, rows.sum(1)), (self._outer, rows.transpose(1, 2) @ rows)):
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
        mean = mean + self._near[layer][:, 0]
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
        ModelError: The model's queries or rotary positions are not built like Llama's.
    """
    decoder = model.get_decoder()
    rotary = getattr(decoder, "rotary_emb", None)
    half = getattr(sys.modules[type(decoder).__module__], "rotate_half", None)
    layers = [getattr(layer, "self_attn", None) for layer in getattr(decoder, "layers", ())]
    projected = bool(layers) and all(hasattr(one, "q_proj") and hasattr(one, "head_dim") for one in layers)
    if not projected or rotary is None or half is None or half(torch.arange(4)).tolist() != [-2, -3, 0, 1]:
        raise ModelError(
            f"{name!r} has no queries with rotary positions like Llama's; choose another policy, such as 'label_mass'"
        )

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
