"""What is known of every key: how much attention it received, and the queries that asked last."""

from __future__ import annotations

import torch
from torch import Tensor

from homeostat.agent.memory.query_statistics import QueryStatistics

__all__ = ["Evidence"]

_QUERIES = 64
"""The number of the prompt's last queries that are kept for policies that estimate from them."""

_OLDER = 0.5
"""The weight of what was measured before this call, in the mean that :attr:`Evidence.measured` gives."""


class Evidence:
    """Adds up the weights that keys receive, as the probe tells them while the model runs.

    It is a :class:`~homeostat.sensors.probe.thinned_keys.KeyReader`.

    Attributes:
        every_row: Whether the weights of all rows of a prompt are added up, and not only those that the probe records.
        statistics: The mean and the covariance of all queries; None where no policy needs them.
        last_queries: By layer, (H, R, D) the last R queries of the last prompt, and the slot of the first.
    """

    def __init__(self, *, every_row: bool = False, statistics: QueryStatistics | None = None) -> None:
        """Starts without any.

        Args:
            every_row: Whether the weights of all rows are added up.
            statistics: Adds up the queries; None where no policy needs them.
        """
        self.every_row = every_row
        self.statistics = statistics
        self.last_queries: dict[int, tuple[Tensor, int]] = {}
        self._sums: dict[int, Tensor] = {}  # by layer, (G, capacity) over all calls
        self._call: dict[int, Tensor] = {}  # the same over the recorded rows of this call
        self._rows: dict[int, int] = {}  # by layer, how many of these there are
        self._before: dict[int, Tensor] = {}  # the mean weight per recorded row, as earlier calls measured it
        self._groups: dict[int, int] = {}

    def queries(self, layer: int, query: Tensor, key: Tensor, scale: float, first: int, slots: Tensor | None) -> None:
        """Keeps the last queries of a prompt.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries.
            key: (B, G, K, D) keys.
            scale: The factor of q·k.
            first: The slot of the first query.
            slots: The slots of the keys; None where key j lies in slot j.
        """
        self._groups[layer] = key.shape[1]
        count = query.shape[2]
        if count > 1:
            last = min(count, _QUERIES)
            self.last_queries[layer] = query[0, :, -last:].clone(), first + count - last

    def weights(self, layer: int, weights: Tensor, first: int, slots: Tensor | None, *, recorded: bool) -> None:
        """Adds the weights of some rows.

        Args:
            layer: The layer's index.
            weights: (B, H, r, K) weights.
            first: The slot of the first of these rows.
            slots: (K,) or (G, K) the slots of the keys; None where key j lies in slot j.
            recorded: Whether the probe records these rows.
        """
        groups = self._groups[layer]
        batch, heads, rows, keys = weights.shape
        given = weights.view(batch, groups, heads // groups, rows, keys).sum(3).mean((0, 2))  # (G, K)
        end = keys if slots is None else int(slots.max()) + 1
        tables = [self._sums] if self.every_row else []
        for table in [*tables, self._call] if recorded else tables:
            held = table[layer] = _grown(table.get(layer), groups, end, given)
            if slots is None:
                held[:, :keys] += given
            elif slots.ndim == 1:
                held[:, slots] += given
            else:
                held.scatter_add_(1, slots, given)
        if recorded:
            self._rows[layer] = self._rows.get(layer, 0) + rows

    def end_call(self, held: list[Tensor | None]) -> None:
        """Takes this call's weights into the mean over the calls. What was not held keeps what was measured last.

        Args:
            held: For each layer, the slots of the keys that the cache holds; None for all.
        """
        for layer, now in self._call.items():
            mean = now / max(self._rows[layer], 1)
            before = self._before.get(layer)
            if before is None:
                self._before[layer] = mean
                continue
            known = before.shape[1]
            there = torch.zeros(mean.shape, dtype=torch.bool, device=mean.device)
            slots = held[layer]
            if slots is None:
                there[:] = True
            else:
                there.scatter_(1, slots.expand(len(mean), -1), True)
            blended = mean.clone()
            blended[:, :known] = torch.where(there[:, :known], _OLDER * before + (1 - _OLDER) * mean[:, :known], before)
            self._before[layer] = blended
        self._call, self._rows = {}, {}

    def crop(self, length: int) -> None:
        """Forgets everything behind a prompt's first tokens.

        Args:
            length: The number of tokens.
        """
        for table in (self._sums, self._before):
            for layer, values in table.items():
                table[layer] = values[:, :length].clone()
        self._call, self._rows, self.last_queries = {}, {}, {}

    @property
    def empty(self) -> bool:
        """Whether nothing was measured yet."""
        return not self._before

    def measured(self, length: int) -> Tensor:
        """Returns how much attention each key got per row: the mean over the rows that the probe recorded.

        Later calls weigh more: what was measured before counts half with each call.

        Args:
            length: The number of tokens N.

        Returns:
            (L, G, N) weights; 0 for tokens that no row has seen yet.
        """
        return _stacked(self._before, length)

    def accumulated(self, length: int) -> Tensor:
        """Returns how much attention each key got from all rows of all calls together.

        Args:
            length: The number of tokens N.

        Returns:
            (L, G, N) sums of weights.
        """
        return _stacked(self._sums, length)

    def bytes(self) -> int:
        """Counts the bytes of the tables.

        Returns:
            The number of bytes.
        """
        tables = (self._sums, self._before)
        return sum(t.numel() * t.element_size() for table in tables for t in table.values())


def _grown(have: Tensor | None, groups: int, end: int, like: Tensor) -> Tensor:
    """A table with room for so many slots."""
    if have is None:
        return torch.zeros(groups, end, device=like.device)
    if have.shape[1] >= end:
        return have
    return torch.nn.functional.pad(have, (0, end + 256 - have.shape[1]))


def _stacked(table: dict[int, Tensor], length: int) -> Tensor:
    rows = [torch.nn.functional.pad(v, (0, max(length - v.shape[1], 0)))[:, :length] for _, v in sorted(table.items())]
    return torch.stack([row.to(rows[0].device) for row in rows])
