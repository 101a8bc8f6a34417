"""The key-value cache between calls, thinned to a budget at the end of each.

The cache stands for all tokens of the last prompt and answer, and holds the keys of some. The next prompt is compared
with the tokens, so prefixes match as they do without a memory; what was evicted is not run again. Before an answer is
generated, the attention on evicted spans is estimated from their summaries, and those that the new tokens ask for are
brought back: the model reads them once more, at their old positions, behind what is held in front of them.
"""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from homeostat.agent.memory.evidence import Evidence
from homeostat.agent.memory.policy_names import policy_named
from homeostat.agent.memory.query_statistics import QueryStatistics, rotary_of
from homeostat.agent.memory.recalling import bring_back, scan, wanted
from homeostat.agent.memory.segments import segments_of
from homeostat.agent.memory.settings import SpanMemory
from homeostat.agent.memory.summaries import Summary, index_layers
from homeostat.agent.memory.supported import check_model
from homeostat.agent.memory.thinned_cache import ThinnedCache
from homeostat.agent.memory.view import View
from homeostat.agent.models.kv_cache import KeyValueCache, Prefill, inputs_after, shared_length
from homeostat.errors import ModelError
from homeostat.sensors.chat.rendering import ImageRun, Rendered
from homeostat.sensors.probe.thinned_keys import KeyReader
from homeostat.sensors.spans import Spans, covered

__all__ = ["SpanCache"]


class SpanCache(KeyValueCache):
    """One model's key-value cache between calls, under a :class:`~homeostat.agent.memory.SpanMemory`.

    Attributes:
        memory: The settings.
        summaries: The evicted segments that can be brought back.
        recalled: The segments that the present or last call brought back.
        estimate: The estimated share of the attention on evicted spans, before anything was brought back in the last
            call; None where nothing was estimated.
        evidence: What was measured of every key.
    """

    def __init__(self, model: Any, memory: SpanMemory, name: str) -> None:
        """Starts empty.

        Args:
            model: The transformers model.
            memory: The settings.
            name: The model's name, for errors.

        Raises:
            ModelError: The model's cache can't be thinned.
            ConfigError: The policy is unknown.
        """
        config = model.config.get_text_config(decoder=True)
        super().__init__(config)
        check_model(model, config, name)
        self.memory = memory
        self._model, self._name = model, name
        self._policy = policy_named(memory.policy)
        self._depth = config.num_hidden_layers
        self._index = index_layers(memory.index_layers, self._depth)
        self._rotary = rotary_of(model, name) if self._policy.statistics else None
        self.evidence = self._new_evidence()
        self.summaries: list[Summary] = []
        self.recalled: list[Summary] = []
        self.estimate: float | None = None
        self._estimates: dict[int, float] = {}  # by the start of an evicted segment
        self._asked: set[str] = set()
        self._calls = 0

    @property
    def reader(self) -> KeyReader | None:
        """Who has to be told the weights of single keys while the model runs."""
        return self.evidence if self.memory.budget != 1 else None

    @property
    def _recalls(self) -> bool:
        """Whether evicted spans can be brought back."""
        return self.memory.recall is not None and self._policy.spans

    def around(self) -> AbstractContextManager[None]:
        """What has to surround the model's forward passes in a call."""
        if self.evidence.statistics is not None:
            return self.evidence.statistics.listening(self._model)
        return self._policy.around(self._model)

    @property
    def measures(self) -> bool:
        """Whether the probe has to read every call, also those that nobody watches."""
        return self._policy.measures and self.memory.budget != 1

    def start(self, rendered: Rendered, fresh: int = 1) -> Prefill:
        """Takes the cache for a prompt: cropped to what it shares with the last one, and with what it asks for.

        Args:
            rendered: The prompt.
            fresh: The number of the prompt's last tokens that have to run again at least.

        Returns:
            Where the call starts.

        Raises:
            ModelError: The prompt's inputs make keys depend on more than the tokens in front of them.
        """
        if not self.can_reuse(rendered):
            raise ModelError(f"{self._name!r}: a prompt with token types can't be thinned; leave memory=… out")
        cache, tokens, images = self._cache, self._tokens, self._images
        KeyValueCache.forget(self)
        self.recalled, self._estimates, self.estimate = [], {}, None
        self._calls += 1
        refreshed = self.memory.refresh and self._calls % self.memory.refresh == 0
        shared = 0
        if cache is not None and not refreshed:
            most = max(len(rendered.ids) - fresh, 0)
            shared = shared_length(tokens, images, rendered.ids, rendered.images, most)
            if isinstance(cache, ThinnedCache) and not cache.can_crop(shared):
                shared = 0
        if not shared:
            self._start_over()
            return self.start_empty(rendered)
        cache.crop(shared - len(tokens))
        self.evidence.crop(shared)
        self.summaries = [one for one in self.summaries if one.segment.stop <= shared]
        if self.summaries and isinstance(cache, ThinnedCache):
            shared = self._recall(cache, rendered, shared, fresh)
        return Prefill(cache, shared, inputs_after(rendered, shared))

    def keep(self, cache: Any, tokens: Sequence[int], images: tuple[ImageRun, ...], spans: Spans | None = None) -> None:
        """Stores a cache for the next call, thinned to the budget.

        Args:
            cache: The transformers cache after a call.
            tokens: The tokens whose keys it stands for.
            images: The prompt's images.
            spans: The prompt's spans; None stores the cache as it is.
        """
        length = cache.get_seq_length()
        self._cache, self._tokens, self._images = cache, list(tokens[:length]), images
        if spans is None or self.memory.budget == 1:
            return
        layers = range(len(cache.layers))
        self.evidence.end_call([cache.key_slots(n) if isinstance(cache, ThinnedCache) else None for n in layers])
        budget = self.memory.tokens(length)
        if self._recalls:
            budget -= int(budget * self.memory.reserve) + self._index_cost(length - budget)
        thinned = ThinnedCache.of(cache)
        if thinned.held() > budget and not (self._policy.measures and self.evidence.empty):
            self._thin(thinned, spans, length, budget, images)
            self._cache = thinned

    def forget(self) -> None:
        """Drops what is stored, and what was measured."""
        super().forget()
        self._start_over()

    def bring_back(self, labels: Collection[str]) -> None:
        """Has the evicted spans of some labels brought back in the next call.

        Args:
            labels: The labels; ``tool`` covers ``tool.search``, too.
        """
        self._asked |= set(labels)

    def fork(self) -> SpanCache:
        """Copies what is stored, so that several prompts can go on from the same point.

        Returns:
            A cache with the same state. The two share the memory of the keys until they change.
        """
        twin = copy.copy(self)
        twin.evidence = copy.deepcopy(self.evidence)
        twin.summaries, twin.recalled = list(self.summaries), list(self.recalled)
        if self._cache is not None:
            cache = ThinnedCache.of(self._cache)
            twin._cache = cache.before(cache.get_seq_length())
        return twin

    def evicted(self, spans: Spans) -> dict[str, float]:
        """Estimates the attention on what was evicted: from the summaries, else as it was measured last.

        Args:
            spans: The prompt's spans.

        Returns:
            By label, the share of a row's attention that the span's evicted keys would get.
        """
        found: dict[str, float] = {}
        for one in self.summaries:
            label = one.segment.label
            found[label] = found.get(label, 0.0) + self._estimates.get(one.segment.start, one.mass)
        cache = self._cache
        if self.summaries or not isinstance(cache, ThinnedCache) or self.evidence.empty:
            return found
        length = cache.get_seq_length()
        gone = (self.evidence.measured(length).cpu() * ~_held(cache, length).cpu()).mean((0, 1))
        for label in spans:
            mass = sum(float(gone[start:stop].sum()) for start, stop in spans[label])
            if mass > 0:
                found[label] = mass
        return found

    def held_bytes(self) -> int:
        """Counts the bytes that are held between calls: keys, values, summaries and what was measured.

        Returns:
            The number of bytes.
        """
        if self._cache is None:
            return 0
        layers = (t for layer in self._cache.layers for t in (layer.keys, layer.values))
        keys = sum(int(t.numel() * t.element_size()) for t in layers)
        return keys + sum(one.bytes() for one in self.summaries) + self.evidence.bytes()

    def held_tokens(self) -> int:
        """Counts the keys that each head holds between calls.

        Returns:
            The number of keys.
        """
        return 0 if self._cache is None else int(self._cache.layers[0].keys.shape[-2])

    def _new_evidence(self) -> Evidence:
        statistics = None if self._rotary is None else QueryStatistics(self._rotary)
        return Evidence(every_row=self._policy.every_row, statistics=statistics)

    def _start_over(self) -> None:
        self.evidence = self._new_evidence()
        self.summaries, self.recalled, self._estimates = [], [], {}

    def _index_cost(self, tokens: int) -> int:
        """The number of tokens whose keys and values take the memory that so many evicted tokens leave in the index."""
        return -(-tokens * len(self._index) // (2 * int(self._depth)))

    def _recall(self, cache: ThinnedCache, rendered: Rendered, shared: int, fresh: int) -> int:
        """Runs the new tokens and brings back what they ask for. Returns how many tokens the cache then stands for."""
        asked = set(covered(self._asked, [one.segment.label for one in self.summaries]))
        self._asked = set()
        evicted = sum(one.segment.tokens for one in self.summaries)
        budget = self.memory.tokens(len(rendered.ids))
        room = max(budget - self._index_cost(evicted) - cache.held(), 0)
        free = int(budget * self.memory.reserve)
        if cache.held() > budget - free:  # what is pinned has taken the reserve
            room = max(room, free)
        changes = None
        if self.memory.recall is not None and (not rendered.images or rendered.images[-1].stop <= shared):
            found = scan(self._model, cache, rendered, shared, self.summaries)
            by_segment = found.masses().mean((0, 1)).tolist()
            self.estimate = sum(by_segment)
            self._estimates = {s.segment.start: m for s, m in zip(self.summaries, by_segment, strict=True)}
            changes = found.changes() if self.estimate > self.memory.recall else None
        chosen = wanted(self.summaries, changes, room, asked)
        if chosen:
            cache.crop(shared - cache.get_seq_length())
            for one in sorted(chosen, key=lambda one: one.segment.start):
                bring_back(self._model, cache, rendered, one)
            self.recalled = chosen
            self.summaries = [one for one in self.summaries if one not in chosen]
            return shared
        ready = max(len(rendered.ids) - fresh, shared)
        cache.crop(min(ready - cache.get_seq_length(), 0))
        return cache.get_seq_length()

    def _thin(self, cache: ThinnedCache, spans: Spans, length: int, budget: int, images: Sequence[ImageRun]) -> None:
        held = _held(cache, length)
        segments = segments_of(spans, length, self.memory)
        view = View(length, budget, segments, held, self.evidence, cache, self.memory)
        keep = self._policy.keep(view)
        alike = bool((keep == keep[:1, :1]).all())
        if alike and self._recalls:
            self._summarise(view, held[0, 0] & ~keep[0, 0], images)
        for layer, mask in zip(cache.thinned, keep, strict=True):
            if alike:
                layer.hold(mask[0].nonzero()[:, 0])
            else:
                layer.hold(torch.stack([head.nonzero()[:, 0] for head in mask]))

    def _summarise(self, view: View, gone: torch.Tensor, images: Sequence[ImageRun]) -> None:
        """Notes what is about to be evicted. A segment that keeps a token, or shows an image, is not noted."""
        measured = view.evidence.measured(view.length)
        slots = view.cache.key_slots(0)
        for segment in view.segments:
            here = slice(segment.start, segment.stop)
            shown = any(image.start < segment.stop and segment.start < image.stop for image in images)
            if shown or not bool(gone[here].all()):
                continue
            tokens = torch.arange(segment.start, segment.stop, device=slots.device)
            at = torch.searchsorted(slots, tokens)
            layers = view.cache.thinned
            keys = {n: found[0][:, at] for n in self._index if (found := layers[n].keys) is not None}
            mass = measured[..., here].sum(-1).cpu()
            self.summaries.append(Summary(segment, keys, mass[list(self._index)], float(mass.mean())))


def _held(cache: ThinnedCache, length: int) -> torch.Tensor:
    """(L, G, N): whether a head holds a token's key."""
    rows = []
    for number, layer in enumerate(cache.thinned):
        assert layer.keys is not None
        mask = torch.zeros(layer.keys.shape[1], length, dtype=torch.bool, device=layer.keys.device)
        rows.append(mask.scatter_(1, cache.key_slots(number).expand(len(mask), -1), True))
    return torch.stack([row.to(rows[0].device) for row in rows])
