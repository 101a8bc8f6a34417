"""Endless batches of phone screens, and how batches are prepared in another process."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeVar

from torch.utils.data import DataLoader, IterableDataset

from homeostat.nano.data.mix import Mix
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.data.planner_questions import plan_examples
from homeostat.nano.data.screens import screen_examples
from homeostat.nano.style import STYLE

__all__ = ["PhoneBatches", "in_background", "phone_rounds"]

_B = TypeVar("_B")
_PREFETCH = 4  # batches that a worker prepares in advance


def phone_rounds(rng: random.Random, packer: Packer, mix: Mix, screens: int) -> Iterator[list[Batch]]:
    """Generates rounds of four batches without end.

    The screens of a round come from different episodes that run side by side, so that a batch is not made of one
    episode's screens.

    Args:
        rng: The random generator.
        packer: Packs the examples.
        mix: What the screens ask.
        screens: Screens per batch.

    Yields:
        The four batches of a round, ordered by the length of their rows. They also hold 2 · ``screens`` planning
        questions.
    """
    sources = [screen_examples(random.Random(rng.random()), STYLE, mix) for _ in range(4 * screens)]
    plans = plan_examples(rng, STYLE)
    while True:
        questions = [next(plans) for _ in range(2 * screens)]
        yield packer.batches([next(source) for source in sources], questions, screens)


class PhoneBatches(IterableDataset[Batch]):
    """Batches of phone screens without end, in random order within a round.

    Args:
        packer: Packs the examples.
        mix: What the screens ask.
        seed: Seeds the data.
        screens: Screens per batch.
    """

    def __init__(self, packer: Packer, mix: Mix, seed: str, screens: int) -> None:
        self.packer, self.mix, self.seed, self.screens = packer, mix, seed, screens

    def __iter__(self) -> Iterator[Batch]:
        """Yields batches without end."""
        rng = random.Random(self.seed)
        for batches in phone_rounds(rng, self.packer, self.mix, self.screens):
            yield from rng.sample(batches, len(batches))


def in_background(data: IterableDataset[_B], workers: int = 1) -> Iterator[_B]:
    """Prepares batches in other processes.

    Args:
        data: Generates batches. Every worker runs its own copy, so more than one worker repeats the batches.
        workers: The number of processes; 0 prepares each batch in this process.

    Returns:
        The batches.
    """
    prefetch = _PREFETCH if workers else None
    loader: DataLoader[_B] = DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=prefetch)
    return iter(loader)
