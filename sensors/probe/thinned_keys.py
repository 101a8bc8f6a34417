"""What the probe needs to know of a cache that holds the keys of some tokens only, and who listens to its weights."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["KeyReader", "ThinnedKeys", "head_columns", "spread"]


@runtime_checkable
class ThinnedKeys(Protocol):
    """A key-value cache that may lack the keys of some tokens."""

    def key_slots(self, layer: int) -> Tensor:
        """Returns the slot of every key that a layer holds, in the order of the keys.

        Args:
            layer: The layer's index.

        Returns:
            (K,), or (G, K) where each of the G key heads holds keys of its own.
        """
        ...


class KeyReader(Protocol):
    """Listens to the weights of single keys, such as a memory that decides which keys stay.

    Attributes:
        every_row: Whether it is told the weights of all rows of a prompt, and not only of those that are recorded. That
            costs a second attention pass over the prompt.
    """

    every_row: bool

    def queries(self, layer: int, query: Tensor, key: Tensor, scale: float, first: int, slots: Tensor | None) -> None:
        """Receives a layer's queries, before its weights.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries.
            key: (B, G, K, D) keys.
            scale: The factor of q·k.
            first: The slot of the first query.
            slots: (K,) or (G, K) the slots of the keys; None where key j lies in slot j.
        """
        ...

    def weights(self, layer: int, weights: Tensor, first: int, slots: Tensor | None, *, recorded: bool) -> None:
        """Receives the weights of some rows.

        Args:
            layer: The layer's index.
            weights: (B, H, r, K) weights.
            first: The slot of the first of these rows.
            slots: (K,) or (G, K) the slots of the keys; None where key j lies in slot j.
            recorded: Whether the probe records these rows. The others are told only where :attr:`every_row` is set.
        """
        ...


def head_columns(columns: Tensor, slots: Tensor) -> Tensor:
    """Picks the rows of a table that belong to the keys of a thinned cache.

    Args:
        columns: (b, slots, C) a row for each slot.
        slots: (K,), or (G, K).

    Returns:
        (b, K, C), or (b, G, K, C).
    """
    return columns[:, slots.to(columns.device)]


def spread(weights: Tensor, slots: Tensor, total: int) -> Tensor:
    """Puts the weights of a thinned cache's keys into the columns of their slots. Evicted slots get 0.

    Args:
        weights: (b, H, r, K) weights.
        slots: (K,), or (G, K).
        total: The number of slots.

    Returns:
        (b, H, r, total) weights.
    """
    batch, heads, rows, keys = weights.shape
    wide = torch.zeros(batch, heads, rows, total, dtype=weights.dtype, device=weights.device)
    slots = slots.to(weights.device)
    if slots.ndim == 1:
        wide[..., slots] = weights
        return wide
    index = slots.repeat_interleave(heads // len(slots), 0)[None, :, None].expand(batch, heads, rows, keys)
    return wide.scatter_(-1, index, weights)
