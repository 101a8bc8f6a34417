"""Steering: more or less attention for a span, inside the probe's own attention call.

To multiply the unnormalised attention of a head on the keys S by γ is to add log γ to those logits before the softmax.
With P the weights before and m their sum over S, the head's output o becomes

    o' = (o + (γ − 1) P_S V_S) / (1 + (γ − 1) m),        m' = γ m / (1 + (γ − 1) m)

so that log γ = logit(m') − logit(m) moves a mass m to a target m'. Emphasis as in PASTA (arXiv 2311.02262), which
scales all *other* keys by 0.01, is γ = 100 on S; ZeroTuning (2505.11739) is S = the first token; Spotlight (2505.12025)
is a target (its own rule, γ = target/m, falls short of the target: m' = target / (1 + target − m)).

ACT (2406.15765) and VAR (2503.03321) scale a mass, m' = s m: all other keys, or those of one span, get what that frees,
in proportion to their weights. PAINT (2501.12206, the two streams of local and summary image tokens) adds α |s| to
logits s; VHR (2412.13949) multiplies a head's output.

Where torch's fused kernel computes the output, log γ rides along as further channels of queries and keys: the query's
holds log γ / scale, the key's says whether it is in S. Nothing is approximated, and causal masks and grouped heads stay
what they are. The price is a wider head (by 8 for up to two rules).

Where masses are moved, one more channel of the values, 1 on the keys U of all spans that the rules name, brings back
their mass m_U; a softmax over U alone, times m_U, is then the weights P_U, and with P'_U the moved ones and r what the
rest was multiplied by,

    o' = r (o − P_U V_U) + P'_U V_U

which costs rows times |U|. Where U is a large part of the keys, where r is so large that rounding would show, and where
a logit is stretched, the output is formed from all weights, row chunk by row chunk: dearer for long prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import log

import torch
from torch import Tensor

from homeostat.errors import ConfigError
from homeostat.sensors.probe.explicit_attention import RowMask, Scoring, attend, row_chunks
from homeostat.sensors.spans import Spans
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["BoundSteering", "Steering"]

_SMALL = 4  # masses are moved beside the fused kernel where the spans are at most this part of the keys
_STEEP = 32.0  # what the rest may be multiplied by there
_PARTS = 3  # channels a rule: a number of 24 bits is three of 8, which is what bfloat16 holds
_WIDTH = 8  # kernels want a head's width in multiples of this


class Steering:
    """The rules of one run, against its spans."""

    def __init__(self, rules: Iterable[Actuator], spans: Sequence[Spans], layers: Sequence[int]) -> None:
        """Raises :class:`ConfigError` for a label that the prompts lack, or a layer that is not probed."""
        self.rules = tuple(rules)
        self.first = 0
        for rule in self.rules:
            for layer, head in rule.heads or ():
                if layer not in layers or head < 0:
                    raise ConfigError(f"head {(layer, head)!r} is not probed; probed layers: {list(layers)}")
            if rule.rows == "output":
                if any(one.length is None for one in spans):
                    raise ConfigError("rows='output' needs the prompt's end; give Spans its length")
                self.first = max(one.length or 0 for one in spans) - 1
        self._members = _members([rule.span for rule in self.rules], spans)
        self._takers = _members([rule.to for rule in self.rules], spans)
        self._looked = _members([None if rule.where is None else rule.where.span for rule in self.rules], spans)

    def bind(self, layer: int, query: Tensor, key: Tensor, total: int) -> BoundSteering:
        """The rules for one layer's (B, H, Q, D) queries, the last of ``total`` slots, on (B, G, K, D) keys."""
        batch, heads, queries, _ = query.shape
        keys, device = key.shape[2], query.device
        offset = max(total - keys, 0)  # a sliding window has dropped the first keys

        def on_keys(members: Tensor) -> Tensor:
            members = members[..., offset : offset + keys].to(device)
            members = torch.nn.functional.pad(members, (0, keys - members.shape[-1]))
            return members.repeat_interleave(batch // members.shape[0], 0)

        acting = torch.ones(len(self.rules), heads, queries, device=device)
        late = (torch.arange(total - queries, total, device=device) >= self.first).float()
        for i, rule in enumerate(self.rules):
            if layer < rule.from_layer:
                acting[i] = 0
            if rule.heads is not None:
                acting[i] *= _chosen(rule.heads, layer, heads).to(device)[:, None]
            if rule.rows == "output":
                acting[i] *= late
        masks = on_keys(self._members), on_keys(self._takers), on_keys(self._looked)
        return BoundSteering(self.rules, *masks, acting)


@dataclass(frozen=True)
class BoundSteering:
    """Rules for one layer in one forward.

    ``members`` (B, N, K): 1 where a key belongs to rule n's span; ``takers`` to the span that gets what it frees;
    ``looked`` to the span that its rows have to look at. ``acting`` (N, H, Q): 1 where rule n acts.
    """

    rules: tuple[Actuator, ...]
    members: Tensor
    takers: Tensor
    looked: Tensor
    acting: Tensor

    @property
    def needs_weights(self) -> bool:
        """Whether a rule that acts here needs all weights first."""
        stretches = any(rule.stretch is not None and self._acts(i) for i, rule in enumerate(self.rules))
        return stretches or (self.moves and len(self.named) * _SMALL > self.members.shape[-1])

    @cached_property
    def moves(self) -> bool:
        """Whether a rule that acts here moves a mass."""
        return any(
            (rule.target is not None or rule.scale is not None) and self._acts(i) for i, rule in enumerate(self.rules)
        )

    @cached_property
    def named(self) -> Tensor:
        """The slots of the keys that some rule names, in some prompt of the batch."""
        return (self.members + self.takers + self.looked).sum((0, 1)).nonzero().flatten()

    def _acts(self, rule: int) -> bool:
        return bool(self.acting[rule].any())

    @property
    def has_gains(self) -> bool:
        """Whether some rule adds to logits."""
        return any(rule.gain is not None for rule in self.rules)

    def bias(self, first: int, stop: int) -> Tensor:
        """(B, H, r, K) what the gains add to the logits of these rows."""
        return torch.einsum("nhr,bnk->bhrk", self._logs()[:, :, first:stop], self.members)

    def stretch(self, first: int, stop: int) -> Tensor | None:
        """(B, H, r, K) the α of these rows' logits; None where nothing is stretched."""
        if all(rule.stretch is None for rule in self.rules):
            return None
        alphas = [rule.stretch or 0.0 for rule in self.rules]
        acting = self.acting * torch.tensor(alphas, device=self.acting.device)[:, None, None]
        return torch.einsum("nhr,bnk->bhrk", acting[:, :, first:stop], self.members)

    def outputs(self, out: Tensor) -> Tensor:
        """(B, Q, H, D) the heads' outputs, times what the rules say."""
        for i, rule in enumerate(self.rules):
            if rule.output is not None:
                out = out * (1 + (rule.output - 1) * self.acting[i].T[None, :, :, None]).to(out.dtype)
        return out

    def retarget(self, weights: Tensor, first: int, stop: int) -> Tensor:
        """(B, H, r, K) the weights of these rows, masses moved as the rules say, one after the other."""
        for i, rule in enumerate(self.rules):
            if rule.target is None and rule.scale is None:
                continue
            member = self.members[:, i, None, None]  # (B, 1, 1, K)
            mass = (weights * member).sum(-1, keepdim=True)
            acts = self.acting[i, :, first:stop, None].bool() & (mass > 0) & (mass < 1 - 1e-6)
            if rule.where is not None:
                looked = self.looked[:, i, None, None]
                seen = (weights * looked).sum(-1, keepdim=True)
                wasted = (weights * looked * member).sum(-1, keepdim=True)
                acts = acts & (seen >= rule.where.least) & (wasted <= rule.where.most * seen)
            if rule.target is not None:
                if rule.raise_only:
                    acts = acts & (mass < rule.target)
                moved = _at_mass(weights, member, mass, torch.full_like(mass, rule.target))
            else:
                assert rule.scale is not None
                moved = self._scaled(weights, i, rule.scale, mass)
            weights = torch.where(acts, moved, weights)
        return weights

    def move(
        self, out: Tensor, held: Tensor, query: Tensor, key: Tensor, value: Tensor, scoring: Scoring, rows: RowMask
    ) -> list[tuple[int, int]]:
        """Move the masses in ``out`` (B, Q, H, D), the fused kernel's output, whose ``held`` (B, Q, H) lay on the named
        keys. Returns the ranges of rows that have to be formed from all weights instead.
        """
        at, few = self.named, self._few
        keys, values = key[:, :, at], value[:, :, at].float()
        steep = []
        for first, stop in row_chunks(0, query.shape[2], query.shape[0] * query.shape[1] * len(at)):
            seen = rows.rows(first, stop, at)
            share = held[:, first:stop].float().transpose(1, 2)[..., None].clamp(0, 1)  # (B, H, r, 1)
            old = scoring.weights(query[:, :, first:stop], keys, seen, few.bias(first, stop)[..., :-1]) * share
            new = few.retarget(torch.cat([old, 1 - share], -1), first, stop)
            rest = new[..., -1:] / (1 - share).clamp(min=1e-6)
            there = out[:, first:stop].float()
            moved = rest.transpose(1, 2) * (there - attend(old, values)) + attend(new[..., :-1].contiguous(), values)
            same = (new[..., :-1] == old).all(-1)[..., None].transpose(1, 2)  # no rule acted: bit for bit as it was
            out[:, first:stop] = torch.where(same, there, moved).to(out.dtype)
            steep += [first + int(row) for row in ((rest > _STEEP).any(1).any(0)).flatten().nonzero()]
        return _runs(steep)

    @cached_property
    def _few(self) -> BoundSteering:
        """The same rules on the named keys alone, and one more that stands for all the others."""

        def on(members: Tensor) -> Tensor:
            return torch.nn.functional.pad(members[..., self.named], (0, 1))

        return replace(self, members=on(self.members), takers=on(self.takers), looked=on(self.looked))

    def _scaled(self, weights: Tensor, rule: int, scale: float, mass: Tensor) -> Tensor:
        """The rule's mass times ``scale``; the rest takes the difference, or the rule's takers do."""
        member, new = self.members[:, rule, None, None], (scale * mass).clamp(max=1 - 1e-6)
        if self.rules[rule].to is None:
            return _at_mass(weights, member, mass, new)
        taker = self.takers[:, rule, None, None] * (1 - member)
        given = (weights * taker).sum(-1, keepdim=True)
        factor = 1 + (mass - new) / given.clamp(min=1e-12)
        moved = weights * torch.where(
            member.bool(), new / mass.clamp(min=1e-12), torch.where(taker.bool(), factor, 1.0)
        )
        return torch.where((given > 0) & (factor >= 0), moved, weights)  # nobody there to take it, or to give as much

    def widen(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values with the gains as further channels, for the fused kernel at the same ``scale``.

        Where masses are moved, the output's first further channel is the mass on the named keys.
        """
        rest = self._logs() / scale
        parts = []
        for _ in range(_PARTS):
            parts.append(rest.to(query.dtype))
            rest = rest - parts[-1].float()
        asked = torch.cat(parts).permute(1, 2, 0)[None].expand(query.shape[0], -1, -1, -1)
        held = self.members.repeat(1, _PARTS, 1).transpose(1, 2)[:, None].to(key.dtype)
        used = len(self.rules) * _PARTS
        width = -used % _WIDTH
        pad = torch.nn.functional.pad
        wide = pad(value, (0, used + width))
        if self.moves:
            wide[:, :, self.named, value.shape[-1]] = 1
        return (
            torch.cat([query, pad(asked, (0, width))], -1),
            torch.cat([key, pad(held.expand(-1, key.shape[1], -1, -1), (0, width))], -1),
            wide,
        )

    def _logs(self) -> Tensor:
        """(N, H, Q) log γ of every rule with a gain, 0 where it doesn't act."""
        logs = [0.0 if rule.gain is None else log(rule.gain) for rule in self.rules]
        return self.acting * torch.tensor(logs, device=self.acting.device)[:, None, None]


def _at_mass(weights: Tensor, member: Tensor, mass: Tensor, new: Tensor) -> Tensor:
    """The weights with the members' mass at ``new``, all else in proportion."""
    inside = mass.clamp(1e-12, 1 - 1e-6)
    gain = new / (1 - new) * (1 - inside) / inside
    return weights * (1 + (gain - 1) * member) / (1 + (gain - 1) * mass)


def _runs(rows: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending row numbers as ranges."""
    runs: list[tuple[int, int]] = []
    for row in rows:
        if runs and runs[-1][1] == row:
            runs[-1] = (runs[-1][0], row + 1)
        else:
            runs.append((row, row + 1))
    return runs


def _members(wanted: Sequence[str | tuple[tuple[int, int], ...] | None], spans: Sequence[Spans]) -> Tensor:
    """(B, N, K) 1 where a key is in what is wanted, to the last key that is."""
    ranges = [[() if one is None else _ranges(one, prompt) for prompt in spans] for one in wanted]
    end = max((stop for prompts in ranges for found in prompts for _, stop in found), default=0)
    members = torch.zeros(len(spans), len(wanted), end)
    for i, prompts in enumerate(ranges):
        for b, found in enumerate(prompts):
            for start, stop in found:
                members[b, i, start:stop] = 1
    return members


def _chosen(chosen: Collection[tuple[int, int]], layer: int, heads: int) -> Tensor:
    """(H,) 1 for the chosen heads of a layer."""
    mine = [head for index, head in chosen if index == layer]
    if mine and max(mine) >= heads:
        raise ConfigError(f"head {(layer, max(mine))!r} is not there: layer {layer} has {heads} heads")
    out = torch.zeros(heads)
    out[mine] = 1
    return out


def _ranges(span: str | tuple[tuple[int, int], ...], spans: Spans) -> Sequence[tuple[int, int]]:
    if isinstance(span, str):
        if span not in spans:
            raise ConfigError(f"no span {span!r} in this prompt; spans: {', '.join(spans) or 'none'}")
        return spans[span]
    return Spans({"steered": span})["steered"]
