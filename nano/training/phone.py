"""Fine-tunes an embedded model on the phone.

    homeostat clone --from homeostat/nano --out checkpoints/further --minutes 50

The batches hold the questions of the last stage of training from scratch. A model that reads already doesn't need the
earlier stages.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import IterableDataset

from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.checkpoints import load_embedded
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.training.batches import in_background, phone_rounds
from homeostat.nano.training.evaluation import held_out
from homeostat.nano.training.fine_tuning import fine_tune
from homeostat.nano.training.stages import LATE

__all__ = ["fine_tune_phone"]


class _Batches(IterableDataset[Batch]):
    """Batches of phone screens without end, in random order within a round."""

    def __init__(self, packer: Packer, seed: int, screens: int) -> None:
        self.packer, self.seed, self.screens = packer, seed, screens

    def __iter__(self) -> Iterator[Batch]:
        rng = random.Random(f"watching {self.seed}")
        rng.random()  # not used; a seed goes on giving the batches that it always gave
        for batches in phone_rounds(rng, self.packer, LATE, self.screens):
            yield from rng.sample(batches, len(batches))


def fine_tune_phone(
    start: str,
    out: Path,
    *,
    minutes: float,
    seed: int = 0,
    rate: float = 3e-4,
    screens: int = 8,
    max_steps: int | None = None,
    workers: int = 1,
    attention_steps: int = 0,
) -> dict[str, float]:
    """Fine-tunes a model on the phone, and writes its folder.

    Args:
        start: The name or folder of the model to start from.
        out: The folder of the new model.
        minutes: The time budget.
        seed: Seeds the data.
        rate: The peak learning rate.
        screens: Screens per batch.
        max_steps: The most steps. None: as many as the time allows. A number also makes the held-out sets small.
        workers: Processes that prepare batches; 0 prepares them in this process.
        attention_steps: Steps between two measurements of attention entropy and logits, which go to the folder's
            ``attention.jsonl``; 0 for none.

    Returns:
        Shares of right answers: ``phone`` (actions) and ``plan``, on dev words; ``new`` (actions on dev templates).
        Also the mean answer loss over the first ten steps (``loss_first``) and the last ten (``loss_last``).

    Raises:
        ConfigError: If the model is not of the embedded kind, or ``minutes`` is not above 0.
    """
    torch.manual_seed(seed)
    model, processor = load_embedded(start)
    packer = Packer(processor)
    size = 96 if max_steps is None else 16
    screens_kept = held_out(packer, "dev", screens=size, seed="report")
    new = held_out(packer, "dev", screens=size, seed="new", templates=templates_of("dev"))
    held = {
        "phone": (screens_kept, "act"),
        "plan": (screens_kept, "plan"),
        "new": (new, "act"),
    }
    batches = in_background(_Batches(packer, seed, screens), workers)
    limits: dict[str, Any] = {"minutes": minutes, "max_steps": max_steps, "attention_steps": attention_steps}
    return fine_tune(model, processor, out, batches, held, rate=rate, **limits)
