"""Fine-tunes an embedded model on web pages: behaviour cloning of MiniWoB++'s oracle, with phone screens mixed in.

    homeostat clone --env miniwob --from homeostat/nano --out checkpoints/web --minutes 20

Notable choices:

- The browser is slow compared with training, so its screens are collected once and stored in a file
  (``homeostat.nano.data.web_screens``).
- Half of every batch are new phone screens with the questions of the last stage of training from scratch. Without them
  the model forgets the phone within minutes.
- The losses are those of the phone. The text on a web page's patches is unknown, so only phone screens train reading.
- One web episode in ten is held out. ``web`` is the share of its screens whose action is right to the last token;
  ``phone`` is the same for phone screens with dev words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import torch

from homeostat.envs.miniwob import CLICK
from homeostat.nano.checkpoints import load_embedded
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.data.planner_questions import plan_examples
from homeostat.nano.data.screens import screen_examples
from homeostat.nano.data.web_collection import screens_for
from homeostat.nano.data.web_screens import WebScreen, example
from homeostat.nano.style import STYLE
from homeostat.nano.training.evaluation import held_out
from homeostat.nano.training.fine_tuning import fine_tune
from homeostat.nano.training.stages import LATE

__all__ = ["fine_tune_web"]


def _is_held_out(screen: WebScreen) -> bool:
    return crc32(f"{screen.task} {screen.seed}".encode()) % 10 == 0


def fine_tune_web(
    start: str,
    out: Path,
    tasks: Sequence[str],
    data: Path,
    *,
    minutes: float,
    per_task: int = 200,
    seed: int = 0,
    rate: float = 3e-4,
    size: int = 8,
    max_steps: int | None = None,
    attention_steps: int = 0,
) -> dict[str, float]:
    """Fine-tunes a model on web pages and the phone, and writes its folder.

    Args:
        start: The name or folder of the model to start from.
        out: The folder of the new model.
        tasks: MiniWoB++ tasks. Empty: those of the click suite.
        data: The file of screens. If it is missing, the screens are collected first.
        minutes: The time budget.
        per_task: Screens to collect of each task.
        seed: Seeds the data.
        rate: The peak learning rate.
        size: Screens per batch, half of them the phone's.
        max_steps: The most steps. None: as many as the time allows.
        attention_steps: Steps between two measurements of attention entropy and logits, which go to the folder's
            ``attention.jsonl``; 0 for none.

    Returns:
        Shares of right answers on held-out screens: ``web`` (actions), ``web_where`` (places of labels) and ``phone``
        (actions). Also the mean answer loss over the first ten steps (``loss_first``) and the last ten (``loss_last``).

    Raises:
        ConfigError: If the model is not of the embedded kind, the file has no screens of a task, or ``minutes`` is not
            above 0.
        UnknownName: If a task has no oracle.
    """
    torch.manual_seed(seed)
    model, processor = load_embedded(start)
    screens = screens_for(data, tuple(tasks) or CLICK, per_task, seed)
    packer = Packer(processor)
    kept = packer.batches([example(s) for s in screens if _is_held_out(s)], [], 16)
    held = {
        "web": (kept, "act"),
        "web_where": (kept, "where"),
        "phone": (held_out(packer, "dev", screens=32, seed="report"), "act"),
    }
    batches = _mixed(packer, [s for s in screens if not _is_held_out(s)], random.Random(seed), size)
    limits: dict[str, Any] = {"minutes": minutes, "max_steps": max_steps, "attention_steps": attention_steps}
    return fine_tune(model, processor, out, batches, held, rate=rate, **limits)


def _mixed(packer: Packer, web: Sequence[WebScreen], rng: random.Random, size: int) -> Iterator[Batch]:
    phone = [screen_examples(random.Random(rng.random()), STYLE, LATE) for _ in range(2 * size)]
    plans = plan_examples(rng, STYLE)
    while True:
        shown = [example(s) for s in rng.sample(web, min(size - size // 2, len(web)))]
        mixed = [*shown, *(next(source) for source in rng.sample(phone, size // 2))]
        yield from packer.batches(mixed, [next(plans)], len(mixed))
