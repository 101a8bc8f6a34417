"""A key-value cache that holds the keys of some tokens only, at their original positions.

Rotary positions are applied before a key enters the cache, so a key that stays keeps its position whatever is removed
around it. The cache therefore counts two lengths: the *virtual* length, the number of tokens that it stands for, and
the number of keys that it holds. transformers takes the position of the next token from the virtual length, and the
mask from the keys: the held keys lie in front of all new ones, which is all that a causal mask asks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

__all__ = ["ThinnedCache", "ThinnedLayer"]


class ThinnedLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """The keys of one layer: some of those of the first ``base`` tokens, and all of those behind them.

    Attributes:
        kept: (K,) the slots of the held keys among the first ``base`` tokens, ascending; or (G, K), where each of the G
            key heads holds keys of its own.
        base: The number of tokens that ``kept`` is about.
        length: The virtual length.
    """

    def __init__(self, keys: Tensor, values: Tensor, kept: Tensor, base: int, length: int) -> None:
        """Wraps held keys.

        Args:
            keys: (B, G, K + length - base, D) the held keys.
            values: The values, of the same shape.
            kept: (K,) or (G, K) the slots of the held keys among the first ``base`` tokens, ascending.
            base: The number of tokens that ``kept`` is about.
            length: The virtual length.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values
        self.kept, self.base, self.length = kept, base, length

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Appends the keys and values of new tokens.

        Args:
            key_states: (B, G, n, D) the new keys.
            value_states: The new values.
            args: What else transformers passes.
            kwargs: What else transformers passes, by name.

        Returns:
            All keys and all values.
        """
        self.length += key_states.shape[-2]
        return super().update(key_states, value_states, *args, **kwargs)

    def get_seq_length(self) -> int:
        """Returns the virtual length."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Returns what transformers builds the mask from.

        Args:
            query_length: The number of new tokens.

        Returns:
            The number of keys after the forward pass, and the number of tokens that have none.
        """
        assert self.keys is not None
        held = self.keys.shape[-2]
        return held + query_length, self.length - held

    def crop(self, tokens_to_remove: int) -> None:
        """Removes the last tokens.

        Args:
            tokens_to_remove: The number of tokens, as a negative number.

        Raises:
            ValueError: The key heads would hold different numbers of keys; :meth:`can_crop` tells before.
        """
        assert self.keys is not None
        assert self.values is not None
        length = self.length - abs(tokens_to_remove)
        kept = self._kept_below(length)
        if kept is None:
            raise ValueError(f"a cache with keys of its own in each head can't be cropped to {length} tokens")
        held = kept.shape[-1] + max(length - self.base, 0)
        self.keys, self.values = self.keys[..., :held, :], self.values[..., :held, :]
        self.kept, self.base, self.length = kept, min(self.base, length), length

    def can_crop(self, length: int) -> bool:
        """Whether all heads hold the same number of keys among the first tokens.

        Args:
            length: The number of tokens that would stay.

        Returns:
            False where the crop would leave heads with different numbers of keys.
        """
        return self._kept_below(length) is not None

    def slots(self) -> Tensor:
        """Returns the slot of every held key.

        Returns:
            (K,), or (G, K) where each key head holds keys of its own.
        """
        behind = torch.arange(self.base, self.length, device=self.kept.device)
        return torch.cat([self.kept, behind.expand(*self.kept.shape[:-1], -1)], -1)

    def hold(self, kept: Tensor) -> None:
        """Removes all keys but some.

        Args:
            kept: (K,) or (G, K) ascending slots whose keys stay. The layer holds each of them.
        """
        assert self.keys is not None
        assert self.values is not None
        have = self.slots()
        if kept.ndim == 2 and have.ndim == 1:
            have = have.expand(len(kept), -1).contiguous()
        elif kept.ndim == 1 and have.ndim == 2:
            kept = kept.expand(len(have), -1).contiguous()
        at = torch.searchsorted(have, kept)
        if kept.ndim == 1:
            self.keys, self.values = self.keys[..., at, :], self.values[..., at, :]
        else:
            index = at[None, :, :, None].expand(self.keys.shape[0], -1, -1, self.keys.shape[-1])
            self.keys, self.values = self.keys.gather(2, index), self.values.gather(2, index)
        self.kept, self.base = kept, self.length

    def insert(self, keys: Tensor, values: Tensor, first: int) -> None:
        """Puts the keys of one evicted run of tokens back in their place.

        Args:
            keys: (B, G, n, D) keys of n tokens.
            values: Their values.
            first: The slot of the first of these tokens. No head holds a key of theirs.
        """
        assert self.keys is not None
        assert self.values is not None
        slots = self.slots()
        added = torch.arange(first, first + keys.shape[-2], device=slots.device)
        both = torch.cat([slots, added.expand(*slots.shape[:-1], -1)], -1)
        kept, order = both.sort(dim=-1)
        self.keys, self.values = torch.cat([self.keys, keys], 2), torch.cat([self.values, values], 2)
        if order.ndim == 1:
            self.keys, self.values = self.keys[..., order, :], self.values[..., order, :]
        else:
            index = order[None, :, :, None].expand(self.keys.shape[0], -1, -1, self.keys.shape[-1])
            self.keys, self.values = self.keys.gather(2, index), self.values.gather(2, index)
        self.kept, self.base = kept, self.length

    def before(self, slot: int) -> ThinnedLayer:
        """Copies what the layer holds in front of a slot.

        Args:
            slot: The slot. :meth:`can_crop` is true of it.

        Returns:
            A layer of that virtual length. It shares the memory of the keys until it grows.
        """
        assert self.keys is not None
        assert self.values is not None
        copy = ThinnedLayer(self.keys, self.values, self.kept, self.base, self.length)
        copy.crop(slot - self.length)
        return copy

    def _kept_below(self, length: int) -> Tensor | None:
        """The kept slots below a length; None where heads differ in their number."""
        if length >= self.base:
            return self.kept
        counts = (self.kept < length).sum(-1)
        if counts.ndim and len(counts.unique()) > 1:  # type: ignore[no-untyped-call]
            return None
        return self.kept[..., : int(counts.max())]


class ThinnedCache(DynamicCache):
    """A cache of :class:`ThinnedLayer`. The probe reads from it which token each key belongs to."""

    def __init__(self, layers: Sequence[ThinnedLayer]) -> None:
        """Wraps layers.

        Args:
            layers: One for each layer of the model, all of the same virtual length.
        """
        super().__init__()
        self.layers = list(layers)

    @classmethod
    def of(cls, cache: Any) -> ThinnedCache:
        """Turns a plain cache into one that can be thinned. It holds every key, and takes over the tensors.

        Args:
            cache: A cache of plain layers, or a thinned one, which is returned as it is.

        Returns:
            The cache.
        """
        if isinstance(cache, cls):
            return cache
        length = cache.get_seq_length()
        return cls(
            [
                ThinnedLayer(layer.keys, layer.values, torch.arange(length, device=layer.keys.device), length, length)
                for layer in cache.layers
            ]
        )

    @property
    def thinned(self) -> list[ThinnedLayer]:
        """The layers, with their type."""
        return self.layers  # type: ignore[return-value]

    def key_slots(self, layer: int) -> Tensor:
        """Returns the slot of every key that a layer holds.

        Args:
            layer: The layer's index.

        Returns:
            (K,), or (G, K) where each key head holds keys of its own.
        """
        return self.thinned[layer].slots()

    def can_crop(self, length: int) -> bool:
        """Whether the cache can be cropped to its first tokens.

        Args:
            length: The number of tokens that would stay.

        Returns:
            False where heads would be left with different numbers of keys.
        """
        return all(layer.can_crop(length) for layer in self.thinned)

    def before(self, slot: int) -> ThinnedCache:
        """Copies what the cache holds in front of a slot.

        Args:
            slot: The slot.

        Returns:
            A cache of that virtual length.
        """
        return ThinnedCache([layer.before(slot) for layer in self.thinned])

    def held(self) -> int:
        """Counts the keys that each head of a layer holds.

        Returns:
            The largest number over the layers.
        """
        return max(layer.keys.shape[-2] for layer in self.thinned if layer.keys is not None)

    def bytes(self) -> int:
        """Counts the bytes of all keys and values.

        Returns:
            The number of bytes.
        """
        held = (t for layer in self.thinned for t in (layer.keys, layer.values) if t is not None)
        return sum(int(t.numel() * t.element_size()) for t in held)
