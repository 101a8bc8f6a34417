"""Watches the attention layers of one worker: reads and steers the requests that ask for it.

The watcher wraps ``forward`` of every attention layer's implementation. vLLM calls it inside an operator that
``torch.compile`` does not look into, so that compiled models are watched, too. Its work is done once for each step of
the engine: which requests of the batch have spans, where their rows are, and which new tokens need labels. A layer then
costs one more call of the engine's kernel, on the read rows only. A step without such requests costs a look at the
batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from homeostat.agent.vllm.dense_steering import DenseSteering
from homeostat.agent.vllm.kernels import CpuKernel
from homeostat.agent.vllm.label_planes import Plane, Planes
from homeostat.agent.vllm.step_plan import Member, Plan, ReadPass, read_pass
from homeostat.agent.vllm.watched import Part, Watched, vectors
from homeostat.agent.vllm.wire import EXTRA, SpanRequest
from homeostat.errors import ConfigError
from homeostat.sensors.spans import Spans

__all__ = ["Watcher"]

KEPT = 1 << 29
"""The most bytes of masses of ended requests that wait for their clients."""


class Watcher:
    """Reads and steers requests in one worker.

    Attributes:
        layers: By index, the attention layers.
    """

    def __init__(
        self,
        layers: Mapping[int, Any],
        groups: Mapping[int, int],
        kernel: CpuKernel,
        batch: Callable[[], list[str]],
        alive: Mapping[str, Any],
        heads: tuple[range, int],
    ) -> None:
        """Wraps the layers.

        Args:
            layers: By index, vLLM's attention layers.
            groups: For each layer, its cache group.
            kernel: The backend's kernel.
            batch: Returns the names of the present step's requests, in the order of their rows.
            alive: By name, the engine's own records of its requests, which changes as they come and go.
            heads: The heads of this rank, and the number of heads on all ranks.
        """
        self.layers, self._groups, self._kernel, self._heads = layers, groups, kernel, heads
        self._batch, self._alive = batch, alive
        self._first = min(layers)
        self._windows = _windows(layers, groups)
        self._planes: dict[object, Planes] = {}
        self._known: dict[str, tuple[Any, Watched | None]] = {}
        self._ended: dict[str, list[Watched]] = {}
        self._present: list[tuple[int, Watched]] = []
        self._plans: dict[int, Plan] = {}
        self._totals: list[int] = []
        for index, layer in layers.items():
            layer.impl.forward = partial(self._forward, index, layer.impl.forward)

    def take(self, key: str) -> dict[str, Any]:
        """Returns what was read of a request, and forgets it.

        Args:
            key: The request's key.

        Returns:
            ``error``, a text that is empty while nothing is wrong, and ``samples``, the packed rows of each answer.
        """
        self._collect()
        found = self._ended.pop(key, [])
        for name, (state, one) in list(self._known.items()):
            if one is not None and one.request.key == key:
                self._known[name] = state, None
                one.leave()
                found.append(one)
        if not found:
            return {"error": f"no request with the key {key!r} has run here", "samples": {}}
        errors = [one.error for one in found if one.error]
        samples = {str(one.sample): one.packed() for one in found if not one.error}
        if len({one.sample for one in found}) < len(found):
            errors.append(f"several requests had the key {key!r}; give each one its own")
        return {"error": errors[0] if errors else "", "samples": samples}

    def status(self) -> dict[str, int]:
        """Counts open requests, requests whose masses wait, and bytes."""
        open_ = [one for _, one in self._known.values() if one is not None]
        waiting = [one for each in self._ended.values() for one in each]
        return {
            "open": len(open_),
            "waiting": len(waiting),
            "mass_bytes": sum(one.bytes for one in (*open_, *waiting)),
            "label_bytes": sum(planes.bytes for planes in self._planes.values()),
            "steering_bytes": sum(one.steering.bytes for one in open_ if one.steering is not None),
        }

    def distributions(self, logprobs: Tensor) -> None:
        """Keeps the entropies of the distributions that the step's tokens are drawn from.

        Args:
            logprobs: (n, V): the natural-log probabilities of all tokens, for each request of the step.
        """
        if len(logprobs) != len(self._totals):
            return
        drawn = [(row, one) for row, one in self._present if one.request.watch and self._totals[row] >= one.length]
        if not drawn:
            return
        known = logprobs[[row for row, _ in drawn]].float()
        entropies = torch.special.entr(known.exp()).sum(-1).tolist()
        for (row, one), entropy in zip(drawn, entropies, strict=True):
            one.entropy[self._totals[row] - one.length] = entropy

    def _forward(
        self,
        index: int,
        original: Callable[..., Any],
        layer: Any,
        query: Tensor,
        key: Tensor | None,
        value: Tensor | None,
        kv_cache: Tensor,
        attn_metadata: Any,
        output: Tensor,
        *more: Any,
        **named: Any,
    ) -> Any:
        """The engine's forward, and then ours."""
        result = original(layer, query, key, value, kv_cache, attn_metadata, output, *more, **named)
        if attn_metadata is not None:
            try:
                if index == self._first:
                    self._begin()
                if self._present:
                    self._watch(index, layer, (query, key, value), kv_cache, attn_metadata, output)
            except Exception as error:  # the engine and its other requests go on
                for _, one in self._present:
                    one.error = one.error or f"{type(error).__name__}: {error}".splitlines()[0]
                self._present, self._plans = [], {}
        return result

    def _watch(
        self,
        index: int,
        layer: Any,
        rows: tuple[Tensor, Tensor | None, Tensor | None],
        kv_cache: Tensor,
        metadata: Any,
        output: Tensor,
    ) -> None:
        """Reads and steers the present requests in one layer."""
        query, key, value = rows
        plan = self._plans.get(self._groups[index])
        if plan is None:
            plan = self._plans[self._groups[index]] = self._planned(index, layer, kv_cache, metadata)
        for one in plan.passes:
            if index in one.layers:
                self._read(one, index, layer, query, kv_cache)
        for watched, steering, start, stop, first in plan.steered:
            if steering.reaches(index) and not watched.error:
                given = (query[start:stop], key, value)
                self._steer(watched, steering, index, layer, given, (start, stop), first, output)

    def _begin(self) -> None:
        """Begins a step: collects the last one's masses, closes what has ended, and looks at the batch."""
        self._collect()
        self._present, self._totals = [], []
        batch = self._batch()
        for name in [name for name in self._known if name not in self._alive]:
            _, one = self._known.pop(name)
            if one is not None:
                self._end(one)
        for row, name in enumerate(batch):
            state = self._alive.get(name)
            known = self._known.get(name)
            if known is None or known[0] is not state:
                if known is not None and known[1] is not None:
                    self._end(known[1])
                known = self._known[name] = state, self._met(name, state)
            if known[1] is not None and not known[1].error:
                self._present.append((row, known[1]))

    def _met(self, name: str, state: Any) -> Watched | None:
        """A request that is seen for the first time, if it has spans."""
        params = None if state is None else state.sampling_params
        extra: Mapping[str, Any] = {} if params is None else params.extra_args or {}
        told = extra.get(EXTRA)
        if told is None:
            return None
        try:
            request = SpanRequest.of(extra)
            assert request is not None
            head, _, _ = name.partition("_")
            found = Watched(request, int(head) if request.samples > 1 and head.isdigit() else 0)
            if request.spans.length != state.num_prompt_tokens:
                raise ConfigError(
                    f"the spans are of a prompt of {request.spans.length} tokens, but this one has "
                    f"{state.num_prompt_tokens}; pass the ranges of the tokens that are sent"
                )
            if request.layers is not None and (unknown := sorted(set(request.layers) - set(self.layers))):
                raise ConfigError(
                    f"layer {unknown[0]} does not exist; the layers are {min(self.layers)} to {max(self.layers)}"
                )
            if request.steer:
                found.steering = DenseSteering(request, sorted(self.layers), *self._heads)
        except Exception as error:  # a bad request must not end the engine
            return _refused(told, str(error))
        return found

    def _end(self, one: Watched) -> None:
        """Keeps what was read until the client takes it, or until too much has come after it."""
        one.leave()
        one.steering = None
        self._ended.setdefault(one.request.key, []).append(one)
        kept = [each for ended in self._ended.values() for each in ended]
        size = sum(each.bytes for each in kept)
        for old in kept:
            if size <= KEPT:
                break
            size -= old.bytes
            old.parts, old.error = [], "its masses were dropped, because nobody took them"

    def _planned(self, index: int, layer: Any, kv_cache: Tensor, metadata: Any) -> Plan:
        """Finds the rows to read, and writes the labels of the step's new tokens."""
        plan = Plan()
        group, block = self._groups[index], kv_cache.shape[2]
        shape = (tuple(kv_cache.shape), kv_cache.stride(), kv_cache.dtype)
        planes = self._planes.get(shape)
        if planes is None:
            make = partial(self._kernel.empty, kv_cache)
            planes = self._planes[shape] = Planes(make, kv_cache.shape[1], layer.head_size)
        starts = metadata.query_start_loc.tolist()
        lengths = self._totals = metadata.seq_lens.tolist()
        layers = frozenset(i for i, g in self._groups.items() if g == group)
        wanted: dict[tuple[int, frozenset[int]], list[Member]] = {}
        fresh: dict[int, tuple[Plane, list[Any], list[Any]]] = {}
        for row, one in self._present:
            start, stop, total = starts[row], starts[row + 1], lengths[row]
            first = total - (stop - start)
            steering = one.steering
            if steering is not None:
                plan.steered.append((one, steering, start, stop, first))
            if not one.request.watch:
                continue
            table = metadata.block_table[row, : -(-total // block)].tolist()
            try:
                place = one.in_group(group, planes, table, first, block)
            except ValueError as error:
                one.error = str(error)
                continue
            _, columns, slots = fresh.setdefault(id(place.plane), (place.plane, [], []))
            columns.append(one.columns(place, place.written, total))
            at = np.arange(place.written, total)
            slots.append(np.array(table, np.int64)[at // block] * block + at % block)
            one.fill(place, total, block)
            mine = layers if one.request.layers is None else layers & set(one.request.layers)
            if steering is not None:
                mine = frozenset(i for i in mine if not steering.reaches(i))
            rows = one.rows(first, total)
            if rows > 0 and mine:
                wanted.setdefault((id(place.plane), mine), []).append((one, place, row, stop - rows, stop))
        for plane, columns, slots in fresh.values():
            values = vectors(plane, np.concatenate(columns))
            self._kernel.write(layer, plane.labels, values, torch.from_numpy(np.concatenate(slots)))
        tokens = starts[len(lengths)]  # of all requests
        plan.passes = [read_pass(mine, found, metadata, tokens) for (_, mine), found in wanted.items()]
        return plan

    def _read(self, one: ReadPass, index: int, layer: Any, query: Tensor, kv_cache: Tensor) -> None:
        """Reads the masses of one layer."""
        asked = query[: one.starts[-1]] if one.rows is None else query.index_select(0, one.rows)
        if one.out is None:
            one.out = asked.new_empty(len(one.layers), *asked.shape)
        window = self._windows[self._groups[index]]
        alike = layer.num_heads, layer.num_kv_heads, layer.head_size
        if alike not in one.schedules:
            one.schedules[alike] = self._kernel.schedule(layer, window, one.starts, one.lengths, query.dtype)
        one.schedule = one.schedules[alike]
        self._kernel.read(layer, kv_cache, one.plane.labels, asked, one, one.out[len(one.done)])
        one.done.append(index)

    def _steer(
        self,
        one: Watched,
        steering: DenseSteering,
        index: int,
        layer: Any,
        rows: tuple[Tensor, Tensor | None, Tensor | None],
        where: tuple[int, int],
        first: int,
        output: Tensor,
    ) -> None:
        """Computes a steered request's rows anew, and keeps their masses if they are wanted."""
        query, key, value = rows
        start, stop = where
        total = first + stop - start
        recorded = None
        layers = one.request.layers
        if one.request.watch and one.rows(first, total) and (layers is None or index in layers):
            recorded = max(one.first_row - first, 0), one.labels(0, total), len(one.names)
        try:
            if key is None or value is None:
                raise ValueError("the layer shares another layer's keys, which can't be steered here")
            given = query, key[start:stop], value[start:stop]
            masses = steering.apply(index, layer, given, first, output[start:stop], recorded)
        except Exception as error:  # a bad request must not end the engine
            one.error = str(error)
            return
        if masses is not None and recorded is not None:
            at = np.arange(len(one.names))
            one.parts.append(Part(first + recorded[0], (index,), masses[:, None], at))

    def _collect(self) -> None:
        """Hands what the last step read to its requests."""
        for plan in self._plans.values():
            for one in plan.passes:
                one.hand_over()
        self._plans = {}


def _windows(layers: Mapping[int, Any], groups: Mapping[int, int]) -> dict[int, int]:
    """By group, the sliding window that all its layers have; -1 for none, or where they differ."""
    found: dict[int, set[int]] = {}
    for index, layer in layers.items():
        found.setdefault(groups[index], set()).add(layer.impl.sliding_window)
    return {group: min(windows) if len(windows) == 1 else -1 for group, windows in found.items()}


def _refused(told: str, error: str) -> Watched | None:
    """A request that can't be read, so that its client is told why; None where it does not even say its name."""
    try:
        key = str(json.loads(told)["key"])
        refused = Watched(SpanRequest(key, Spans({}, length=1)), 0)
    except (ValueError, KeyError, TypeError, ConfigError):
        return None
    refused.error = error
    return refused
