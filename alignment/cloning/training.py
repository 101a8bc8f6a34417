"""The training loop of behaviour cloning, on transformers' ``Trainer``.

The loss is the mean cross-entropy of the answers' tokens of a batch of episodes. Nothing else has a label. Each pack
runs forward and backward by itself, so memory holds the activations of one pack only. A batch depends on its number
alone, and the adapter has no dropout: a resumed run takes the very steps that the unbroken run would have taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import Dataset, SequentialSampler
from transformers import Trainer

from homeostat.alignment.cloning.packing import Pack, Scores, pack, pack_scores, row_scores
from homeostat.alignment.cloning.rows import Row, tokenise
from homeostat.alignment.cloning.tasks import Lessons
from homeostat.alignment.sail.tokens import batches

__all__ = ["Batches", "CloneTrainer", "Measured", "Unit", "measured", "scores_of", "units"]

Unit = Pack | list[Row]
"""What runs forward at once: a pack, or rows for a padded batch."""
_ROWS = 8


class Batches(Dataset[dict[str, Any]]):
    """The batches of a run by number, each of so many episodes.

    Attributes:
        lessons: The episodes.
        first: The number of the first episode.
        size: The number of episodes in a batch.
        most: The most tokens of a pack; 0 for padded batches.
    """

    def __init__(self, lessons: Lessons, episodes: int, size: int, most: int, first: int = 0) -> None:
        """Divides episodes into batches.

        Args:
            lessons: The episodes.
            episodes: The number of episodes.
            size: The number of episodes in a batch.
            most: The most tokens of a pack; 0 for padded batches.
            first: The number of the first episode.
        """
        self.lessons, self.first, self.size, self.most = lessons, first, size, most
        self._last = first + episodes

    def __len__(self) -> int:
        """Returns the number of batches."""
        return -(-(self._last - self.first) // self.size)

    def __getitem__(self, number: int) -> dict[str, Any]:
        """Returns a batch as ``{"units": …}``."""
        begin = self.first + number * self.size
        found = [self.lessons.episode(n) for n in range(begin, min(begin + self.size, self._last))]
        return {"units": [unit for rows in found for unit in units(tokenise(self.lessons.model, rows), self.most)]}


def units(rows: Sequence[Row], most: int) -> list[Unit]:
    """Divides the rows of an episode into what runs forward at once.

    Args:
        rows: The rows.
        most: The most tokens of a pack; 0 for padded batches.

    Returns:
        Packs, or lists of rows.
    """
    if most:
        return list(pack(rows, most))
    groups = batches([(row.prompt, row.answer) for row in rows], _ROWS)
    return [[rows[n] for n in group] for group in groups]


def scores_of(model: Any, unit: Unit) -> Scores:
    """Scores the answers of a unit (see :class:`~homeostat.alignment.cloning.packing.Scores`).

    Args:
        model: The transformers model.
        unit: The unit.

    Returns:
        The scores.
    """
    return pack_scores(model, unit) if isinstance(unit, Pack) else row_scores(model, unit)


def _answer_lengths(unit: Unit) -> list[int]:
    return [len(row.answer) for row in (unit.rows if isinstance(unit, Pack) else unit)]


@dataclass(frozen=True)
class Measured:
    """How well a model imitates demonstrations.

    Attributes:
        loss: The mean cross-entropy of an answer token, in nats.
        right: The share of answers that greedy decoding would write token by token.
        answers: The number of answers.
    """

    loss: float
    right: float
    answers: int


def measured(model: Any, found: Sequence[Unit]) -> Measured | None:
    """Measures how well a model imitates demonstrations, by teacher forcing.

    Args:
        model: The transformers model.
        found: The demonstrations.

    Returns:
        The figures; None without demonstrations.
    """
    total, tokens, right, answers = 0.0, 0, 0, 0
    model.train(False)
    with torch.inference_mode(), _mixed(model):
        for unit in found:
            scores, lengths = scores_of(model, unit), _answer_lengths(unit)
            total -= float(scores.logprobs.sum())
            tokens += len(scores.logprobs)
            right += sum(bool(part.all()) for part in torch.split(scores.best, lengths))
            answers += len(lengths)
    return Measured(total / tokens, right / answers, answers) if answers else None


class CloneTrainer(Trainer):
    """A ``Trainer`` whose batch is a list of units, which run one after the other."""

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        """The batches in their order: a resumed run goes on with the next one."""
        found: Any = train_dataset if train_dataset is not None else self.train_dataset
        return SequentialSampler(found)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Adds up the gradients of a batch; ``Trainer`` calls this method.

        Args:
            model: The PEFT model.
            inputs: A batch of :class:`Batches`.
            num_items_in_batch: Not used.

        Returns:
            The mean cross-entropy of the answers' tokens.
        """
        model.train()
        found: list[Unit] = inputs["units"]
        tokens = sum(sum(_answer_lengths(unit)) for unit in found)
        loss = torch.zeros((), device=self.args.device)
        for unit in found:
            with _mixed(model):
                part = -scores_of(model, unit).logprobs.sum() / tokens
            self.accelerator.backward(part)
            loss += part.detach()
        return loss


def _mixed(model: Any) -> AbstractContextManager[Any]:
    """Mixed precision for weights of 16 bits, whose adapter is kept in float32."""
    if model.dtype == torch.float32:
        return nullcontext()
    return torch.autocast(model.device.type, model.dtype)
