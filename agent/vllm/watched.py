"""One request whose attention is read or steered, as one rank of the engine sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from homeostat.agent.vllm.dense_steering import DenseSteering
from homeostat.agent.vllm.label_planes import Plane, Planes
from homeostat.agent.vllm.wire import SpanRequest, packed_rows
from homeostat.sensors.spans import OUTPUT

__all__ = ["GroupState", "Part", "Watched", "vectors"]


@dataclass
class Part:
    """What one kernel call read of a request in one step.

    Attributes:
        first: The slot of the first row.
        layers: The layers, in the order of the rows' second axis.
        masses: (r, L, H, C): the sums of all columns.
        columns: The request's columns in the last axis.
    """

    first: int
    layers: tuple[int, ...]
    masses: NDArray[np.float32]
    columns: NDArray[np.int64]


@dataclass
class GroupState:
    """A request's place in the planes of one cache group.

    Attributes:
        plane: Its plane.
        columns: (S + 1,) its columns, counted from 1; the last one is "output".
        blocks: The blocks that it held in the last step.
        owned: Those of them that are full and noted as its own.
        full: How many of them are full.
        written: How many of its tokens have labels in the plane.
    """

    plane: Plane
    columns: NDArray[np.int64]
    blocks: list[int] = field(default_factory=list)
    owned: list[int] = field(default_factory=list)
    full: int = 0
    written: int = 0


class Watched:
    """A request with spans.

    Attributes:
        request: What it wants.
        sample: Which of several answers to one prompt it is.
        steering: How it is steered; None where it is not.
        parts: What was read.
        entropy: By generated token, the entropy of the distribution that it was drawn from, in nats.
        error: Why it can't be read; "" while nothing is wrong.
    """

    def __init__(self, request: SpanRequest, sample: int) -> None:
        """Begins with nothing read.

        Args:
            request: What it wants.
            sample: Which of several answers to one prompt it is.
        """
        self.request, self.sample = request, sample
        self.steering: DenseSteering | None = None
        self.parts: list[Part] = []
        self.entropy: dict[int, float] = {}
        self.error = ""
        self.names = (*request.spans.labels, OUTPUT)
        length = request.spans.length
        assert length is not None
        self.length = length
        self._label = np.full(length, -1, np.int64)
        for index, label in enumerate(request.spans):
            for start, stop in request.spans[label]:
                self._label[start:stop] = index
        self._groups: dict[int, GroupState] = {}

    @property
    def first_row(self) -> int:
        """The slot of the first row that is read."""
        return max(self.length - self.request.rows, 0)

    def rows(self, first: int, stop: int) -> int:
        """Counts the last rows of the slots from ``first`` to ``stop`` that are read.

        Args:
            first: The first slot of a step.
            stop: The slot after its last one, whose row produces a token.

        Returns:
            The number of rows; 0 for a step whose token is passed over.
        """
        if first >= self.length and (stop - self.length) % self.request.every:
            return 0
        return max(min(stop - self.first_row, stop - first), 0)

    def labels(self, first: int, stop: int) -> NDArray[np.int64]:
        """Finds the label of each slot of a range.

        Args:
            first: The first slot.
            stop: The slot after the last.

        Returns:
            The labels' indices; -1 for none.
        """
        found = np.full(stop - first, len(self.names) - 1, np.int64)
        inside = self._label[first : min(stop, self.length)]
        found[: len(inside)] = inside
        return found

    def columns(self, group: GroupState, first: int, stop: int) -> NDArray[np.int64]:
        """Finds the column of each slot of a range.

        Args:
            group: The request's place in a cache group.
            first: The first slot.
            stop: The slot after the last.

        Returns:
            The columns, counted from 1; 0 for none.
        """
        labels = self.labels(first, stop)
        return np.where(labels < 0, 0, group.columns[labels])

    def told(self, first: int, stop: int) -> bytes:
        """Names the labels of a range of slots.

        Args:
            first: The first slot.
            stop: The slot after the last.

        Returns:
            A name that equal labels share.
        """
        return "\0".join("" if label < 0 else self.names[label] for label in self.labels(first, stop)).encode()

    def in_group(self, index: int, planes: Planes, blocks: Sequence[int], computed: int, block: int) -> GroupState:
        """Finds the request's place in a cache group, and follows its blocks.

        Args:
            index: The group.
            planes: The group's planes.
            blocks: The blocks that hold the request's tokens in this step.
            computed: The number of tokens that were computed before this step.
            block: The number of tokens of a block.

        Returns:
            Its place. ``written`` is 0 where it has just come, or come back from a preemption.

        Raises:
            ValueError: No plane has room for it.
        """
        found = self._groups.get(index)
        if found is not None and not _goes_on(found.blocks, blocks):
            self._leave(index)
            found = None
        if found is None:
            cached = [(blocks[i], self.told(i * block, (i + 1) * block)) for i in range(computed // block)]
            plane = planes.choose(self.names, [one for one in cached if one[0]])
            found = self._groups[index] = GroupState(plane, np.array(plane.take(self.names), np.int64))
        found.blocks = list(blocks)
        return found

    def fill(self, group: GroupState, stop: int, block: int) -> None:
        """Notes which blocks are full once tokens are written.

        Args:
            group: The request's place in a cache group.
            stop: The slot after the last one that is written.
            block: The number of tokens of a block.
        """
        while (group.full + 1) * block <= stop:
            at = group.blocks[group.full]
            if at:  # block 0 holds what a sliding window has dropped
                group.plane.own(at, self.told(group.full * block, (group.full + 1) * block))
                group.owned.append(at)
            group.full += 1
        group.written = stop

    def leave(self) -> None:
        """Gives back its places in the planes."""
        for index in list(self._groups):
            self._leave(index)

    def packed(self) -> dict[str, Any]:
        """What was read, as the client takes it.

        A row that was computed twice, because the request was preempted, is the later one.

        Returns:
            The values of :func:`~homeostat.agent.vllm.wire.packed_rows`; nothing was read if there are no rows.
        """
        layers = sorted({layer for part in self.parts for layer in part.layers})
        place = {layer: i for i, layer in enumerate(layers)}
        slots = sorted({part.first + i for part in self.parts for i in range(len(part.masses))})
        at = {slot: i for i, slot in enumerate(slots)}
        heads = self.parts[0].masses.shape[2] if self.parts else 0
        masses = np.zeros((len(slots), len(layers), heads, len(self.names)), np.float32)
        for part in self.parts:
            rows = [at[part.first + i] for i in range(len(part.masses))]
            masses[np.ix_(rows, [place[layer] for layer in part.layers])] = part.masses[..., part.columns]
        return packed_rows(masses, slots, [slot + 1 for slot in slots], layers) | {"entropy": self._entropies()}

    @property
    def bytes(self) -> int:
        """The memory of what was read."""
        return sum(part.masses.nbytes for part in self.parts)

    def _entropies(self) -> list[float]:
        """The entropies of all tokens; nothing if one of them is unknown."""
        known = sorted(self.entropy)
        return [self.entropy[token] for token in known] if known == list(range(len(known))) else []

    def _leave(self, index: int) -> None:
        found = self._groups.pop(index)
        found.plane.disown(found.owned)
        found.plane.give_back(self.names)


def _goes_on(before: Sequence[int], now: Sequence[int]) -> bool:
    """Whether a request holds its earlier blocks still; a sliding window replaces them with block 0."""
    return len(now) >= len(before) and all(a == b or not b for a, b in zip(before, now, strict=False))


def vectors(plane: Plane, columns: NDArray[np.int64]) -> Tensor:
    """Finds the label vectors of some columns.

    Args:
        plane: The plane.
        columns: (n,) columns, counted from 1; 0 for none.

    Returns:
        (n, G, D) vectors.
    """
    return plane.vectors.index_select(0, torch.from_numpy(columns))
