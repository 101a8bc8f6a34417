"""Spans: which tokens of a prompt belong to which labelled part.

A range is ``(start, stop)``, half open, counted in *slots*: columns of the ``input_ids`` that the model is given,
left padding included, after the processor has expanded image placeholders; with a KV cache, columns of the whole
sequence, the cached part included. Slots are not position ids, which some models count otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import SupportsIndex

from homeostat.errors import ConfigError

__all__ = ["OUTPUT", "Spans"]

OUTPUT = "output"
"""The label of the tokens generated so far: the probe adds it by itself."""

Range = tuple[int, int]


@dataclass(frozen=True, init=False, repr=False)
class Spans:
    """Labels and, for each, its token ranges: sorted, disjoint and never empty.

    ``Spans({"goal": [(3, 9)], "rules": [(0, 3), (20, 24)]}, length=30)``. A label may own several ranges; tokens may
    belong to none. Ranges that overlap are refused, within a label and between labels; ranges that touch are not
    merged. The order of the labels is kept. ``length`` is the number of tokens of the whole prompt: without it, the
    probe takes everything before the first call on a single token for the prompt.

    Raises :class:`ConfigError` naming the label and the range.
    """

    ranges: Mapping[str, tuple[Range, ...]]
    length: int | None = None

    def __init__(
        self, ranges: Mapping[str, Iterable[tuple[SupportsIndex, SupportsIndex]]], length: int | None = None
    ) -> None:
        """Check the ranges and sort them."""
        if length is not None and length < 1:
            raise ConfigError(f"a prompt of {length!r} tokens has no spans; give its length, at least 1")
        checked = {label: _checked(label, pairs, length) for label, pairs in ranges.items()}
        _refuse_overlap(checked)
        object.__setattr__(self, "ranges", checked)
        object.__setattr__(self, "length", length)

    def __hash__(self) -> int:
        """Spans are values: equal ones hash alike."""
        return hash((tuple(self.ranges.items()), self.length))

    def __repr__(self) -> str:
        """As it is written in code."""
        ranges = {label: list(pairs) for label, pairs in self.ranges.items()}
        return f"Spans({ranges!r}, length={self.length!r})"

    def __iter__(self) -> Iterator[str]:
        """The labels, in the order given."""
        return iter(self.ranges)

    def __len__(self) -> int:
        """How many labels there are."""
        return len(self.ranges)

    def __contains__(self, label: object) -> bool:
        """Whether the prompt has this label."""
        return label in self.ranges

    def __getitem__(self, label: str) -> tuple[Range, ...]:
        """The label's ranges, sorted."""
        return self.ranges[label]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels, in the order given."""
        return tuple(self.ranges)

    @property
    def end(self) -> int:
        """The slot after the last token of any span; 0 without spans."""
        return max((stop for pairs in self.ranges.values() for _, stop in pairs), default=0)

    def tokens(self, label: str) -> int:
        """How many tokens the label owns; 0 for a label that is not there."""
        return sum(stop - start for start, stop in self.ranges.get(label, ()))

    def shift(self, by: int) -> Spans:
        """The same spans ``by`` slots later: what left padding does to them."""
        moved = {label: [(a + by, b + by) for a, b in pairs] for label, pairs in self.ranges.items()}
        return Spans(moved, None if self.length is None else self.length + by)


def _checked(label: str, pairs: Iterable[tuple[SupportsIndex, SupportsIndex]], length: int | None) -> tuple[Range, ...]:
    if not isinstance(label, str) or not label:
        raise ConfigError(f"span label {label!r} is no name; use a non-empty string")
    if label == OUTPUT:
        raise ConfigError(f"span label {label!r} belongs to the generated tokens, which the probe adds; drop it")
    out: list[Range] = []
    for pair in pairs:
        try:
            start, stop = (int(v.__index__()) for v in pair)
        except (AttributeError, TypeError, ValueError):
            raise ConfigError(f"span {label!r} has {pair!r} for a range; give (start, stop), two integers") from None
        if not 0 <= start < stop:
            raise ConfigError(f"span {label!r} has the range {(start, stop)!r}; start must be >= 0 and below stop")
        if length is not None and stop > length:
            raise ConfigError(f"span {label!r} has the range {(start, stop)!r}, past the prompt's {length} tokens")
        out.append((start, stop))
    if not out:
        raise ConfigError(f"span {label!r} has no range; leave the label out")
    return tuple(sorted(out))


def _refuse_overlap(ranges: Mapping[str, tuple[Range, ...]]) -> None:
    flat = sorted((start, stop, label) for label, pairs in ranges.items() for start, stop in pairs)
    for (a, b, one), (c, d, other) in pairwise(flat):
        if c < b:
            raise ConfigError(f"spans {one!r} {(a, b)!r} and {other!r} {(c, d)!r} overlap; a token has one label")
