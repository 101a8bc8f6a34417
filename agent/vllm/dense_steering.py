"""Steers the attention of one request inside a worker, by the probe's own rules.

The engine's kernel takes no weights of single keys, so the rows of a steered request are computed once more, from
copies of its keys and values that are kept as they pass. The result replaces the engine's output for these rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from homeostat.agent.vllm.wire import SpanRequest
from homeostat.errors import ConfigError
from homeostat.sensors.probe.explicit_attention import AttentionScoring, attend, row_chunks
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.binding import Steering
from homeostat.sensors.steering.settling import Settling

__all__ = ["DenseSteering"]


class DenseSteering:
    """The steering of one request.

    Attributes:
        bytes: The memory of the keys and values that are kept.
    """

    def __init__(
        self, request: SpanRequest, layers: Sequence[int], heads: range, total_heads: int | None = None
    ) -> None:
        """Resolves the rules.

        Args:
            request: The request.
            layers: The model's layers.
            heads: The heads of this rank.
            total_heads: The number of heads on all ranks; None where this is the only one.

        Raises:
            ConfigError: A rule needs what a worker does not have, or names a span, layer or head that does not exist.
        """
        for rule in request.steer:
            if rule.floor is not None and total_heads is not None and len(heads) < total_heads:
                raise ConfigError(
                    f"floor={rule.floor!r} is about the mean of all heads, and this engine divides them among ranks; "
                    "use gain, target or scale, or --tensor-parallel-size 1"
                )
        local = [one for rule in request.steer if (one := _local(rule, heads)) is not None]
        depth = max(layers) + 1
        assert request.spans.length is not None
        self._length = request.spans.length
        self._steering = Steering(local, [request.spans], list(layers), depth)
        self._layers = frozenset(layer for layer in layers if any(self._steering.reaches(r, layer) for r in local))
        self._held: dict[int, tuple[Tensor, Tensor]] = {}
        self._seen: dict[int, int] = {}
        self.bytes = 0

    def reaches(self, layer: int) -> bool:
        """Tells whether some rule steers a layer.

        Args:
            layer: The layer's index.

        Returns:
            Whether it does.
        """
        return layer in self._layers

    def apply(
        self,
        index: int,
        layer: Any,
        rows: tuple[Tensor, Tensor, Tensor],
        first: int,
        output: Tensor,
        recorded: tuple[int, NDArray[np.int64], int] | None,
    ) -> NDArray[np.float32] | None:
        """Computes the output of some rows anew.

        Args:
            index: The layer's index.
            layer: vLLM's attention layer.
            rows: (R, H, D) queries, (R, G, D) keys and (R, G, D) values of the request's rows in this step.
            first: The slot of the first row.
            output: (R, H, D), which is overwritten.
            recorded: The first row whose masses are wanted, the label of each key (−1 for none), and the number of
                labels; None for no masses.

        Returns:
            (r, H, S) masses of the rows from the first wanted one on; None if none are wanted.

        Raises:
            ConfigError: Keys before these rows are missing, because the request read the prefix cache.
        """
        query, key, value = rows
        keys, values = self._kept(index, key, value, first)
        total = first + len(query)
        asked = query.transpose(0, 1)[None]
        rules = self._steering.bind(index, asked, keys, total)
        assert rules is not None
        impl = layer.impl
        scoring = AttentionScoring(impl.scale, impl.logits_soft_cap or None, impl.sinks)
        slots = torch.arange(first, total)

        def seen(start: int, stop: int) -> Tensor:
            found = slots[start:stop, None] >= torch.arange(total)
            if impl.sliding_window > 0:
                found &= torch.arange(total) > slots[start:stop, None] - impl.sliding_window
            return found[None]

        chunks = list(row_chunks(0, len(query), asked.shape[1] * total))
        if not rules.settled:
            if 0 < first < self._length or (first == 0 and total < self._length):
                raise ConfigError(
                    "rules with floor and sinks need the whole prompt in one forward, and the prompt came in chunks; "
                    "raise max_num_batched_tokens, or use gain, target or scale"
                )
            settling = Settling(rules)
            for start, stop in chunks:
                visible = seen(start, stop)
                change = rules.on_scores(start, stop)
                settling.add(scoring.weights(asked[:, :, start:stop], keys, visible[:, None], change), visible, start)
            rules = settling.result()
            self._steering.keep(index, rules)
        wanted: list[Tensor] = []
        members = None
        if recorded is not None:
            labels = torch.from_numpy(recorded[1])
            members = torch.nn.functional.one_hot(labels + 1, recorded[2] + 1)[:, 1:].float()
        for start, stop in chunks:
            change = rules.on_scores(start, stop)
            weights = scoring.weights(asked[:, :, start:stop], keys, seen(start, stop)[:, None], change)
            weights = rules.retarget(weights, start, stop)
            output[start:stop] = attend(weights, values)[0]
            if recorded is not None and members is not None and stop > recorded[0]:
                wanted.append((weights[0, :, max(recorded[0] - start, 0) :] @ members).transpose(0, 1))
        output.copy_(rules.outputs(output[None])[0])
        return torch.cat(wanted).numpy() if wanted else None

    def _kept(self, index: int, key: Tensor, value: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """(1, G, K, D) keys and values of all slots up to these rows, which are kept for the next step."""
        if first > self._seen.get(index, 0):
            raise ConfigError(
                f"the keys of the first {first} tokens came from the prefix cache, so the request can't be steered; "
                "send it with SamplingParams(skip_reading_prefix_cache=True) and a cache_salt of its own"
            )
        total = first + len(key)
        held = self._held.get(index)
        if held is None or held[0].shape[2] < total:
            room = max(2 * total, 256)
            more = [one.new_empty(1, one.shape[1], room, one.shape[2]) for one in (key, value)]
            if held is not None:
                for old, new in zip(held, more, strict=True):
                    new[:, :, :first] = old[:, :, :first]
                    self.bytes -= old.nbytes
            held = self._held[index] = more[0], more[1]
            self.bytes += sum(one.nbytes for one in held)
        held[0][0, :, first:total] = key.transpose(0, 1)
        held[1][0, :, first:total] = value.transpose(0, 1)
        self._seen[index] = total
        return held[0][:, :, :total], held[1][:, :, :total]


def _local(rule: Actuator, heads: range) -> Actuator | None:
    """A rule with the numbers that its heads have on this rank; None if none of them is here."""
    if rule.heads is None:
        return rule
    mine = frozenset((layer, head - heads.start) for layer, head in rule.heads if head in heads)
    return replace(rule, heads=mine) if mine else None
