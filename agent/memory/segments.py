"""Divides a prompt into segments, each of which stays in the cache or is evicted as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from homeostat.agent.memory.settings import SpanMemory
from homeostat.sensors.spans import OUTPUT, Spans, covered

__all__ = ["Segment", "segments_of"]

_OWN = ("history", "assistant")
"""The labels of the agent's own words; what follows the last of them is the newest turn."""


@dataclass(frozen=True)
class Segment:
    """A run of tokens with one label.

    Attributes:
        label: The label; "" for tokens that belong to no span.
        start: The first token's slot.
        stop: The slot behind the last token.
        pinned: Whether it always stays.
    """

    label: str
    start: int
    stop: int
    pinned: bool

    @property
    def tokens(self) -> int:
        """The number of its tokens."""
        return self.stop - self.start


def segments_of(spans: Spans, length: int, memory: SpanMemory) -> tuple[Segment, ...]:
    """Divides a prompt and its answer into segments.

    The tokens of the chat template in front of a span belong to the span. The newest turn is what follows the agent's
    last words, or the last span where nothing does; the answer belongs to it.

    Args:
        spans: The prompt's spans.
        length: The number of tokens, the answer's included.
        memory: What is pinned, and how long a segment may be.

    Returns:
        The segments in order. They cover every token once.
    """
    runs = sorted((start, stop, label) for label in spans for start, stop in spans[label])
    pinned = set(covered(memory.pinned, spans.labels))
    said = max((stop for _, stop, label in runs if label in _OWN), default=0)
    free = [start for start, _, label in runs if label not in pinned]
    newest = length
    if memory.newest and free:
        behind = [start for start in free if start >= said]
        newest = min(behind) if said and behind else free[-1]
    prompt = min(length if spans.length is None else spans.length, length)
    found: list[Segment] = []
    at = 0
    for start, stop, label in runs:
        found += _pieces(label, at, min(stop, length), label in pinned or start >= newest, memory)
        at = min(stop, length)
    found += _pieces("", at, prompt, True, memory)  # so that the next prompt can be told from its answer
    found += _pieces(OUTPUT, max(at, prompt), length, memory.newest, memory)
    return tuple(found)


def _pieces(label: str, start: int, stop: int, pinned: bool, memory: SpanMemory) -> list[Segment]:
    """A run as one segment, or as several of about the same length where it is too long."""
    count = stop - start
    if count <= 0:
        return []
    sinks = max(min(memory.sinks, stop) - start, 0) if not pinned else 0
    found = [Segment(label, start, start + sinks, True)] if sinks else []
    start, count = start + sinks, count - sinks
    parts = 1 if pinned else max(-(-count // memory.piece), 1)
    cuts = [start + count * k // parts for k in range(parts + 1)]
    found += [Segment(label, a, b, pinned) for a, b in pairwise(cuts) if a < b]
    return found
