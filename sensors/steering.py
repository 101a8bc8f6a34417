"""Steering: more or less attention for a span, inside the probe's own attention call.

To multiply the unnormalised attention of a head on the keys S by γ is to add log γ to those logits before the softmax.
With P the weights before and m their sum over S, the head's output o becomes

    o' = (o + (γ − 1) P_S V_S) / (1 + (γ − 1) m),        m' = γ m / (1 + (γ − 1) m)

so that log γ = logit(m') − logit(m) moves a mass m to a target m'. Emphasis as in PASTA (arXiv 2311.02262), which
scales all *other* keys by 0.01, is γ = 100 on S; ZeroTuning (2505.11739) is S = the first token; Spotlight (2505.12025)
is a target (its own rule, γ = target/m, falls short of the target: m' = target / (1 + target − m)).

Where torch's fused kernel computes the output, log γ rides along as further channels of queries and keys: the query's
holds log γ / scale, the key's says whether it is in S. Nothing is approximated, and causal masks and grouped heads stay
what they are. The price is a wider head (by 8 for up to two rules). Where a mass has a target, the weights are needed
first, and the output is formed from them, row chunk by row chunk: dearer for long prompts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from homeostat.envs.errors import ConfigError
from homeostat.sensors.actuators import Actuator
from homeostat.sensors.spans import Spans

__all__ = ["BoundSteering", "Steering"]

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
        self._slots = [[_ranges(rule.span, one) for one in spans] for rule in self.rules]
        end = max(stop for prompts in self._slots for ranges in prompts for _, stop in ranges)
        self._members = torch.zeros(len(spans), len(self.rules), end)
        for i, prompts in enumerate(self._slots):
            for b, ranges in enumerate(prompts):
                for start, stop in ranges:
                    self._members[b, i, start:stop] = 1

    def bind(self, layer: int, query: Tensor, key: Tensor, total: int) -> BoundSteering:
        """The rules for one layer's (B, H, Q, D) queries, the last of ``total`` slots, on (B, G, K, D) keys."""
        batch, heads, queries, _ = query.shape
        keys, device = key.shape[2], query.device
        offset = max(total - keys, 0)  # a sliding window has dropped the first keys
        members = self._members[..., offset : offset + keys].to(device)
        members = torch.nn.functional.pad(members, (0, keys - members.shape[-1]))
        members = members.repeat_interleave(batch // members.shape[0], 0)
        acting = torch.ones(len(self.rules), heads, queries, device=device)
        late = (torch.arange(total - queries, total, device=device) >= self.first).float()
        for i, rule in enumerate(self.rules):
            if rule.heads is not None:
                acting[i] = _chosen(rule.heads, layer, heads).to(device)[:, None]
            if rule.rows == "output":
                acting[i] *= late
        return BoundSteering(self.rules, members, acting)


@dataclass(frozen=True)
class BoundSteering:
    """Rules for one layer in one forward.

    ``members`` (B, N, K): 1 where a key belongs to rule n's span; ``acting`` (N, H, Q): 1 where rule n acts.
    """

    rules: tuple[Actuator, ...]
    members: Tensor
    acting: Tensor

    @property
    def has_targets(self) -> bool:
        """Whether a rule that acts here needs the weights first."""
        return any(rule.target is not None and bool(self.acting[i].any()) for i, rule in enumerate(self.rules))

    def bias(self, first: int, stop: int) -> Tensor:
        """(B, H, r, K) what the gains add to the logits of these rows."""
        return torch.einsum("nhr,bnk->bhrk", self._logs()[:, :, first:stop], self.members)

    def retarget(self, weights: Tensor, first: int, stop: int) -> Tensor:
        """(B, H, r, K) the weights of these rows, their masses moved to the rules' targets, one after the other."""
        for i, rule in enumerate(self.rules):
            if rule.target is None:
                continue
            member = self.members[:, i, None, None]  # (B, 1, 1, K)
            mass = (weights * member).sum(-1, keepdim=True)
            acts = self.acting[i, :, first:stop, None].bool() & (mass > 0) & (mass < 1 - 1e-6)
            if rule.raise_only:
                acts = acts & (mass < rule.target)
            inside = mass.clamp(1e-12, 1 - 1e-6)
            gain = rule.target / (1 - rule.target) * (1 - inside) / inside
            weights = torch.where(acts, weights * (1 + (gain - 1) * member) / (1 + (gain - 1) * mass), weights)
        return weights

    def widen(self, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values with the gains as further channels, for the fused kernel at the same ``scale``."""
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
        return (
            torch.cat([query, pad(asked, (0, width))], -1),
            torch.cat([key, pad(held.expand(-1, key.shape[1], -1, -1), (0, width))], -1),
            pad(value, (0, used + width)),
        )

    def _logs(self) -> Tensor:
        """(N, H, Q) log γ of every rule with a gain, 0 where it doesn't act."""
        logs = [0.0 if rule.gain is None else log(rule.gain) for rule in self.rules]
        return self.acting * torch.tensor(logs, device=self.acting.device)[:, None, None]


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
