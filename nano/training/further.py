"""Go on from a trained embedded model: more of the phone, or the phone and screen recordings.

    homeostat clone --from homeostat/nano --out checkpoints/further --minutes 50
    homeostat clone --env recording --from homeostat/nano --out checkpoints/watching --minutes 120

Notable choices:

- The phone's batches hold the questions of the last stage of ``homeostat clone``, without stages: who can read needs no
  more of the first ones.
- A recording is 8 to 32 images before the question: rows of 1,200 to 4,700 tokens, so a batch holds few recordings, and
  several questions are asked of each (``alignment.watching``). One batch of four is recordings (two thirds of the time,
  as the attention's cost grows with the square of a row): with fewer phone batches the phone is forgotten.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import torch
from torch.utils.data import DataLoader, IterableDataset

from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.data.episodes import plan_examples, screen_examples
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.data.recordings import recording_examples
from homeostat.nano.model import STYLE
from homeostat.nano.training.evaluation import held_out
from homeostat.nano.training.fine_tuning import fine_tune, load_embedded
from homeostat.nano.training.recipe import LATE

__all__ = ["fine_tune_further"]


class _Batches(IterableDataset[Batch]):
    """Batches of phone screens and, where there are any, one of recordings for every four."""

    def __init__(self, packer: Packer, seed: int, recordings: int, screens: int) -> None:
        self.packer, self.seed, self.recordings, self.screens = packer, seed, recordings, screens

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        rng = random.Random(f"watching {self.seed}")
        watched = recording_examples(random.Random(rng.random()), STYLE)
        phone = [screen_examples(random.Random(rng.random()), STYLE, LATE) for _ in range(4 * self.screens)]
        plans = plan_examples(rng, STYLE)
        while True:
            asked = [next(plans) for _ in range(self.screens * 2)]
            batches = self.packer.batches([next(source) for source in phone], asked, self.screens)
            if self.recordings:
                some = sorted((next(watched) for _ in range(self.recordings)), key=lambda e: len(e.frames))
                batches[rng.randrange(len(batches))] = self.packer.recordings(some)
            yield from rng.sample(batches, len(batches))


def fine_tune_further(
    start: str,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    rate: float = 3e-4,
    recordings: int = 0,
    screens: int = 8,
    max_steps: int | None = None,
    workers: int = 1,
) -> dict[str, float]:
    """Fine-tune the model ``start`` and write the folder ``out``.

    ``recordings``, ``screens``: how many a batch (0 recordings: the phone alone). Returns the shares of right answers
    about recordings (``watch``), of right actions on the phone and of right plans, all on dev words, of right actions
    that dev templates ask for (``new``), and the mean answer loss over the first and the last ten steps. Raises
    ``ConfigError``.
    """
    torch.manual_seed(seed)
    model, processor = load_embedded(start)
    packer = Packer(processor)
    dev = recording_examples(random.Random("dev"), STYLE, "dev", further=0)
    watched = 0 if not recordings else 25 if max_steps is None else 1
    kept = [packer.recordings([next(dev) for _ in range(4)]) for _ in range(watched)]
    size = 96 if max_steps is None else 16
    dev_screens = held_out(packer, "dev", screens=size, seed="report")
    new = held_out(packer, "dev", screens=size, seed="new", templates=templates_of("dev"))
    held = {"watch": (kept, "watch"), "phone": (dev_screens, "act"), "plan": (dev_screens, "plan"), "new": (new, "act")}
    data = _Batches(packer, seed, recordings, screens)
    batches = iter(DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=4 if workers else None))
    return fine_tune(model, processor, out, batches, held, minutes=minutes, rate=rate, max_steps=max_steps)
