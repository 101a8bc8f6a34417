"""One key-value cache for rows that come and go.

Every row has a slot. Its tokens end in the same column as everybody's; in front of them there is padding. A slot whose
row has left is computed along until another row takes it, because a row more costs little.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from homeostat.agent.models.roomy_cache import RoomyLayer

__all__ = ["SlotCache"]

_SLACK = 64
"""Columns that are added on the left, besides those that a longer prompt needs."""
_WASTE = 256
"""Columns of padding that every row may have before they are cut off, besides a quarter of all."""


class SlotCache:
    """The keys and values of all slots.

    Attributes:
        cache: The transformers cache; None while there is no slot.
        padding: For each slot, the number of columns in front of its row's first token.
    """

    def __init__(self) -> None:
        """Starts without slots."""
        self.cache: Any = None
        self.padding: list[int] = []

    @property
    def columns(self) -> int:
        """The number of columns."""
        return int(self.cache.get_seq_length()) if self.cache is not None else 0

    def mask(self) -> Tensor | None:
        """Builds the mask of the next forward pass over one token a slot.

        Returns:
            (B, columns + 1): 1 for tokens, 0 for padding. None without padding: attention is cheaper without a mask.
        """
        if not any(self.padding):
            return None
        column = torch.arange(self.columns + 1)
        return (column >= torch.tensor(self.padding)[:, None]).long()

    def positions(self) -> Tensor:
        """Finds the position of each slot's next token.

        Returns:
            (B, 1) positions, counted from 0.
        """
        return self.columns - torch.tensor(self.padding)[:, None]

    def admit(self, other: Any, padding: Sequence[int], free: Sequence[int]) -> list[int]:
        """Puts the rows of another cache into slots.

        Args:
            other: The other cache, of n rows.
            padding: The padding of each of its rows.
            free: Slots whose rows have left.

        Returns:
            The slot of each row.
        """
        if self.cache is None:
            self.cache, self.padding = other, list(padding)
            return list(range(len(padding)))
        self._widen(other.get_seq_length())
        shift = self.columns - other.get_seq_length()
        places = list(free[: len(padding)])
        taken = len(places)
        places += range(len(self.padding), len(self.padding) + len(padding) - taken)
        for mine, new in zip(self.cache.layers, other.layers, strict=True):
            kept = [mine.keys, mine.values]
            for kind, given in enumerate((new.keys, new.values)):
                for row, place in enumerate(places[:taken]):
                    kept[kind][place, :, shift:] = given[row]
                if taken < len(padding):
                    more = torch.nn.functional.pad(given[taken:], (0, 0, shift, 0))
                    kept[kind] = torch.cat([kept[kind], more])
            _set(mine, *kept)
        self.padding += [0] * (len(padding) - taken)
        for place, width in zip(places, padding, strict=True):
            self.padding[place] = width + shift
        return places

    def view(self, slot: int) -> list[tuple[Tensor, Tensor]]:
        """Returns a row's keys and values as they are; the next change of the cache may change them too.

        Args:
            slot: The slot.

        Returns:
            For each layer the keys and values, (1, G, L, D) each.
        """
        one, first = slice(slot, slot + 1), self.padding[slot]
        return [(layer.keys[one, :, first:], layer.values[one, :, first:]) for layer in self.cache.layers]

    def copy(self, slot: int) -> list[tuple[Tensor, Tensor]]:
        """Copies a row's keys and values.

        Args:
            slot: The slot.

        Returns:
            For each layer the keys and values, (1, G, L, D) each.
        """
        return [(keys.clone(), values.clone()) for keys, values in self.view(slot)]

    def keep(self, slots: Sequence[int]) -> None:
        """Drops all slots but some, and the columns that none of these needs.

        Args:
            slots: The slots that stay, in their new order.
        """
        if not slots:
            self.cache, self.padding = None, []
            return
        padding = [self.padding[slot] for slot in slots]
        spare = min(padding)
        cut = spare if len(slots) == 1 or spare > _WASTE + self.columns // 4 else 0
        if len(slots) == len(self.padding) and not cut:
            return
        index = torch.tensor(slots)
        for layer in self.cache.layers:
            _set(layer, *(part[index.to(part.device), :, cut:] for part in (layer.keys, layer.values)))
        self.padding = [width - cut for width in padding]

    def _widen(self, columns: int) -> None:
        """Adds columns on the left, so that a row of so many columns has place."""
        missing = columns - self.columns
        if missing <= 0:
            return
        missing += _SLACK
        for layer in self.cache.layers:
            wide = [torch.nn.functional.pad(part, (0, 0, missing, 0)) for part in (layer.keys, layer.values)]
            _set(layer, *wide)
        self.padding = [width + missing for width in self.padding]


def _set(layer: Any, keys: Tensor, values: Tensor) -> None:
    """Gives a layer other keys and values, with room behind them."""
    if keys is layer.keys and values is layer.values:
        return
    assert isinstance(layer, RoomyLayer)
    layer.reset()
    layer.update(keys, values)
