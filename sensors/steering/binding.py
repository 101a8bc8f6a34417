"""Resolves steering rules against the spans of a run, and binds them to the layers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

import torch
from torch import Tensor

from homeostat.errors import ConfigError
from homeostat.sensors.spans import Spans, covered
from homeostat.sensors.steering.actuators import Actuator, Slots
from homeostat.sensors.steering.reweighting import LayerSteering

__all__ = ["Steering"]


class Steering:
    """The steering rules of one run, resolved against its spans.

    Attributes:
        rules: The rules, in the order given.
        first: The first slot whose row produces a token, for rules with ``rows="output"``.
        length: The number of slots of the prompt; None if it is unknown.
        depth: The number of layers of the model.
    """

    def __init__(
        self, rules: Iterable[Actuator], spans: Sequence[Spans], layers: Sequence[int], depth: int | None = None
    ) -> None:
        """Resolves the rules.

        Args:
            rules: The rules.
            spans: One, or one for each prompt of the batch.
            layers: The probed layers.
            depth: The number of layers of the model; None takes the last probed layer for the model's last.

        Raises:
            ConfigError: A prompt lacks a named span, a head's layer is not probed, or a prompt's length is needed but
                unknown.
        """
        self.rules = tuple(rules)
        self.first = 0
        self.depth = max(layers, default=-1) + 1 if depth is None else depth
        lengths = [one.length for one in spans]
        self.length = None if None in lengths else max(n for n in lengths if n is not None)
        for rule in self.rules:
            for layer, head in rule.heads or ():
                if layer not in layers or head < 0:
                    raise ConfigError(f"head {(layer, head)!r} is not probed; probed layers: {list(layers)}")
            for layer in sorted(rule.layers or ()):
                if layer not in layers:
                    raise ConfigError(f"layer {layer!r} is not probed; probed layers: {list(layers)}")
            ends = {"rows='output'": rule.rows == "output", "reach='outside'": rule.reach == "outside"}
            ends["sinks=…"] = rule.sinks is not None
            for what in (what for what, needed in ends.items() if needed and self.length is None):
                raise ConfigError(f"{what} needs the prompt's end; pass Spans its length")
            if rule.rows == "output":
                assert self.length is not None
                self.first = self.length - 1
        self._members = _members([rule.span for rule in self.rules], spans, [rule.reach for rule in self.rules])
        self._takers = _members([rule.to for rule in self.rules], spans)
        self._looked = _members([None if rule.where is None else rule.where.span for rule in self.rules], spans)
        # (B, N): the first slot whose row is steered, by prompt and rule.
        self._after = torch.tensor(
            [
                [0 if rule.after is None else _ranges(rule.after, prompt)[-1][1] for rule in self.rules]
                for prompt in spans
            ]
        )
        self._sinks: dict[tuple[int, int], Tensor] = {}

    def bind(self, layer: int, query: Tensor, key: Tensor, total: int) -> LayerSteering | None:
        """Binds the rules to one layer in one forward.

        Args:
            layer: The layer's index.
            query: (B, H, Q, D) queries, those of the last Q slots.
            key: (B, G, K, D) keys.
            total: The number of slots so far.

        Returns:
            The rules that steer this layer; None if none of them does.

        Raises:
            ConfigError: A rule names a head that the layer does not have, or it needs the prompt's sinks and the
                prompt does not come in one forward.
        """
        batch, heads, queries, _ = query.shape
        keys, device = key.shape[2], query.device
        offset = max(total - keys, 0)  # a sliding window has dropped the first keys
        picked = [i for i, rule in enumerate(self.rules) if self._reaches(rule, layer)]
        if not picked:
            return None

        def on_keys(members: Tensor) -> Tensor:
            members = members[:, picked, offset : offset + keys].to(device)
            members = torch.nn.functional.pad(members, (0, keys - members.shape[-1]))
            return members.repeat_interleave(batch // members.shape[0], 0)

        acting = torch.ones(1, len(picked), heads, queries, device=device)
        slots = torch.arange(total - queries, total, device=device)
        late = (slots >= self.first).float()
        for n, i in enumerate(picked):
            rule = self.rules[i]
            if rule.heads is not None:
                acting[:, n] *= _chosen(rule.heads, layer, heads).to(device)[:, None]
            if rule.rows == "output":
                acting[:, n] *= late
        if any(self.rules[i].after is not None for i in picked):
            behind = (slots >= self._after[:, picked, None].to(device)).float()  # (b, n, Q)
            acting = acting * behind.repeat_interleave(batch // len(behind), 0)[:, :, None]
        sinks = {
            n: self._found(layer, i, batch, keys, offset, total - queries)
            for n, i in enumerate(picked)
            if self.rules[i].sinks is not None
        }
        masks = on_keys(self._members), on_keys(self._takers), on_keys(self._looked)
        return LayerSteering(tuple(self.rules[i] for i in picked), *masks, acting, self.length, sinks)

    def keep(self, layer: int, bound: LayerSteering) -> None:
        """Keeps the sinks that a layer's first forward found, for the rows of later forwards.

        Args:
            layer: The layer's index.
            bound: The layer's rules after that forward.
        """
        picked = [i for i, rule in enumerate(self.rules) if self._reaches(rule, layer)]
        for n, i in enumerate(picked):
            found = bound.sinks.get(n)
            if found is not None and (layer, i) not in self._sinks:
                self._sinks[layer, i] = found

    def _found(self, layer: int, rule: int, batch: int, keys: int, offset: int, start: int) -> Tensor | None:
        """The sinks (B, H, K) that a rule found in the prompt; None in the forward that has to find them."""
        found = self._sinks.get((layer, rule))
        if found is None:
            if start:
                raise ConfigError(
                    f"sinks={self.rules[rule].sinks!r} are found in the whole prompt, and this forward begins at slot "
                    f"{start}; run the prompt in one forward, without a cached prefix and without prefill_chunk_size"
                )
            return None
        found = found[..., offset : offset + keys]
        found = torch.nn.functional.pad(found, (0, keys - found.shape[-1]))
        return found.repeat_interleave(batch // len(found), 0)

    def _reaches(self, rule: Actuator, layer: int) -> bool:
        """Whether a rule steers some head of a layer."""
        end = self.depth if rule.to_layer is None else rule.to_layer
        end = end + self.depth if end < 0 else end
        chosen = rule.heads is None or any(index == layer for index, _ in rule.heads)
        return rule.from_layer <= layer < end and chosen and (rule.layers is None or layer in rule.layers)


def _members(wanted: Sequence[Slots | None], spans: Sequence[Spans], reach: Sequence[str] | None = None) -> Tensor:
    """(B, N, K): 1 if the key belongs to the n-th wanted span; K ends with the last such key."""
    reach = ["span"] * len(wanted) if reach is None else reach
    ranges = [
        [() if one is None else _reached(how, _ranges(one, prompt), prompt.length) for prompt in spans]
        for one, how in zip(wanted, reach, strict=True)
    ]
    end = max((stop for prompts in ranges for found in prompts for _, stop in found), default=0)
    members = torch.zeros(len(spans), len(wanted), end)
    for i, prompts in enumerate(ranges):
        for b, found in enumerate(prompts):
            for start, stop in found:
                members[b, i, start:stop] = 1
    return members


def _reached(how: str, ranges: Sequence[tuple[int, int]], length: int | None) -> Sequence[tuple[int, int]]:
    """The slots that a rule is about, from the sorted ranges of its span."""
    if how == "span":
        return ranges
    if how == "prefix":
        return ((0, ranges[-1][1]),)
    assert length is not None  # checked when the rules were resolved
    starts, stops = [0, *(stop for _, stop in ranges)], [*(start for start, _ in ranges), length]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]


def _chosen(chosen: Collection[tuple[int, int]], layer: int, heads: int) -> Tensor:
    """(H,) 1 for the chosen heads of a layer."""
    mine = [head for index, head in chosen if index == layer]
    if mine and max(mine) >= heads:
        raise ConfigError(f"head {(layer, max(mine))!r} does not exist: layer {layer} has {heads} heads")
    out = torch.zeros(heads)
    out[mine] = 1
    return out


def _ranges(span: Slots, spans: Spans) -> Sequence[tuple[int, int]]:
    """The ranges of a span: of the label and of its parts, such as ``tool.search`` for ``tool``."""
    if isinstance(span, str):
        labels = covered((span,), spans)
        if not labels:
            raise ConfigError(f"no span {span!r} in this prompt; spans: {', '.join(spans) or 'none'}")
        return sorted(found for label in labels for found in spans[label])
    return Spans({"steered": span})["steered"]
