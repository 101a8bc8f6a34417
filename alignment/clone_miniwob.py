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

import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import torch
import typer

from homeostat.agent.loading import load_weights, resolve
from homeostat.alignment.clone import LATE, optimisers_for, save_model
from homeostat.alignment.episodes import plan_examples, screen_examples
from homeostat.alignment.losses import losses
from homeostat.alignment.nano import STYLE, place_token
from homeostat.alignment.packing import Packer
from homeostat.alignment.precision import autocast
from homeostat.alignment.progress import answers, held_out
from homeostat.alignment.web_screens import WebScreen, collect, example, load_screens, save_screens
from homeostat.envs.errors import ConfigError, UnknownName
from homeostat.envs.miniwob import CLICK, ORACLES

__all__ = ["fine_tune", "screens_for"]

_WARM = 20  # steps in which the learning rate rises


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


def _load(start: str) -> tuple[Any, Any]:
    model, processor = load_weights(resolve(start), None, "float32")
    tokenizer = getattr(processor, "tokenizer", processor)
    if place_token(0, 0) not in tokenizer.get_vocab():
        raise ConfigError(
            f"model {start!r} is not of the embedded kind (a place is no token of it); give such a folder"
        )
    return model.train(), processor


def _is_held_out(screen: WebScreen) -> bool:
    return crc32(f"{screen.task} {screen.seed}".encode()) % 10 == 0


def fine_tune(
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
    if minutes <= 0:
        raise ConfigError(f"minutes {minutes!r} is not above 0; give a time budget")
    torch.manual_seed(seed)
    rng = random.Random(seed)
    model, processor = _load(start)
    screens = screens_for(data, tuple(tasks) or CLICK, per_task, seed)
    shown = [s for s in screens if not _is_held_out(s)]
    kept = [s for s in screens if _is_held_out(s)]
    packer, device = Packer(processor), model.device
    places = torch.tensor(packer.places(), device=device)
    phone = [screen_examples(random.Random(rng.random()), STYLE, LATE) for _ in range(2 * size)]
    plans, optimisers = plan_examples(rng, STYLE), optimisers_for(model, rate)
    out.mkdir(parents=True, exist_ok=True)
    begun, step, history = time.monotonic(), 0, list[float]()
    while True:
        progress = (time.monotonic() - begun) / (60 * minutes)
        if progress >= 1 or (max_steps is not None and step >= max_steps):
            break
        web = [example(s) for s in rng.sample(shown, min(size - size // 2, len(shown)))]
        mixed = [*web, *(next(source) for source in rng.sample(phone, size // 2))]
        (batch,) = packer.batches(mixed, [next(plans)], len(mixed))
        for optimiser, peak in zip(optimisers, (2 * rate, rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * min(1.0, (step + 1) / _WARM) * (1 - progress)
        with autocast(device):
            parts = losses(model, batch.to(device), places, read_only=False)
        loss = parts["answer"] + 0.5 * (parts["match"] + parts["point"]) + 0.2 * parts["read"]
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        history.append(parts["answer"].item())
        step += 1
        if step % 100 == 0:
            _tell(out, {"step": step, "minutes": (time.monotonic() - begun) / 60, "answer": sum(history[-100:]) / 100})
    figures = _figures(model, packer, places, kept, history)
    _tell(out, {"step": step, "minutes": (time.monotonic() - begun) / 60} | figures)
    save_model(out, model, processor)
    return figures


def _tell(out: Path, line: dict[str, float]) -> None:
    rounded = {k: round(v, 4) for k, v in line.items()}
    with (out / "training.jsonl").open("a") as file:
        file.write(json.dumps(rounded) + "\n")
    typer.echo(" ".join(f"{k} {v}" for k, v in rounded.items()))


def _figures(
    model: Any, packer: Packer, places: torch.Tensor, kept: Sequence[WebScreen], history: Sequence[float]
) -> dict[str, float]:
    model.eval()
    web = answers(model, packer.batches([example(s) for s in kept], [], 16), places) if kept else {}
    phone = answers(model, held_out(packer, "dev", screens=32, seed="report"), places)
    figures = {"loss_first": _mean(history[:10]), "loss_last": _mean(history[-10:])}
    for name, found in (("web", web.get("act", [])), ("web_where", web.get("where", [])), ("phone", phone["act"])):
        if found:
            figures[name] = _mean(found)
    return figures


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)
