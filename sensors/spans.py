"""Spans: which tokens of a prompt belong to which label.

A range is ``(start, stop)``, half open, counted in *slots*. Slots are the columns of the ``input_ids`` that the model
receives, including left padding, after the processor has expanded image placeholders. With a key-value cache, they are
the columns of the whole sequence, including the cached part. Slots differ from position ids, which some models count in
another way.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import SupportsIndex

from homeostat.errors import ConfigError

__all__ = ["OUTPUT", "Spans", "covered"]

OUTPUT = "output"
"""The label of the tokens generated so far; the probe adds it."""

Range = tuple[int, int]


def covered(names: Iterable[str], labels: Iterable[str]) -> list[str]:
    """Returns the labels that names cover: each name itself, and its parts, such as ``tool.search`` for ``tool``.

    Args:
        names: The names.
        labels: The labels of a prompt.

    Returns:
        The covered labels, in the order of the names.
    """
    known = tuple(labels)
    found = (label for name in names for label in known if label == name or label.startswith(f"{name}."))
    return list(dict.fromkeys(found))


@dataclass(frozen=True, init=False, repr=False)
class Spans:
    """The token ranges of each label: sorted, disjoint and never empty.

    Example: ``Spans({"goal": [(3, 9)], "rules": [(0, 3), (20, 24)]}, length=30)``. A label may have several ranges, and
    tokens may belong to no label. Overlapping ranges are refused, within a label and between labels. Adjacent ranges
    are not merged. The order of the labels is kept.

    Attributes:
        ranges: The ranges of each label.
        length: The number of tokens of the whole prompt. If it is None, the probe assumes that the prompt ends where
            the first call on a single token begins.
    """

    ranges: Mapping[str, tuple[Range, ...]]
    length: int | None = None

    def __init__(
        self, ranges: Mapping[str, Iterable[tuple[SupportsIndex, SupportsIndex]]], length: int | None = None
    ) -> None:
        """Checks and sorts the ranges.

        Args:
            ranges: The ranges of each label.
            length: The number of tokens of the whole prompt; None if unknown.

        Raises:
            ConfigError: A label or a range is invalid, or ranges overlap; the error names them.
        """
        if length is not None and length < 1:
            raise ConfigError(f"a prompt of {length!r} tokens has no spans; pass its length, at least 1")
        checked = {label: _checked(label, pairs, length) for label, pairs in ranges.items()}
        _refuse_overlap(checked)
        object.__setattr__(self, "ranges", checked)
        object.__setattr__(self, "length", length)

    def __hash__(self) -> int:
        """Equal spans have equal hashes."""
        return hash((tuple(self.ranges.items()), self.length))

    def __repr__(self) -> str:
        """The expression that creates these spans."""
        ranges = {label: list(pairs) for label, pairs in self.ranges.items()}
        return f"Spans({ranges!r}, length={self.length!r})"

    def __iter__(self) -> Iterator[str]:
        """The labels, in the order given."""
        return iter(self.ranges)

    def __len__(self) -> int:
        """The number of labels."""
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
        """Counts the tokens of a label.

        Args:
            label: The label.

        Returns:
            The number of tokens; 0 if the prompt lacks the label.
        """
        return sum(stop - start for start, stop in self.ranges.get(label, ()))

    def shift(self, by: int) -> Spans:
        """Moves the spans to later slots, as left padding does.

        Args:
            by: The number of slots.

        Returns:
            The moved spans.
        """
        moved = {label: [(a + by, b + by) for a, b in pairs] for label, pairs in self.ranges.items()}
        return Spans(moved, None if self.length is None else self.length + by)


def _checked(label: str, pairs: Iterable[tuple[SupportsIndex, SupportsIndex]], length: int | None) -> tuple[Range, ...]:
    if not isinstance(label, str) or not label:
        raise ConfigError(f"span label {label!r} is not a name; use a non-empty string")
    if label == OUTPUT:
        raise ConfigError(f"span label {label!r} is reserved for the generated tokens; leave it out")
    out: list[Range] = []
    for pair in pairs:
        try:
            start, stop = (int(v.__index__()) for v in pair)
        except (AttributeError, TypeError, ValueError):
            raise ConfigError(f"span {label!r} has {pair!r} for a range; pass (start, stop), two integers") from None
        if not 0 <= start < stop:
            raise ConfigError(f"span {label!r} has the range {(start, stop)!r}; start must be >= 0 and below stop")
        if length is not None and stop > length:
            raise ConfigError(f"span {label!r} has the range {(start, stop)!r}, beyond the prompt's {length} tokens")
        out.append((start, stop))
    if not out:
        raise ConfigError(f"span {label!r} has no range; leave the label out")
    return tuple(sorted(out))


def _refuse_overlap(ranges: Mapping[str, tuple[Range, ...]]) -> None:
    flat = sorted((start, stop, label) for label, pairs in ranges.items() for start, stop in pairs)
    for (a, b, one), (c, d, other) in pairwise(flat):
        if c < b:
            raise ConfigError(f"spans {one!r} {(a, b)!r} and {other!r} {(c, d)!r} overlap; a token has one label")
