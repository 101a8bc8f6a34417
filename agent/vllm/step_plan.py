"""What a step of the engine has to do for the requests that are read: kernel calls, and rows to steer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from homeostat.agent.vllm.dense_steering import DenseSteering
from homeostat.agent.vllm.label_planes import Plane
from homeostat.agent.vllm.watched import GroupState, Part, Watched

__all__ = ["Plan", "ReadPass", "read_pass"]

Member = tuple[Watched, GroupState, int, int, int]
"""A request, its place in a cache group, its row of the block table, and its first token and the one after its last."""


@dataclass
class ReadPass:
    """One further kernel call for every layer of a set, on the rows of some requests.

    Attributes:
        plane: Their plane.
        layers: The layers.
        rows: The rows' places among the step's tokens; None for all tokens.
        starts: (n + 1,) int32: where each request's rows begin.
        lengths: (n,) int32: the number of keys that each request's last row sees.
        table: (n, b) int32: the blocks of each request.
        members: The n requests.
        schedule: The schedule of the present call.
        schedules: The schedules by the shape of a layer.
        out: (L, R, H, D): the sums of each layer; None before the first one.
        done: The layers that were read, in order.
    """

    plane: Plane
    layers: frozenset[int]
    rows: Tensor | None
    starts: Tensor
    lengths: Tensor
    table: Tensor
    members: list[Member]
    schedule: Any = None
    schedules: dict[object, Any] = field(default_factory=dict)
    out: Tensor | None = None
    done: list[int] = field(default_factory=list)

    def hand_over(self) -> None:
        """Hands what was read to the requests."""
        if self.out is None:
            return
        masses = self.out[: len(self.done), ..., : self.plane.width - 1].float().transpose(0, 1).contiguous().numpy()
        for watched, place, start, stop, slot in self._placed():
            watched.parts.append(Part(slot, tuple(self.done), masses[start:stop], place.columns - 1))

    def _placed(self) -> Iterator[tuple[Watched, GroupState, int, int, int]]:
        """For each request, where its rows are in the output, and the slot of the first one."""
        starts, lengths = self.starts.tolist(), self.lengths.tolist()
        for i, (watched, place, _, _, _) in enumerate(self.members):
            yield watched, place, starts[i], starts[i + 1], lengths[i] - (starts[i + 1] - starts[i])


@dataclass
class Plan:
    """What one cache group has to do in a step.

    Attributes:
        passes: The kernel calls.
        steered: The steered requests: each one with its steering, its first token, the one after its last, and the
            slot of the first.
    """

    passes: list[ReadPass] = field(default_factory=list)
    steered: list[tuple[Watched, DenseSteering, int, int, int]] = field(default_factory=list)


def read_pass(layers: frozenset[int], members: list[Member], metadata: Any, tokens: int) -> ReadPass:
    """Prepares a kernel call.

    Args:
        layers: The layers that are read.
        members: The requests, with their rows.
        metadata: The attention metadata of the step.
        tokens: The number of the step's tokens, of all requests.

    Returns:
        The call.
    """
    counts = [stop - start for _, _, _, start, stop in members]
    whole = sum(counts) == tokens
    at = torch.tensor([row for _, _, row, _, _ in members])
    rows = None if whole else torch.cat([torch.arange(start, stop) for _, _, _, start, stop in members])
    starts = torch.tensor([0, *np.cumsum(counts)], dtype=torch.int32)
    return ReadPass(
        members[0][1].plane,
        layers,
        rows,
        starts,
        metadata.seq_lens.index_select(0, at),
        metadata.block_table.index_select(0, at),
        members,
    )
