"""Encodes a recording and its questions as one row, with the alignments that guided attention needs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from homeostat.nano.data.packing import IGNORE, Packer
from homeostat.nano.data.recordings import TITLE_ROW, TOAST, TOAST_ROW, RecordingExample, Watched

__all__ = ["Aligned", "RecordingRow", "encode_recording"]

_IMAGE = "<image>"


@dataclass(frozen=True)
class Aligned:
    """For each of N positions, the positions that a guided head should look at.

    Attributes:
        at: (N,) int64 positions.
        there: (N, L) bool.
    """

    at: torch.Tensor
    there: torch.Tensor

    def to(self, device: torch.device) -> Aligned:
        """Copies both to a device.

        Args:
            device: The device.

        Returns:
            The copy.
        """
        return Aligned(self.at.to(device), self.there.to(device))


@dataclass(frozen=True)
class RecordingRow:
    """One row of length L: a prefix with F frames of P patches each, and a branch per question.

    Attributes:
        ids: (L,) int64 token ids.
        positions: (L,) int64 positions.
        branch: (L,) int64: 0 for the prefix, 1, 2, … for the branches.
        labels: (L,) int64: the next token if it belongs to an answer, else −100.
        words: (L,) int64: 0 where there is no word, on a patch or in the text.
        patches: (N,) int64: for each image token of the row, its patch among all F · P.
        pixels: (F, 3, H, W) float32 in [−1, 1].
        match: From each word of a branch to the patches that show it.
        before: From the title of each frame in which an app came to the front to the title of the one before; from the
            first one to the beginning of the text.
        whose: From each message that something was deleted to the title of its frame.
        look: From each position before a token of an answer to the patches that show the answer.
        copy: From each position before a token of an option's text to that token in the question.
        about: From the same positions to what the question is about, in the question.
        hop: From the same positions to the title of the app that an order is about.
        tally: From the same positions to the beginning of the text and to one patch for each thing to be counted.
        kinds: The kind of each question.
        seen: (F · P, width) the image features, where they are known; ``pixels`` is not needed then.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    branch: torch.Tensor
    labels: torch.Tensor
    words: torch.Tensor
    patches: torch.Tensor
    pixels: torch.Tensor
    match: Aligned
    before: Aligned
    look: Aligned
    copy: Aligned
    whose: Aligned
    about: Aligned
    hop: Aligned
    tally: Aligned
    kinds: tuple[str, ...]
    seen: torch.Tensor | None = None

    def to(self, device: torch.device) -> RecordingRow:
        """Copies the row to a device.

        Args:
            device: The device.

        Returns:
            The copy.
        """
        fields: dict[str, Any] = {
            name: value.to(device) if isinstance(value, torch.Tensor | Aligned) else value
            for name, value in vars(self).items()
        }
        return RecordingRow(**fields)


def _aligned(pairs: dict[int, list[int]], length: int) -> Aligned:
    at = sorted(p for p, to in pairs.items() if to)
    there = torch.zeros(len(at), length, dtype=torch.bool)
    for i, p in enumerate(at):
        there[i, pairs[p]] = True
    return Aligned(torch.tensor(at, dtype=torch.int64), there)


def encode_recording(packer: Packer, example: RecordingExample) -> RecordingRow:
    """Encodes a recording.

    Args:
        packer: Encodes texts.
        example: The recording.

    Returns:
        The row.
    """
    patches = packer.columns * packer.rows
    questions = [w.question for w in example.watched]
    row = packer.shown(list(example.cells), questions)
    table = np.array(row, dtype=np.int64)
    ids, positions, branch, labels, _, words, _ = (
        torch.from_numpy(np.ascontiguousarray(table[:, i])) for i in range(7)
    )
    length, prefix = len(ids), int((branch == 0).sum())
    first = prefix - patches * len(example.frames)

    def place(frame: int, cell: tuple[int, int]) -> int:
        return first + frame * patches + cell[1] * packer.columns + cell[0]

    image = (ids == packer.image_id).tolist()
    sources = list(range(patches * len(example.frames)))
    copies: dict[int, dict[int, int]] = {}  # branch -> patch -> its position there
    for n, watched in enumerate(example.watched, start=1):
        mine = [i for i in (branch == n).nonzero()[:, 0].tolist() if image[i]]
        again = [f * patches + p for f in watched.again for p in range(patches)]
        copies[n] = dict(zip(again, mine, strict=True))
        words[mine] = words[torch.tensor(again, dtype=torch.int64) + first]
        sources += again
    shown: dict[int, list[int]] = {}
    for i in range(first, prefix):
        if words[i]:
            shown.setdefault(int(words[i]), []).append(i)
    match: dict[int, list[int]] = {}
    for i in range(prefix, length):
        if words[i] and not image[i]:
            there = shown.get(int(words[i]), [])
            own = copies[int(branch[i])]
            match[i] = there + [own[p - first] for p in there if p - first in own]
    titles = [[place(f, c) for c in example.cells[f] if c[1] == TITLE_ROW] for f in example.visits]
    before = {i: old for old, new in pairwise([[0], *titles]) for i in new}
    whose = {
        place(f, c): [place(f, t) for t in cells if t[1] == TITLE_ROW]
        for f, cells in enumerate(example.cells)
        for c, word in cells.items()
        if c[1] == TOAST_ROW and word == TOAST
    }
    look: dict[int, list[int]] = {}
    copy: dict[int, list[int]] = {}
    about: dict[int, list[int]] = {}
    hop: dict[int, list[int]] = {}
    tally: dict[int, list[int]] = {}
    for n, watched in enumerate(example.watched, start=1):
        evidence = [place(e.frame, c) for e in watched.evidence for c in e.cells]
        evidence += [copies[n][p - first] for p in evidence if p - first in copies[n]]
        mine = (branch == n).nonzero()[:, 0].tolist()
        said = [i for i in mine if labels[i] != IGNORE]
        look |= dict.fromkeys(said, evidence)
        copied, asked = _copied(packer, watched, mine[0], said)
        copy |= copied
        about |= dict.fromkeys(copied, asked)
        to = [place(e.frame, c) for e in watched.hop for c in e.cells]
        hop |= dict.fromkeys(copied, to + [copies[n][p - first] for p in to if p - first in copies[n]])
        counted = [place(e.frame, c) for e in watched.tally for c in e.cells]
        tally |= dict.fromkeys(copied, [0, *counted] if counted else [])
    pixels = np.stack(example.frames).astype(np.float32) / 127.5 - 1.0
    return RecordingRow(
        ids,
        positions,
        branch,
        labels,
        words,
        torch.tensor(sources, dtype=torch.int64),
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        _aligned(match, length),
        _aligned(before, length),
        _aligned(look, length),
        _aligned(copy, length),
        _aligned(whose, length),
        _aligned(about, length),
        _aligned(hop, length),
        _aligned(tally, length),
        tuple(w.kind for w in example.watched),
    )


def _spans(tokenizer: Any, text: str) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    return found


def _copied(packer: Packer, watched: Watched, first: int, said: list[int]) -> tuple[dict[int, list[int]], list[int]]:
    """From the position before each token of the option in the answer to its tokens in the question.

    Also the tokens of what the question is about.
    """
    chat = next(p for p in packer.chat(watched.question.prompt).split(_IMAGE) if watched.asked in p)
    asked = _spans(packer.tokenizer, chat)
    begin = chat.index(watched.asked) + watched.at
    answer = watched.question.answer
    start = answer.index('"text": "') + len('"text": "')
    end = start + len(watched.option)
    found = {}
    for position, (left, right) in zip(said, _spans(packer.tokenizer, answer), strict=False):
        if start <= left < end:
            there = range(begin + left - start, begin + right - start)
            found[position] = [first + i for i, (s, e) in enumerate(asked) if s < there.stop and e > there.start]
    filled = re.search(rf"(?<!\w){re.escape(watched.about)}(?!\w)", watched.asked) if watched.about else None
    if filled is None:
        return found, []
    left, right = (chat.index(watched.asked) + i for i in filled.span())
    return found, [first + i for i, (s, e) in enumerate(asked) if s < right and e > left]
