"""Packs the attention of model calls for a page: quantised, compressed, and within a budget of bytes.

A weight p becomes one byte on a logarithmic scale over six decades, because few tokens get most of the attention:

    q = 0 for p < 10⁻⁶, else 1 + round(254 · (1 + log₁₀(p) / 6));  p ≈ 10^(6 · ((q − 1) / 254 − 1))

The error of a weight that is read back is at most 2.8 % of it. A pack is a zlib stream of: four bytes with the length
of a JSON text (little-endian), that text, the bytes of the (layers, heads, tokens) weights, and those of the (answer
tokens, tokens) weights.

Where a run's packs exceed the budget, neighbouring heads are averaged, then neighbouring tokens of the answer and
neighbouring layers, too. Only if that does not suffice are the last calls left out. The page says what was done.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.agent import AttentionRecord
from homeostat.foreign_text import clipped, visible
from homeostat.sensors.element_gaze import grid_of

__all__ = ["BUDGET", "Detail", "Packed", "dequantised", "pack", "packed_within", "quantised"]

BUDGET = 8 * 2**20
"""The most bytes that the packs of one page take, in base64."""
_DECADES = 6
_STEPS = 254
_TOKEN = 200  # characters of a token's text
_SAMPLE = 6  # packs from which the size of all is estimated


@dataclass(frozen=True)
class Detail:
    """How many neighbours are averaged into one row; 1 keeps every row.

    Attributes:
        layers: Layers in one row.
        heads: Heads in one row.
        answer: Tokens of the answer in one row.
    """

    layers: int = 1
    heads: int = 1
    answer: int = 1


_ALL = 1 << 30
_LADDER = (
    *(Detail(), Detail(1, 2, 1), Detail(1, 4, 2), Detail(1, 8, 4), Detail(1, _ALL, 4)),
    *(Detail(2, _ALL, 4), Detail(4, _ALL, 8), Detail(8, _ALL, 16), Detail(_ALL, _ALL, _ALL)),
)


@dataclass(frozen=True)
class Packed:
    """The packs of a run.

    Attributes:
        packs: By the record's name, the pack's bytes.
        detail: What is averaged in each of them.
        left_out: The names of the records that the budget has no room for.
        failed: By the record's name, why it can't be read.
    """

    packs: dict[str, bytes]
    detail: Detail = Detail()
    left_out: tuple[str, ...] = ()
    failed: dict[str, str] | None = None

    @property
    def notes(self) -> list[str]:
        """What the page says about the detail, one sentence each."""
        return [*self._averaged(), *self._missing()]

    def _averaged(self) -> Iterable[str]:
        sizes = {"layers": self.detail.layers, "heads": self.detail.heads, "tokens of the answer": self.detail.answer}
        rows = [f"{'all' if size >= _ALL else size} {name}" for name, size in sizes.items() if size > 1]
        if rows:
            told = ", ".join(rows)
            yield f"The attention is shown in less detail to keep the page small. Averaged are: {told}."

    def _missing(self) -> Iterable[str]:
        if self.left_out:
            yield f"The attention of the last {len(self.left_out)} calls is left out to keep the page small."
        for name, error in (self.failed or {}).items():
            yield f"The attention {clipped(visible(name), 60)} can't be read: {error}"


def quantised(weights: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Quantises weights.

    Args:
        weights: Weights of any shape, in [0, 1].

    Returns:
        One byte for each, by the formula above.
    """
    floor = 10.0**-_DECADES
    scaled = np.round(_STEPS * (1 + np.log10(np.maximum(weights, floor).astype(np.float32)) / _DECADES))
    return np.where(weights < floor, 0, 1 + np.clip(scaled, 0, _STEPS)).astype(np.uint8)


def dequantised(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Reads quantised weights back, as the page does.

    Args:
        codes: The bytes.

    Returns:
        The weights.
    """
    weights = 10.0 ** (_DECADES * ((codes.astype(np.float64) - 1) / _STEPS - 1))
    return np.where(codes == 0, 0.0, weights)


def pack(record: AttentionRecord, detail: Detail = Detail(), size: tuple[int, int] | None = None) -> bytes:
    """Packs one record.

    Args:
        record: The attention of a model call.
        detail: What is averaged.
        size: (height, width) of the screenshot, by which the grid of a picture's tokens is found; None without one.

    Returns:
        The pack.
    """
    by_head = _averaged(_averaged(record.by_head, 0, detail.layers), 1, detail.heads)
    by_token = _averaged(record.by_token, 0, detail.answer)
    told = {
        "tokens": [visible(clipped(text, _TOKEN), lines=True) for text in record.tokens],
        "answer": [visible(clipped(text, _TOKEN), lines=True) for text in record.answer],
        "spans": {visible(label): [list(bounds) for bounds in ranges] for label, ranges in record.spans.items()},
        "layers": _groups(record.layers, detail.layers),
        "heads": _groups(range(record.by_head.shape[1]), detail.heads),
        "rows": _groups(range(len(record.answer)), detail.answer),
        "grids": {visible(label): grid for label, grid in _grids(record, size)},
    }
    text = json.dumps(told, ensure_ascii=False, separators=(",", ":")).encode()
    body = struct.pack("<I", len(text)) + text + quantised(by_head).tobytes() + quantised(by_token).tobytes()
    return zlib.compress(body, 6)


def packed_within(
    names: Sequence[str],
    load: Callable[[str], tuple[AttentionRecord, tuple[int, int] | None] | str],
    budget: int = BUDGET,
) -> Packed:
    """Packs the records of a run, in as much detail as the budget allows.

    Args:
        names: The records' names.
        load: Loads a record and the size of its screenshot; or says why it can't.
        budget: The most bytes in base64.

    Returns:
        The packs.
    """
    room = budget * 3 // 4  # base64 writes four characters for three bytes
    sample = [found for name in names[:: max(len(names) // _SAMPLE, 1)] if not isinstance(found := load(name), str)]
    for detail in _LADDER:
        mean = sum(len(pack(record, detail, size)) for record, size in sample) / max(len(sample), 1)
        if mean * len(names) > room and detail != _LADDER[-1]:
            continue
        packs: dict[str, bytes] = {}
        failed: dict[str, str] = {}
        left_out: list[str] = []
        used = 0
        for name in names:
            found = load(name)
            if isinstance(found, str):
                failed[name] = found
                continue
            made = pack(found[0], detail, found[1])
            used += len(made)
            if used > room:
                left_out.append(name)
            else:
                packs[name] = made
        if not left_out or detail == _LADDER[-1]:
            return Packed(packs, detail, tuple(left_out), failed)
    return Packed({})


def _averaged(weights: NDArray[Any], axis: int, size: int) -> NDArray[np.float32]:
    """The means of every ``size`` neighbours along an axis; the last group may be smaller."""
    found = weights.astype(np.float32)
    count = found.shape[axis]
    if size <= 1 or not count:
        return found
    starts = np.arange(0, count, size)
    sums = np.add.reduceat(found, starts, axis=axis)
    shape = [1] * found.ndim
    shape[axis] = len(starts)
    counts = np.diff(np.append(starts, count)).reshape(shape)
    return (sums / counts).astype(np.float32)


def _groups(items: Sequence[int], size: int) -> list[list[int]]:
    """[first, last] of every group."""
    return [
        [items[at], items[min(at + size, len(items)) - 1]] for at in range(0, len(items), min(size, max(len(items), 1)))
    ]


def _grids(record: AttentionRecord, size: tuple[int, int] | None) -> Iterable[tuple[str, tuple[int, int]]]:
    """The grid of every span that is a picture: one range of tokens that all have the same text."""
    for label, ranges in record.spans.items():
        count = sum(stop - start for start, stop in ranges)
        texts = {record.tokens[at] for start, stop in ranges for at in range(start, stop)}
        if size is not None and len(texts) == 1 and count >= 16 and label.startswith(("screen", "frame", "evidence")):
            yield label, grid_of(count, *size)
