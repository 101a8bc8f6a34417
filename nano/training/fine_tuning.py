"""Going on from a trained embedded model: the loop that every further lesson shares."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import typer

from homeostat.agent.models.loading import load_weights, resolve
from homeostat.agent.models.precision import autocast
from homeostat.errors import ConfigError
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.model import place_token
from homeostat.nano.training.evaluation import answers
from homeostat.nano.training.losses import losses, weighted
from homeostat.nano.training.recipe import compile_layers, optimisers_for, save_model

__all__ = ["fine_tune", "load_embedded"]

_WARM = 20  # steps in which the learning rate rises
_KEEP = 500  # steps between two savings


def load_embedded(start: str) -> tuple[Any, Any]:
    """The model in float32, ready to train, and its processor. Raises ``ConfigError`` for one of another kind."""
    model, processor = load_weights(resolve(start), None, "float32")
    tokenizer = getattr(processor, "tokenizer", processor)
    if place_token(0, 0) not in tokenizer.get_vocab():
        raise ConfigError(
            f"model {start!r} is not of the embedded kind (a place is no token of it); give such a folder"
        )
    return model.train(), processor


def fine_tune(
    model: Any,
    processor: Any,
    out: Path,
    batches: Iterator[Batch],
    held: Mapping[str, tuple[Sequence[Batch], str]],
    *,
    minutes: float,
    rate: float,
    max_steps: int | None = None,
) -> dict[str, float]:
    """Train on ``batches`` for ``minutes``, the learning rate falling to nothing, and write the folder ``out``.

    ``held``: name to held-out batches and the kind of question whose share of right answers is reported under that
    name. Returns those, and the mean answer loss over the first and the last ten steps. Raises ``ConfigError``.
    """
    if minutes <= 0:
        raise ConfigError(f"minutes {minutes!r} is not above 0; give a time budget")
    device, optimisers = model.device, optimisers_for(model, rate)
    places = torch.tensor(Packer(processor).places(), device=device)
    out.mkdir(parents=True, exist_ok=True)
    if max_steps is None:
        compile_layers(model)
    begun, step, history = time.monotonic(), 0, list[float]()
    while True:
        progress = (time.monotonic() - begun) / (60 * minutes)
        if progress >= 1 or (max_steps is not None and step >= max_steps):
            break
        batch = next(batches).to(device)
        for optimiser, peak in zip(optimisers, (2 * rate, rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * min(1.0, (step + 1) / _WARM) * (1 - progress)
        with autocast(device):
            parts = losses(model, batch, places, read_only=False)
        weighted(parts).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        history.append(parts["answer"].item())
        step += 1
        if step % _KEEP == 0:
            save_model(out, model, processor)
        if step % 100 == 0:
            _tell(out, {"step": step, "minutes": (time.monotonic() - begun) / 60, "answer": sum(history[-100:]) / 100})
    model.eval()
    figures = {"loss_first": _mean(history[:10]), "loss_last": _mean(history[-10:])}
    for name, (kept, kind) in held.items():
        if kept and (found := answers(model, list(kept), places)[kind]):
            figures[name] = _mean(found)
    _tell(out, {"step": step, "minutes": (time.monotonic() - begun) / 60} | figures)
    save_model(out, model, processor)
    return figures


def _tell(out: Path, line: dict[str, float]) -> None:
    rounded = {k: round(v, 4) for k, v in line.items()}
    with (out / "training.jsonl").open("a") as file:
        file.write(json.dumps(rounded) + "\n")
    typer.echo(" ".join(f"{k} {v}" for k, v in rounded.items()))


def _mean(values: Sequence[float]) -> float:
    return sum(values) / max(len(values), 1)
