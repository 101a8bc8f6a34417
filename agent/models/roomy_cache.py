"""A key-value cache that grows without being copied for every token.

transformers' ``DynamicLayer`` concatenates its keys with each new token's, which copies the whole cache. A
:class:`RoomyLayer` writes into room that it holds ready behind the keys. It is exact: what attention sees is the same.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

__all__ = ["RoomyLayer", "can_be_cut", "roomy_cache"]

_LEAST_ROOM, _SHARE = 64, 8  # tokens, and one in so many of what is held


class RoomyLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """One layer's keys and values, with room behind them.

    ``keys`` and ``values`` are views of the beginning of two larger tensors. Where something else puts other tensors
    there (rows that are repeated, selected or set), the room is made anew at the next update.
    """

    def __init__(self) -> None:
        """Starts empty, without room."""
        super().__init__()  # type: ignore[no-untyped-call]
        self._room: tuple[Tensor, Tensor] | None = None

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Adds the keys and values of new tokens.

        Args:
            key_states: (B, G, T, D) the keys of T tokens.
            value_states: (B, G, T, D) their values.
            args: Not used.
            kwargs: Not used.

        Returns:
            All keys and all values.
        """
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        have = self.get_seq_length()
        length = have + key_states.shape[-2]
        if self._room is None or not self._fits(length):
            assert self.keys is not None
            assert self.values is not None
            self._room = (_room(self.keys, key_states, have), _room(self.values, value_states, have))
        for room, new in zip(self._room, (key_states, value_states), strict=True):
            room[..., have:length, :] = new
        self.keys, self.values = (room[..., :length, :] for room in self._room)
        return self.keys, self.values

    def reset(self) -> None:
        """Drops everything."""
        super().reset()
        self._room = None

    def _fits(self, length: int) -> bool:
        """Whether the keys and values still are the beginning of the room, which has a place for ``length`` tokens."""
        assert self._room is not None
        assert self.keys is not None
        assert self.values is not None
        return all(
            room.shape[-2] >= length
            and room.data_ptr() == now.data_ptr()
            and room.shape[:-2] == now.shape[:-2]
            and room.stride() == now.stride()
            and (torch.is_inference_mode_enabled() or not room.is_inference())
            for room, now in zip(self._room, (self.keys, self.values), strict=True)
        )


def roomy_cache(config: Any) -> DynamicCache:
    """Makes an empty cache for a model.

    Args:
        config: The configuration of the text model.

    Returns:
        The cache. Layers with a sliding window or linear attention are those of transformers.
    """
    cache = DynamicCache(config=config)
    cache.layers = [RoomyLayer() if type(layer) is DynamicLayer else layer for layer in cache.layers]
    return cache


def can_be_cut(cache: Any) -> bool:
    """Tells whether every layer of a cache holds the keys of all tokens, so that the last ones can be dropped.

    Args:
        cache: The cache.

    Returns:
        False with a sliding window or linear attention.
    """
    return all(type(layer) in (DynamicLayer, RoomyLayer) for layer in cache.layers)


def _room(old: Tensor, new: Tensor, have: int) -> Tensor:
    """A tensor with the old tokens and place for the new ones and more."""
    length = have + new.shape[-2]
    room = new.new_empty((*new.shape[:-2], length + max(_LEAST_ROOM, length // _SHARE), new.shape[-1]))
    if have:
        room[..., :have, :] = old
    return room
