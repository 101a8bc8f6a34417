"""Steers each row of a changing batch by rules of its own.

A row's prompt runs in a forward of its own, with the rules as :class:`~homeostat.sensors.steering.binding.Steering`
binds them. In decoding, all rows run together, one token each. Then every rule applies to all of a row's tokens,
because they stand behind the prompt. The rules of all rows become one table, in which a rule acts in the rows that
have it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from homeostat.errors import ConfigError
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.binding import Steering, heads_of
from homeostat.sensors.steering.reweighting import LayerSteering

__all__ = ["RowSteering"]

_ROOM = 256
"""Further columns that the tables get at once, for the tokens to come."""

_Row = tuple[Steering, int] | None


class RowSteering:
    """The rules of a batch's rows in one composition of the batch."""

    def __init__(self, rows: Sequence[_Row]) -> None:
        """Merges the rules of the rows.

        Args:
            rows: For each row of the batch its rules and the number of columns of padding in front of it; None for a
                row that nobody steers.
        """
        self._rows = tuple(rows)
        # Rules that are equal and stand at the same place are one rule. So the rules of each row keep their order.
        places: dict[tuple[int, Actuator], list[tuple[int, Steering, int]]] = {}
        for number, row in enumerate(self._rows):
            for place, rule in enumerate(row[0].rules if row is not None else ()):
                assert row is not None
                places.setdefault((place, rule), []).append((number, row[0], row[1]))
        self._places = sorted(places.items(), key=lambda entry: entry[0][0])
        tables = [self._table(role) for role in range(3)]
        width = max(table.shape[2] for table in tables)
        self._tables = [pad(table, (0, width - table.shape[2])) for table in tables]  # (B, N, K) by role
        self._layers: dict[int, tuple[int, ...]] = {}
        self._bound: dict[object, LayerSteering] = {}
        self._keys = -1

    def same(self, rows: Sequence[_Row]) -> bool:
        """Tells whether the rules are those of the given rows.

        Args:
            rows: The rows, as for the constructor.

        Returns:
            Whether they are, with the same padding.
        """
        return len(rows) == len(self._rows) and all(
            a is b or (a is not None and b is not None and a[0] is b[0] and a[1] == b[1])
            for a, b in zip(rows, self._rows, strict=True)
        )

    def bind(self, layer: int, query: Tensor, key: Tensor, total: int) -> LayerSteering | None:
        """Binds the rules to one layer in one forward.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries: one for each row, or those of one row's prompt.
            key: (B, G, K, D) keys.
            total: The number of columns so far.

        Returns:
            The rules that steer this layer; None if none of them does.

        Raises:
            ConfigError: A rule names a head that the layer does not have, or the prompts of several rows run together.
        """
        if len(self._rows) == 1 and (only := self._rows[0]) is not None and not only[1]:
            return only[0].bind(layer, query, key, total)
        if query.shape[2] > 1:
            raise ConfigError("prompts that are steered run one by one; start each of them by itself")
        picked = self._picked(layer)
        if not picked:
            return None
        keys = key.shape[2]
        if keys != self._keys:
            self._keys = keys
            self._bound = {}
            short = keys - self._tables[0].shape[2]
            if short > 0:
                self._tables = [pad(table, (0, short + _ROOM)) for table in self._tables]
        chosen = tuple(heads_of(self._places[n][0][1], layer) for n in picked)
        alike = picked, chosen, query.shape[1], query.device
        if alike not in self._bound:
            self._bound[alike] = self._layer(layer, picked, chosen, query, keys)
        return self._bound[alike]

    def keep(self, layer: int, bound: LayerSteering) -> None:
        """Is not used: rules about attention sinks don't share a batch.

        Args:
            layer: The layer's index.
            bound: The layer's rules after a forward.
        """

    def _picked(self, layer: int) -> tuple[int, ...]:
        """The merged rules that reach a layer."""
        if layer not in self._layers:
            self._layers[layer] = tuple(
                n for n, ((_, rule), rows) in enumerate(self._places) if rows[0][1].reaches(rule, layer)
            )
        return self._layers[layer]

    def _layer(
        self,
        layer: int,
        picked: tuple[int, ...],
        chosen: tuple[tuple[int, ...] | None, ...],
        query: Tensor,
        keys: int,
    ) -> LayerSteering:
        heads, device = query.shape[1], query.device
        acting = torch.zeros(len(self._rows), len(picked), heads, 1, device=device)
        for n, (rule, mine) in enumerate(zip(picked, chosen, strict=True)):
            if mine is not None and max(mine) >= heads:
                raise ConfigError(f"head {(layer, max(mine))!r} does not exist: layer {layer} has {heads} heads")
            for number, _, _ in self._places[rule][1]:
                acting[number, n, slice(None) if mine is None else list(mine)] = 1
        members, takers, looked = (table[:, picked, :keys].to(device) for table in self._tables)
        return LayerSteering(
            tuple(self._places[n][0][1] for n in picked),
            members,
            takers,
            looked,
            acting,
            hulls=tuple(self._hull(n, keys) for n in picked),
        )

    def _table(self, role: int) -> Tensor:
        """(B, N, K): 1 if the column belongs to the n-th rule's ranges; K ends with the last such column."""
        found = [
            (number, n, start + padding, stop + padding)
            for n, ((place, _), rows) in enumerate(self._places)
            for number, steering, padding in rows
            for start, stop in steering.ranges[role][place][0]
        ]
        table = torch.zeros(len(self._rows), len(self._places), max((stop for *_, stop in found), default=0))
        for number, n, start, stop in found:
            table[number, n, start:stop] = 1
        return table

    def _hull(self, merged: int, keys: int) -> tuple[int, int]:
        """The first column of a rule's ranges, and the column after the last, over all rows."""
        (place, _), rows = self._places[merged]
        ends = [
            (start + padding, stop + padding)
            for _, steering, padding in rows
            for start, stop in steering.ranges[0][place][0]
        ]
        first = min((start for start, _ in ends), default=0)
        return first, max(min(max((stop for _, stop in ends), default=0), keys), first)
