"""Resolves steering rules against the spans of a run, and binds them to the layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from homeostat.errors import ConfigError
from homeostat.sensors.spans import Spans, covered
from homeostat.sensors.steering.actuators import Actuator, Slots
from homeostat.sensors.steering.reweighting import LayerSteering
from homeostat.sensors.steering.runs import Run, runs_of

__all__ = ["Steering", "heads_of"]

Ranges = Sequence[tuple[int, int]]


class Steering:
    """The steering rules of one run, resolved against its spans.

    Attributes:
        rules: The rules, in the order given.
        first: The first slot whose row produces a token, for rules with ``rows="output"``.
        length: The number of slots of the prompt; None if it is unknown.
        depth: The number of layers of the model.
        ranges: ``[role][rule][prompt]``: the slots that a rule names as its span (role 0), as ``to`` (role 1), and in
            its ``where`` (role 2).
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
        named = [[rule.span, rule.to, None if rule.where is None else rule.where.span] for rule in self.rules]
        self.ranges = [
            [
                _resolved(one[role], spans, rule.reach if role == 0 else "span")
                for rule, one in zip(self.rules, named, strict=True)
            ]
            for role in range(3)
        ]
        self._tables = [_table(ranges, len(spans)) for ranges in self.ranges]
        # (B, N): the first slot whose row is steered, by prompt and rule.
        self._after = torch.tensor(
            [
                [0 if rule.after is None else _ranges(rule.after, prompt)[-1][1] for rule in self.rules]
                for prompt in spans
            ]
        )
        self._sinks: dict[tuple[int, int], Tensor] = {}
        self._picked: dict[int, tuple[tuple[int, ...], tuple[tuple[int, ...] | None, ...]]] = {}
        self._bound: dict[object, LayerSteering] = {}
        self._shape: tuple[object, ...] = ()

    def bind(self, layer: int, query: Tensor, key: Tensor, total: int) -> LayerSteering | None:
        """Binds the rules to one layer in one forward. Layers that are steered alike share the result.

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
        if layer not in self._picked:
            picked = tuple(i for i, rule in enumerate(self.rules) if self.reaches(rule, layer))
            self._picked[layer] = picked, tuple(heads_of(self.rules[i], layer) for i in picked)
        picked, chosen = self._picked[layer]
        if not picked:
            return None
        batch, heads, queries, _ = query.shape
        keys = key.shape[2]
        shape = total, batch, heads, queries
        if shape != self._shape:
            self._shape, self._bound = shape, {}
        alike = picked, chosen, keys, query.device
        bound = self._bound.get(alike)
        if bound is None:
            bound = self._bound[alike] = self._bind(picked, chosen, query, keys, total, layer)
        sought = [n for n, i in enumerate(picked) if self.rules[i].sinks is not None]
        if not sought:
            return bound
        offset = max(total - keys, 0)
        sinks = {n: self._found(layer, picked[n], batch, keys, offset, total - queries) for n in sought}
        return replace(bound, sinks=sinks)

    def _bind(
        self,
        picked: tuple[int, ...],
        chosen: tuple[tuple[int, ...] | None, ...],
        query: Tensor,
        keys: int,
        total: int,
        layer: int,
    ) -> LayerSteering:
        """The picked rules in one forward, for the chosen heads of each."""
        batch, heads, queries, _ = query.shape
        device = query.device
        offset = max(total - keys, 0)  # a sliding window has dropped the first keys

        def on_keys(members: Tensor) -> Tensor:
            members = members[:, picked, offset : offset + keys].to(device)
            members = torch.nn.functional.pad(members, (0, keys - members.shape[-1]))
            return members.repeat_interleave(batch // members.shape[0], 0)

        acting = torch.ones(1, len(picked), heads, queries, device=device)
        slots = torch.arange(total - queries, total, device=device)
        for n, i in enumerate(picked):
            mine = chosen[n]
            if mine is not None:
                if max(mine) >= heads:
                    raise ConfigError(f"head {(layer, max(mine))!r} does not exist: layer {layer} has {heads} heads")
                acting[:, n] *= torch.zeros(heads, device=device).index_fill_(0, slots.new_tensor(mine), 1.0)[:, None]
            if self.rules[i].rows == "output":
                acting[:, n] *= (slots >= self.first).float()
        if any(self.rules[i].after is not None for i in picked):
            behind = (slots >= self._after[:, picked, None].to(device)).float()  # (b, n, Q)
            acting = acting * behind.repeat_interleave(batch // len(behind), 0)[:, :, None]
        members, takers, looked = (on_keys(table) for table in self._tables)
        firsts = [max(self.first * (self.rules[i].rows == "output"), int(self._after[:, i].min())) for i in picked]
        whole: list[Ranges] = [((offset, total),)]
        spans = [self.ranges[0][i] if self.rules[i].sinks is None else whole for i in picked]
        return LayerSteering(
            tuple(self.rules[i] for i in picked),
            members,
            takers,
            looked,
            acting,
            self.length,
            start=min(max(min(firsts) - (total - queries), 0), queries),
            hulls=tuple(_hull(ranges, offset, keys) for ranges in spans),
            runs=self._runs(picked, offset, keys) if queries > 1 else (),
        )

    def _runs(self, picked: tuple[int, ...], offset: int, keys: int) -> tuple[tuple[Run, ...], ...]:
        """For each prompt, the runs of keys that no span begins or ends in, from the first key to the last."""
        prompts = range(len(self._tables[0]))
        return tuple(
            runs_of(
                ((a - offset, b - offset) for role in self.ranges for i in picked for a, b in role[i][prompt]), keys
            )
            for prompt in prompts
        )

    def keep(self, layer: int, bound: LayerSteering) -> None:
        """Keeps the sinks that a layer's first forward found, for the rows of later forwards.

        Args:
            layer: The layer's index.
            bound: The layer's rules after that forward.
        """
        for n, i in enumerate(self._picked[layer][0]):
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

    def reaches(self, rule: Actuator, layer: int) -> bool:
        """Tells whether a rule steers some head of a layer.

        Args:
            rule: The rule.
            layer: The layer's index.

        Returns:
            Whether it does.
        """
        end = self.depth if rule.to_layer is None else rule.to_layer
        end = end + self.depth if end < 0 else end
        chosen = rule.heads is None or any(index == layer for index, _ in rule.heads)
        return rule.from_layer <= layer < end and chosen and (rule.layers is None or layer in rule.layers)


def _resolved(wanted: Slots | None, spans: Sequence[Spans], reach: str = "span") -> list[Ranges]:
    """By prompt, the ranges of slots of a wanted span; none if no span is wanted."""
    return [() if wanted is None else _reached(reach, _ranges(wanted, prompt), prompt.length) for prompt in spans]


def _table(ranges: Sequence[Sequence[Ranges]], prompts: int) -> Tensor:
    """(B, N, K): 1 if the key belongs to the n-th rule's ranges; K ends with the last such key."""
    end = max((stop for each in ranges for found in each for _, stop in found), default=0)
    members = torch.zeros(prompts, len(ranges), end)
    for i, each in enumerate(ranges):
        for b, found in enumerate(each):
            for start, stop in found:
                members[b, i, start:stop] = 1
    return members


def _hull(ranges: Sequence[Ranges], offset: int, keys: int) -> tuple[int, int]:
    """The first key of a rule's ranges, and the key after the last, over all prompts."""
    starts = [start - offset for found in ranges for start, _ in found]
    stops = [stop - offset for found in ranges for _, stop in found]
    first = min(max(min(starts, default=0), 0), keys)
    return first, max(min(max(stops, default=0), keys), first)


def _reached(how: str, ranges: Ranges, length: int | None) -> Ranges:
    """The slots that a rule is about, from the sorted ranges of its span."""
    if how == "span":
        return ranges
    if how == "prefix":
        return ((0, ranges[-1][1]),)
    assert length is not None  # checked when the rules were resolved
    starts, stops = [0, *(stop for _, stop in ranges)], [*(start for start, _ in ranges), length]
    return [(start, stop) for start, stop in zip(starts, stops, strict=True) if start < stop]


def heads_of(rule: Actuator, layer: int) -> tuple[int, ...] | None:
    """Finds the heads of a layer that a rule steers.

    Args:
        rule: The rule.
        layer: The layer's index.

    Returns:
        The heads, in order; None for all.
    """
    return None if rule.heads is None else tuple(sorted(head for index, head in rule.heads if index == layer))


def _ranges(span: Slots, spans: Spans) -> Ranges:
    """The ranges of a span: of the label and of its parts, such as ``tool.search`` for ``tool``."""
    if isinstance(span, str):
        labels = covered((span,), spans)
        if not labels:
            raise ConfigError(f"no span {span!r} in this prompt; spans: {', '.join(spans) or 'none'}")
        return sorted(found for label in labels for found in spans[label])
    return Spans({"steered": span})["steered"]
