"""Rows in common sequences: what several rows begin with is computed once.

The rows of one screen share its prompt up to the goal, and those of one model share the system message. Sorted rows
form a prefix tree. A :class:`Pack` holds each node of the tree once, as one long sequence: a token has the position
that it has in its own row, and sees the tokens before it in its own rows only. The answers' log-probabilities are those
of the rows by themselves, up to rounding; :func:`packs_alike` measures that, because a model may ignore such masks (one
with a recurrent state does).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from homeostat.alignment.cloning.rows import Row
from homeostat.alignment.sail.tokens import padded

__all__ = ["Pack", "Scores", "pack", "pack_scores", "packs_alike", "row_scores"]

_TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.03}
"""The largest mean difference, in nats, of a token's log-probability in a pack and by itself."""


@dataclass(frozen=True)
class Pack:
    """Rows as one sequence of T tokens, or several rows as a padded batch.

    Attributes:
        rows: The rows.
        ids: (T,): the tokens.
        positions: (T,): the place of each token in its rows.
        visible: (T, T) bool: whether token i sees token j.
        predicting: (A,): for each answer token of each row, the place of the token before it.
        answers: (A,): the answer tokens of all rows, row after row.
    """

    rows: Sequence[Row]
    ids: torch.Tensor
    positions: torch.Tensor
    visible: torch.Tensor
    predicting: torch.Tensor
    answers: torch.Tensor

    def __len__(self) -> int:
        """Returns the number of tokens."""
        return len(self.ids)

    def inputs(self, model: Any) -> dict[str, Any]:
        """Returns the model's inputs.

        Args:
            model: The model, for its device and its type of weights.

        Returns:
            The keyword arguments of its forward pass.
        """
        least = torch.finfo(model.dtype).min
        mask = torch.zeros(self.visible.shape, dtype=model.dtype).masked_fill_(~self.visible, least)
        return {
            "input_ids": self.ids[None].to(model.device),
            "position_ids": self.positions[None].to(model.device),
            "attention_mask": mask[None, None].to(model.device),
        }


@dataclass(frozen=True)
class Scores:
    """What a model says to given answers of A tokens in all.

    Attributes:
        logprobs: (A,): the natural-log probability of each token, float32.
        best: (A,) bool: whether the token is the one that greedy decoding takes.
    """

    logprobs: torch.Tensor
    best: torch.Tensor


def pack(rows: Sequence[Row], most: int) -> list[Pack]:
    """Packs rows into sequences of at most so many tokens. The rows of one screen stay together where they fit.

    Args:
        rows: The rows.
        most: The most tokens of a sequence; a longer row has one of its own.

    Returns:
        The packs. Each row is in one of them.
    """
    packs: list[Pack] = []
    present: list[Row] = []
    for row in sorted(rows, key=lambda row: (row.screen, row.ids)):
        if present and len(_tree([*present, row])[0]) > most:
            packs.append(_packed(present))
            present = []
        present.append(row)
    return [*packs, _packed(present)] if present else packs


def pack_scores(model: Any, one: Pack) -> Scores:
    """Scores the answer tokens of a pack, in the order of its rows.

    Args:
        model: The transformers model.
        one: The pack.

    Returns:
        The scores, with a gradient where the model's weights have one.
    """
    where = one.predicting.to(model.device)
    logits = model(**one.inputs(model), use_cache=False, logits_to_keep=where).logits[0]
    if len(logits) != len(where):  # a model that computes the logits of all tokens
        logits = logits[where]
    return _scores(logits, one.answers)


def row_scores(model: Any, rows: Sequence[Row]) -> Scores:
    """Scores the answer tokens of rows that can stand in one padded batch, row after row.

    Args:
        model: The transformers model.
        rows: The rows, from one group of :func:`homeostat.alignment.sail.tokens.batches`.

    Returns:
        The scores, with a gradient where the model's weights have one.
    """
    inputs, _ = padded(model, [(row.prompt, row.answer) for row in rows])
    keep = max(len(row.answer) for row in rows)
    logits = model(**inputs, use_cache=False, logits_to_keep=keep).logits
    logits = logits[:, -keep:]
    found = [_scores(logits[n, : len(row.answer)], torch.tensor(row.answer)) for n, row in enumerate(rows)]
    return Scores(torch.cat([one.logprobs for one in found]), torch.cat([one.best for one in found]))


def packs_alike(model: Any, rows: Sequence[Row]) -> bool:
    """Tells whether a model answers the rows of a pack as it answers them by themselves.

    Args:
        model: The transformers model.
        rows: A few rows.

    Returns:
        False for rows with images, for a model that takes no such mask, and where the log-probabilities differ.
    """
    if any(set(row.prompt.inputs) - {"input_ids", "attention_mask"} for row in rows):
        return False
    one = _packed(sorted(rows, key=lambda row: row.ids))
    with torch.inference_mode():
        try:
            packed = pack_scores(model, one).logprobs
        except (TypeError, ValueError, RuntimeError, IndexError):  # its forward pass has no such arguments
            return False
        alone = torch.cat([row_scores(model, [row]).logprobs for row in one.rows])
    return (packed - alone).abs().mean().item() <= _TOLERANCE.get(model.dtype, 1e-3)


def _scores(logits: torch.Tensor, answers: torch.Tensor) -> Scores:
    answers = answers.to(logits.device)
    chosen = logits.float().log_softmax(-1).gather(-1, answers[:, None])[:, 0]
    return Scores(chosen, logits.argmax(-1) == answers)


def _tree(rows: Sequence[Row]) -> tuple[list[int], list[list[int]]]:
    """The tokens of the sorted rows' prefix tree, and for each row the places of its tokens among them."""
    ids: list[int] = []
    paths: list[list[int]] = []
    before: list[int] = []
    for row in rows:
        present = row.ids[:-1]  # the last token predicts nothing
        shared = 0
        while shared < min(len(before), len(present)) and before[shared] == present[shared]:
            shared += 1
        new = range(len(ids), len(ids) + len(present) - shared)
        paths.append([*(paths[-1][:shared] if paths else ()), *new])
        ids += present[shared:]
        before = present
    return ids, paths


def _packed(rows: Sequence[Row]) -> Pack:
    ids, paths = _tree(rows)
    visible = torch.zeros((len(ids), len(ids)), dtype=torch.bool)
    positions = torch.zeros(len(ids), dtype=torch.long)
    predicting: list[int] = []
    for row, path in zip(rows, paths, strict=True):
        places = torch.tensor(path)
        positions[places] = torch.arange(len(path))
        visible[places[:, None], places[None]] |= torch.ones(len(path), len(path), dtype=torch.bool).tril()
        predicting += path[len(row.prompt.ids) - 1 :]
    answers = torch.tensor([token for row in rows for token in row.answer])
    return Pack(rows, torch.tensor(ids), positions, visible, torch.tensor(predicting), answers)
