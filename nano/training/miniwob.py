"""Teach the embedded model web pages: behaviour cloning of MiniWoB++'s oracle, with phone screens mixed in.

    homeostat clone --env miniwob --from homeostat/nano --out checkpoints/web --minutes 20

Notable choices:

- The browser is slow beside the training, so the screens are collected once, to a file (``alignment.web_screens``).
- Half of every batch are fresh phone screens with the questions of the last stage of ``homeostat clone``: without them
  the phone is forgotten within minutes.
- The losses are the phone's; what is written on a web page's patches is not known, so only the phone's are read.
- One episode in ten is held out; ``web`` is the share of its screens whose action is right to the last token, ``phone``
  the same on the phone's dev words.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from zlib import crc32

import torch

from homeostat.envs.miniwob import CLICK, ORACLES
from homeostat.errors import ConfigError, UnknownName
from homeostat.nano.data.episodes import plan_examples, screen_examples
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.data.web_screens import WebScreen, collect, example, load_screens, save_screens
from homeostat.nano.model import STYLE
from homeostat.nano.training.evaluation import held_out
from homeostat.nano.training.fine_tuning import fine_tune, load_embedded
from homeostat.nano.training.recipe import LATE

__all__ = ["fine_tune_web", "screens_for"]


def screens_for(file: Path, tasks: Sequence[str], per_task: int, seed: int) -> list[WebScreen]:
    """The file's screens of these tasks; collected and written first where there is no such file.

    Raises ``ConfigError`` where the file lacks one of the tasks.
    """
    unknown = next((task for task in tasks if task not in ORACLES), None)
    if unknown is not None:
        raise UnknownName.of("task with an oracle", unknown, ORACLES)
    if not file.exists():
        save_screens(file, list(collect(tasks, per_task, seed)))
    screens = [s for s in load_screens(file) if s.task in tasks]
    lacking = sorted(set(tasks) - {s.task for s in screens})
    if lacking:
        raise ConfigError(f"{str(file)!r} has no screens of {lacking!r}; delete it, or give another --data")
    return screens


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
) -> dict[str, float]:
    """Fine-tune the model ``start`` and write the folder ``out``; ``tasks`` () are the click suite's.

    ``size``: screens a batch, half of them the phone's. Returns the shares of right actions on held-out screens, and
    the mean answer loss over the first and the last ten steps. Raises ``ConfigError``.
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
    return fine_tune(model, processor, out, batches, held, minutes=minutes, rate=rate, max_steps=max_steps)


def _mixed(packer: Packer, web: Sequence[WebScreen], rng: random.Random, size: int) -> Iterator[Batch]:
    phone = [screen_examples(random.Random(rng.random()), STYLE, LATE) for _ in range(2 * size)]
    plans = plan_examples(rng, STYLE)
    while True:
        shown = [example(s) for s in rng.sample(web, min(size - size // 2, len(web)))]
        mixed = [*shown, *(next(source) for source in rng.sample(phone, size // 2))]
        yield from packer.batches(mixed, [next(plans)], len(mixed))
