"""Settles what steering rules depend on in a whole forward: the sinks of each head, and the mean mass of a span.

ACT (arXiv 2406.15765) takes attention from *sinks*: keys k of the prompt whose mean weight in a head,

    α_k = Σ_r A[r, k] / (number of rows r that see k),

exceeds a number, all but the first such key of the head. Spotlight (arXiv 2505.12025) has one factor for a layer,

    γ = max(1, target / mean over heads and rows of the span's mass).

Both have to be known before the first row is steered, so they take a first pass over the rows of a forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from homeostat.sensors.steering.reweighting import LayerSteering

__all__ = ["Settling"]


class Settling:
    """Collects the weights of a layer's forward and settles the layer's rules.

    Attributes:
        rules: The rules before they are settled.
    """

    def __init__(self, rules: LayerSteering) -> None:
        """Prepares empty sums.

        Args:
            rules: The rules of one layer in one forward.
        """
        self.rules = rules
        self._mass: dict[int, Tensor] = {}
        self._rows: dict[int, Tensor] = {}
        self._received: Tensor | None = None
        self._sights: Tensor | None = None

    def add(self, weights: Tensor, seen: Tensor | None, first: int) -> None:
        """Adds the weights of some rows.

        Args:
            weights: (B, H, r, K) weights after gains and stretches.
            seen: (B or 1, r or 1, K): whether the row sees the key; None if every row sees every key.
            first: The first of these rows.
        """
        valid = None if seen is None else seen.any(-1)  # (b, r): rows that see nothing have uniform weights
        for i in self.rules.raising:
            member = self.rules.members[:, i, None, None]
            self.add_mass(i, (weights * member).sum(-1), valid, first)
        if not self.rules.searching:
            return
        batch, _, rows, keys = weights.shape
        assert self.rules.length is not None
        mine = max(min(rows, self.rules.length - first), 0)  # rows of an answer don't count
        counted = weights[:, :, :mine]
        if seen is None:
            sights = torch.full((batch, keys), float(mine), device=weights.device)
        else:
            seen = seen.expand(batch, rows, keys)[:, :mine].float()
            counted, sights = counted * seen[:, None].amax(-1, keepdim=True), seen.sum(1)
        received = counted.sum(2)
        self._received = received if self._received is None else self._received + received
        self._sights = sights if self._sights is None else self._sights + sights

    def add_mass(self, rule: int, mass: Tensor, valid: Tensor | None, first: int) -> None:
        """Adds a span's mass in some rows.

        Args:
            rule: The index of a rule with ``floor``.
            mass: (B, H, r) masses of the rule's span.
            valid: (B or 1, r or 1): whether the row sees any key; None if all rows do.
            first: The first of these rows.
        """
        acting = self.rules.acting[:, rule, :, first : first + mass.shape[2]]  # (b, H, r)
        if valid is not None:
            acting = acting * valid[:, None].float()
        mass = torch.where(acting > 0, mass.float(), 0.0)
        acting = acting.expand_as(mass)
        self._mass[rule] = self._mass.get(rule, 0.0) + mass.sum((1, 2))
        self._rows[rule] = self._rows.get(rule, 0.0) + acting.sum((1, 2))

    def result(self) -> LayerSteering:
        """Settles the rules.

        Returns:
            The rules with their factors and sinks.
        """
        factors = {}
        for i, mass in self._mass.items():
            floor = self.rules.rules[i].floor
            assert floor is not None
            mean = mass / self._rows[i].clamp(min=1)
            factors[i] = torch.where(mean > 0, floor / mean.clamp(min=1e-12), 1.0).clamp(min=1)
        return replace(self.rules, factors=factors, sinks=self._sinks())

    def _sinks(self) -> Mapping[int, Tensor | None]:
        """(B, H, K) for every rule about sinks: 1 for the sinks of the head."""
        if self._received is None or self._sights is None:
            return self.rules.sinks
        assert self.rules.length is not None
        mean = self._received / self._sights.clamp(min=1)[:, None]
        mean[..., self.rules.length :] = 0
        settled = dict(self.rules.sinks)
        for i in self.rules.searching:
            found = mean > (self.rules.rules[i].sinks or 0.0)
            settled[i] = (found & (found.cumsum(-1) > 1)).float()
        return settled
