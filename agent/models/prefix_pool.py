"""The keys and values of earlier prompts, for the rows of later batches.

Each caller of a shared model has one entry: its last prompt and answer. A new prompt takes whatever it shares with an
entry from the start, first of all with its caller's own. So an episode's next prompt runs only what is new in it, and
a new episode finds the system text and the tools of the others.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.kv_cache import PLAIN_INPUTS, shared_length
from homeostat.sensors.chat.rendered import ImageRun, Rendered

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Prefix", "PrefixPool"]

_OWN = 0.9
"""A caller's own entry is taken without a look at the others if a prompt shares so much of it."""


@dataclass(frozen=True)
class Prefix:
    """The keys and values of L tokens.

    Attributes:
        tokens: The L tokens: a prompt, and what was generated behind it.
        images: The prompt's images.
        layers: For each layer its keys and values, (1, G, L, D) each.
    """

    tokens: Sequence[int]
    images: tuple[ImageRun, ...]
    layers: Sequence[tuple[Tensor, Tensor]]

    def shared(self, rendered: Rendered, most: int) -> int:
        """Counts the tokens that a prompt shares with this prefix.

        Args:
            rendered: The prompt.
            most: The most tokens that may be shared.

        Returns:
            The number of tokens; an image is never cut.
        """
        return shared_length(self.tokens, self.images, rendered.ids, rendered.images, most)


class PrefixPool:
    """One entry for each of the callers that asked last."""

    def __init__(self, config: Any, entries: int) -> None:
        """Starts empty.

        Args:
            config: The configuration of the text model.
            entries: The most entries; the one that was used least recently makes room.
        """
        self._config, self._most = config, entries
        self._entries: OrderedDict[Hashable, Prefix] = OrderedDict()
        self._usable: bool | None = None

    def __len__(self) -> int:
        """The number of entries."""
        return len(self._entries)

    def fits(self, rows: Sequence[Rendered]) -> bool:
        """Tells whether prompts can start from what is stored.

        Args:
            rows: The prompts of a batch.

        Returns:
            False where the keys of a prefix depend on what stands behind it (token types, positions in three
            dimensions), or where the model's cache can't be cut (sliding windows, linear attention).
        """
        if self._usable is None:
            from homeostat.agent.models.roomy_cache import can_be_cut

            self._usable = can_be_cut(self.empty_cache())
        return self._usable and all(set(row.inputs) <= PLAIN_INPUTS for row in rows)

    def empty_cache(self) -> Any:
        """Makes an empty cache for the model."""
        from homeostat.agent.models.roomy_cache import roomy_cache

        return roomy_cache(self._config)

    def longest(
        self, rendered: Rendered, owner: Hashable, most: int, others: Sequence[Prefix] = ()
    ) -> tuple[Prefix | None, int]:
        """Finds the entry that shares most with a prompt.

        Args:
            rendered: The prompt.
            owner: The caller.
            most: The most tokens that may be shared.
            others: What may be shared besides the entries.

        Returns:
            The entry and the number of shared tokens; None and 0 where nothing is shared.
        """
        own = self._entries.get(owner)
        found, best = (own, own.shared(rendered, most)) if own is not None else (None, 0)
        if own is None or best < min(most, _OWN * len(own.tokens)):
            for entry in (*self._entries.values(), *others):
                length = entry.shared(rendered, most) if entry is not own else 0
                if length > best:
                    found, best = entry, length
        return (found, best) if best else (None, 0)

    def keep(self, owner: Hashable, prefix: Prefix) -> None:
        """Stores a caller's entry in place of its last one.

        Args:
            owner: The caller.
            prefix: The keys and values of its prompt and answer.
        """
        self._entries.pop(owner, None)
        self._entries[owner] = prefix
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)

    def forget(self) -> None:
        """Drops everything."""
        self._entries.clear()
