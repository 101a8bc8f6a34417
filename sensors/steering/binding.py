"""Resolves steering rules against the spans of a run, and binds them to the layers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor

from homeostat.errors import ConfigError
from homeostat.sensors.spans import Spans
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.reweighting import LayerSteering

__all__ = ["Steering"]


class Steering:
    """The steering rules of one run, resolved against its spans.

    Attributes:
        rules: The rules, in the order given.
        first: The first slot whose row produces a token, for rules with ``rows="output"``.
    """

    def __init__(self, rules: Iterable[Actuator], spans: Sequence[Spans], layers: Sequence[int]) -> None:
        """Resolves the rules.

        Args:
            rules: The rules.
            spans: One, or one for each prompt of the batch.
            layers: The probed layers.

        Raises:
            ConfigError: A prompt lacks a named span, a head's layer is not probed, or a prompt's length is needed but
                unknown.
        """
        self.rules = tuple(rules)
        self.first = 0
        for rule in self.rules:
            for layer, head in rule.heads or ():
                if layer not in layers or head < 0:
                    raise ConfigError(f"head {(layer, head)!r} is not probed; probed layers: {list(layers)}")
            if rule.rows == "output":
                if any(one.length is None for one in spans):
                    raise ConfigError("rows='output' needs the prompt's end; pass Spans its length")
                self.first = max(one.length or 0 for one in spans) - 1
        self._members = _members([rule.span for rule in self.rules], spans)
        self._takers = _members([rule.to for rule in self.rules], spans)
        self._looked = _members([None if rule.where is None else rule.where.span for rule in self.rules], spans)

    def bind(self, layer: int, query: Tensor, key: Tensor, total: int) -> LayerSteering:
        """Binds the rules to one layer in one forward.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries, those of the last Q slots.
            key: (B, G, K, D) keys.
            total: The number of slots so far.

        Returns:
            The rules for this layer.

        Raises:
            ConfigError: A rule names a head that the layer does not have.
        """
        batch, heads, queries, _ = query.shape
        keys, device = key.shape[2], query.device
        offset = max(total - keys, 0)  # a sliding window has dropped the first keys

        def on_keys(members: Tensor) -> Tensor:
            members = members[..., offset : offset + keys].to(device)
            members = torch.nn.functional.pad(members, (0, keys - members.shape[-1]))
            return members.repeat_interleave(batch // members.shape[0], 0)

        here = [i for i, rule in enumerate(self.rules) if _in_layer(rule, layer)]
        acting = torch.ones(len(here), heads, queries, device=device)
        late = (torch.arange(total - queries, total, device=device) >= self.first).float()
        for row, i in enumerate(here):
            rule = self.rules[i]
            if rule.heads is not None:
                acting[row] *= _chosen(rule.heads, layer, heads).to(device)[:, None]
            if rule.rows == "output":
                acting[row] *= late
        masks = (on_keys(members[:, here]) for members in (self._members, self._takers, self._looked))
        return LayerSteering(tuple(self.rules[i] for i in here), *masks, acting)


def _in_layer(rule: Actuator, layer: int) -> bool:
    """Whether a rule applies to some head of a layer. Rules of other layers would only widen the fused kernel."""
    return layer >= rule.from_layer and (rule.heads is None or any(index == layer for index, _ in rule.heads))


def _members(wanted: Sequence[str | tuple[tuple[int, int], ...] | None], spans: Sequence[Spans]) -> Tensor:
    """(B, N, K): 1 if the key belongs to the n-th wanted span; K ends with the last such key."""
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
        raise ConfigError(f"head {(layer, max(mine))!r} does not exist: layer {layer} has {heads} heads")
    out = torch.zeros(heads)
    out[mine] = 1
    return out


def _ranges(span: str | tuple[tuple[int, int], ...], spans: Spans) -> Sequence[tuple[int, int]]:
    if isinstance(span, str):
        if span not in spans:
            raise ConfigError(f"no span {span!r} in this prompt; spans: {', '.join(spans) or 'none'}")
        return spans[span]
    return Spans({"steered": span})["steered"]
