"""Reweights attention: applies steering rules inside the probe's attention call.

Multiplying a head's unnormalised attention on the keys S by γ is the same as adding log γ to those logits before the
softmax. With P the weights before, and m their sum over S, the head's output o becomes

    o' = (o + (γ − 1) P_S V_S) / (1 + (γ − 1) m),        m' = γ m / (1 + (γ − 1) m)

Therefore log γ = logit(m') − logit(m) moves a mass m to a target m'. PASTA (arXiv 2311.02262) has γ = 0.01 on what is
outside of a span in the prompt, InstABoost (2506.13734) γ > 1 on the prompt's beginning, and ZeroTuning (2505.11739)
uses S = the first token. Spotlight (2505.12025) has one γ = target/m for all heads and rows of a layer, where m is the
mean mass; ``settling.py`` finds it.

ACT (2406.15765) and VAR (2503.03321) scale a mass, m' = s m. The difference goes to all other keys, or to those of one
span, in proportion to their weights. PAINT (2501.12206, for local and summary image tokens) adds α |s| to logits s; VHR
(2412.13949) multiplies a head's output.

*Gains beside the fused kernel.* When torch's fused kernel computes the output, log γ is passed in additional channels
of queries and keys: the query's channel holds log γ / scale, and the key's channel is 1 if the key is in S. Nothing is
approximated, and causal masks and grouped heads work unchanged. The cost is a larger head size (by 8 for up to two
rules).

*Moved masses* are in ``moving.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import log

import torch
from torch import Tensor

from homeostat.sensors.steering.actuators import Actuator

__all__ = ["LayerSteering"]

_SMALL = 4  # masses are moved beside the fused kernel if the named keys are at most 1/_SMALL of all keys
_PARTS = 3  # channels per rule: a 24-bit significand is three of 8 bits, which is what bfloat16 holds
_WIDTH = 8  # fused kernels need a head size that is a multiple of this


@dataclass(frozen=True)
class LayerSteering:
    """The steering rules of one layer in one forward.

    Attributes:
        rules: The N rules.
        members: (B, N, K): 1 if the key belongs to rule n's span.
        takers: (B, N, K): 1 if the key belongs to the span ``to`` of rule n.
        looked: (B, N, K): 1 if the key belongs to the span of rule n's ``where``.
        acting: (B or 1, N, H, Q): 1 if rule n applies to this head and row.
        length: The number of slots of the prompt; None if it is unknown.
        sinks: (B, H, K) by rule: 1 if the key is a sink of the head; None for a rule whose sinks are still to be found.
        factors: (B,) by rule: the factor of a rule with ``floor``; empty until it is settled.
    """

    rules: tuple[Actuator, ...]
    members: Tensor
    takers: Tensor
    looked: Tensor
    acting: Tensor
    length: int | None = None
    sinks: Mapping[int, Tensor | None] = field(default_factory=dict)
    factors: Mapping[int, Tensor] = field(default_factory=dict)

    @property
    def needs_weights(self) -> bool:
        """Whether the output has to be computed from all weights."""
        whole = any(
            (rule.stretch is not None or rule.sinks is not None) and self._acts(i) for i, rule in enumerate(self.rules)
        )
        return whole or (self.moves and len(self.named) * _SMALL > self.members.shape[-1])

    @cached_property
    def moves(self) -> bool:
        """Whether a rule that applies here moves a mass."""
        return any(
            (rule.target is not None or rule.floor is not None or rule.scale is not None) and self._acts(i)
            for i, rule in enumerate(self.rules)
        )

    @cached_property
    def raising(self) -> tuple[int, ...]:
        """The rules whose factor depends on the mean mass of their span."""
        return tuple(i for i, rule in enumerate(self.rules) if rule.floor is not None and self._acts(i))

    @property
    def searching(self) -> tuple[int, ...]:
        """The rules whose sinks are still to be found."""
        return tuple(i for i, found in self.sinks.items() if found is None)

    @property
    def settled(self) -> bool:
        """Whether nothing is left that a first pass over the rows has to find."""
        return not self.searching and (bool(self.factors) or not self.raising)

    @cached_property
    def named(self) -> Tensor:
        """The indices of the keys that some rule names, in some prompt of the batch."""
        return (self.members + self.takers + self.looked).sum((0, 1)).nonzero().flatten()

    def _acts(self, rule: int) -> bool:
        return bool(self.acting[:, rule].any())

    @property
    def has_gains(self) -> bool:
        """Whether some rule has a gain."""
        return any(rule.gain is not None for rule in self.rules)

    def bias(self, first: int, stop: int) -> Tensor:
        """Computes what the gains add to the logits.

        Args:
            first: The first row.
            stop: The row after the last.

        Returns:
            (B, H, r, K) log γ on each rule's keys, 0 elsewhere.
        """
        return _on_keys(self._logs()[..., first:stop], self.members)

    def stretch(self, first: int, stop: int) -> Tensor | None:
        """Computes the factors of the stretches.

        Args:
            first: The first row.
            stop: The row after the last.

        Returns:
            (B, H, r, K) α on each rule's keys, 0 elsewhere; None if no rule stretches logits.
        """
        if all(rule.stretch is None for rule in self.rules):
            return None
        alphas = [rule.stretch or 0.0 for rule in self.rules]
        acting = self.acting * torch.tensor(alphas, device=self.acting.device)[:, None, None]
        return _on_keys(acting[..., first:stop], self.members)

    def outputs(self, out: Tensor) -> Tensor:
        """Multiplies the heads' outputs.

        Args:
            out: (B, Q, H, D) outputs.

        Returns:
            (B, Q, H, D) outputs, multiplied by g for the heads and rows of each rule with ``output``.
        """
        for i, rule in enumerate(self.rules):
            if rule.output is not None:
                out = out * (1 + (rule.output - 1) * self.acting[:, i].transpose(1, 2)[..., None]).to(out.dtype)
        return out

    def retarget(self, weights: Tensor, first: int, stop: int) -> Tensor:
        """Moves masses, one rule after the other.

        Args:
            weights: (B, H, r, K) weights of some rows.
            first: The first of these rows.
            stop: The row after the last.

        Returns:
            (B, H, r, K) weights after all rules with ``target``, ``floor`` or ``scale``.
        """
        for i, rule in enumerate(self.rules):
            if rule.target is None and rule.scale is None and i not in self.factors:
                continue
            member = self._member(i)
            mass = (weights * member).sum(-1, keepdim=True)
            acts = self.acting[:, i, :, first:stop, None].bool() & (mass > 0)
            if rule.sinks is None:  # a head may have next to nothing beside its sinks, and the paper scales even that
                acts = acts & (mass < 1 - 1e-6)
            if rule.where is not None:
                looked = self.looked[:, i, None, None]
                seen = (weights * looked).sum(-1, keepdim=True)
                wasted = (weights * looked * member).sum(-1, keepdim=True)
                acts = acts & (seen >= rule.where.least) & (wasted <= rule.where.most * seen)
            if rule.target is not None:
                if rule.raise_only:
                    acts = acts & (mass < rule.target)
                moved = _at_mass(weights, member, mass, torch.full_like(mass, rule.target))
            elif rule.floor is not None:
                more = self.factors[i][:, None, None, None] - 1
                acts = acts & (more > 0)
                moved = weights * (1 + more * member) / (1 + more * mass)
            else:
                assert rule.scale is not None
                moved = self._scaled(weights, i, rule.scale, mass)
            weights = torch.where(acts, moved, weights)
        return weights

    @cached_property
    def few(self) -> LayerSteering:
        """The same rules on the named keys only, with one more key that stands for all others."""

        def on(members: Tensor) -> Tensor:
            return torch.nn.functional.pad(members[..., self.named], (0, 1))

        return replace(self, members=on(self.members), takers=on(self.takers), looked=on(self.looked))

    def _member(self, rule: int) -> Tensor:
        """(B, H or 1, 1, K): 1 if the rule is about the key."""
        found = self.sinks.get(rule)
        return self.members[:, rule, None, None] if found is None else found[:, :, None]

    def _scaled(self, weights: Tensor, rule: int, scale: float, mass: Tensor) -> Tensor:
        """Multiplies the rule's mass by ``scale``; the difference goes to the rule's ``to``, or to all other keys."""
        member, new = self._member(rule), (scale * mass).clamp(max=1 - 1e-6)
        if self.rules[rule].to is None and self.rules[rule].sinks is None:
            return _at_mass(weights, member, mass, new)
        taker = 1 - member
        if self.rules[rule].to is not None:
            taker = self.takers[:, rule, None, None] * taker
        given = (weights * taker).sum(-1, keepdim=True)
        factor = 1 + (mass - new) / given.clamp(min=1e-30)
        moved = weights * torch.where(
            member.bool(), new / mass.clamp(min=1e-12), torch.where(taker.bool(), factor, 1.0)
        )
        # The row is unchanged if ``to`` has no weight, or too little to give.
        return torch.where((given > 0) & (factor >= 0), moved, weights)

    def widen(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Adds the gains as further channels, for the fused kernel.

        If masses are moved, the output's first further channel is the mass on the named keys. The next ones are the
        masses of the rules in :attr:`raising`.

        Args:
            query: (B, H, Q, D) queries.
            key: (B, G, K, D) keys.
            value: (B, G, K, D) values.
            scale: The factor of q·k, which stays the same.

        Returns:
            Queries, keys and values of a larger head size.
        """
        rest = self._logs() / scale
        parts = []
        for _ in range(_PARTS):
            parts.append(rest.to(query.dtype))
            rest = rest - parts[-1].float()
        asked = torch.cat(parts, 1).permute(0, 2, 3, 1).expand(query.shape[0], -1, -1, -1)
        held = self.members.repeat(1, _PARTS, 1).transpose(1, 2)[:, None].to(key.dtype)
        used = len(self.rules) * _PARTS
        width = -used % _WIDTH
        pad = torch.nn.functional.pad
        wide = pad(value, (0, used + width))
        if self.moves:
            wide[:, :, self.named, value.shape[-1]] = 1
            for place, rule in enumerate(self.raising, value.shape[-1] + 1):
                wide[..., place] = self.members[:, None, rule].to(wide.dtype)
        return (
            torch.cat([query, pad(asked, (0, width))], -1),
            torch.cat([key, pad(held.expand(-1, key.shape[1], -1, -1), (0, width))], -1),
            wide,
        )

    def _logs(self) -> Tensor:
        """(B or 1, N, H, Q) log γ of every rule with a gain, 0 for heads and rows that it does not apply to."""
        logs = [0.0 if rule.gain is None else log(rule.gain) for rule in self.rules]
        return self.acting * torch.tensor(logs, device=self.acting.device)[:, None, None]


def _on_keys(rows: Tensor, members: Tensor) -> Tensor:
    """(B, H, r, K): the (B or 1, N, H, r) numbers of the rules, on the (B, N, K) keys that they are about."""
    return torch.einsum("bnhr,bnk->bhrk", rows.expand(len(members), -1, -1, -1), members)


def _at_mass(weights: Tensor, member: Tensor, mass: Tensor, new: Tensor) -> Tensor:
    """The weights with the members' mass set to ``new``, and all others changed in proportion."""
    inside = mass.clamp(1e-12, 1 - 1e-6)
    gain = new / (1 - new) * (1 - inside) / inside
    return weights * (1 + (gain - 1) * member) / (1 + (gain - 1) * mass)
