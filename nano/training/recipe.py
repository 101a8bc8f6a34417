"""Behaviour cloning of the embedded model on the oracle's episodes: the recipe, on one page.

    homeostat clone --out checkpoints/nano --minutes 140      # two CPU cores; minutes on a GPU

Notable choices:

- Stage 1 (2 % of the time): every patch predicts the two characters written on it, and the token of its own place,
  through the projector and the language model's *own* embedding matrix, so that a patch arrives as the sum of a word
  and a place. It stays on as a small auxiliary loss. Without it nothing is ever read.
- Stage 2: questions about screens (``homeostat.nano.data.episodes``), packed several to a screen
  (``homeostat.nano.data.packing``); first mostly pointing and reading, then mostly acting, at last mostly
  acting where the screen itself matters.
- Three heads are told where to look (``homeostat.nano.training.guidance``): without that the model learned every fixed
  label and hardly ever found a word that it had to look for.
- Muon on the matrices and AdamW on the rest, bf16 autocast where that is quicker, a learning rate that is constant,
  then falls to nothing over the last two thirds of the time. The loop is written out: it is shorter than the
  configuration of a trainer would be.
- Words of the dev and test vocabularies, and the dev and test templates, are never drawn here; the progress report
  uses the dev words, and for ``new`` the dev templates.
"""

from __future__ import annotations

import json
import random
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import typer
from torch.utils.data import DataLoader, IterableDataset

from homeostat.agent.models.precision import autocast, bfloat16_is_quick
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.data.episodes import Mix, plan_examples, screen_examples
from homeostat.nano.data.packing import Batch, Packer
from homeostat.nano.model import STYLE, build_model, build_processor, save_style
from homeostat.nano.training.evaluation import held_out, report
from homeostat.nano.training.losses import losses, weighted
from homeostat.nano.training.muon import Muon

__all__ = ["compile_layers", "optimisers_for", "save_model", "train"]

EARLY = Mix(phrasings=1, other_goals=3, where=4, what=2)
MIDDLE = Mix(phrasings=2, other_goals=7, where=2, what=1)
LATE = Mix(phrasings=3, other_goals=7, away=0.25, where=1, what=2)
STAGES = {"read": (0.0, EARLY), "early": (0.015, EARLY), "middle": (0.075, MIDDLE), "late": (0.25, LATE)}  # from, data
FALL_SHARE = 0.65  # of the whole budget, as are the stages' beginnings


class _Screens(IterableDataset[Batch]):
    """Batches without end; each worker draws its own."""

    def __init__(self, packer: Packer, mix: Mix, seed: str, screens: int) -> None:
        self.packer, self.mix, self.seed, self.screens = packer, mix, seed, screens

    def __iter__(self) -> Iterator[Batch]:
        torch.set_num_threads(1)
        rng = random.Random(self.seed)
        # several episodes side by side, so that a batch is not one episode's screens
        sources = [screen_examples(random.Random(rng.random()), STYLE, self.mix) for _ in range(4 * self.screens)]
        plans = plan_examples(rng, STYLE)
        while True:
            split = [next(plans) for _ in range(2 * self.screens)]
            batches = self.packer.batches([next(s) for s in sources], split, self.screens)
            yield from rng.sample(batches, len(batches))


def _loader(packer: Packer, mix: Mix, seed: str, screens: int, workers: int) -> Iterator[Batch]:
    data = _Screens(packer, mix, seed, screens)
    return iter(DataLoader(data, batch_size=None, num_workers=workers, prefetch_factor=6 if workers else None))


def save_model(folder: Path, model: Any, processor: Any) -> None:
    """Write a model folder: weights in bfloat16, the processor and the prompts' wording."""
    folder.mkdir(parents=True, exist_ok=True)
    half = {k: v.detach().to(torch.bfloat16).cpu() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=half)
    processor.save_pretrained(folder)
    save_style(folder)


def optimisers_for(model: Any, rate: float) -> list[torch.optim.Optimizer]:
    """Muon for the layers' matrices (twice the rate), AdamW for embeddings, norms, biases and the patch projection."""
    named, quick = dict(model.named_parameters()), bfloat16_is_quick(model.device.type)
    matrices = [p for name, p in named.items() if p.ndim == 2 and "embed" not in name]
    groups: list[dict[str, Any]] = [
        {"params": [p for n, p in named.items() if p.ndim > 1 and not (p.ndim == 2 and "embed" not in n)]},
        {"params": [p for p in named.values() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [
        Muon(matrices, lr=2 * rate, weight_decay=0.05, dtype=torch.bfloat16 if quick else None),
        torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98), weight_decay=0.05),
    ]


def compile_layers(model: Any) -> None:
    """Compile every layer in place where that gains something (half as fast again on two CPU cores; the first steps
    take a minute). In float32 the products take nearly all the time.
    """
    kind = model.device.type
    if not bfloat16_is_quick(kind) or not (shutil.which("c++") or kind == "cuda"):
        return
    tower = model.model.vision_tower
    for layer in (*model.model.language_model.layers, *getattr(tower, "vision_model", tower).encoder.layers):
        layer.compile(dynamic=True)


def train(
    out: Path, minutes: float, seed: int, screens: int, width: int, layers: int, rate: float, resume: bool
) -> dict[str, float]:
    """Run the recipe for ``minutes``; the model folder is ``out``. Returns the last report on dev words (``new``:
    the actions that dev templates ask for).
    """
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    processor = build_processor()
    model = build_model(processor.tokenizer, width=width, layers=layers).to(device)
    optimisers = optimisers_for(model, rate)
    packer, state = Packer(processor), out / "training.pt"
    places = torch.tensor(packer.places(), device=device)
    step, spent = 0, 0.0
    if resume and state.exists():
        saved = torch.load(state, map_location=device, weights_only=True)
        model.load_state_dict(saved["model"])
        for optimiser, kept in zip(optimisers, saved["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        step, spent = saved["step"], saved["spent"]
    first = step
    compile_layers(model)
    dev = held_out(packer, "dev", screens=128, seed="report")
    new = held_out(packer, "dev", screens=96, seed="new", templates=templates_of("dev"))
    begun, stage = time.monotonic() - spent, ""
    source: Iterator[Batch] = iter(())
    log = out / "training.jsonl"
    out.mkdir(parents=True, exist_ok=True)
    figures: dict[str, float] = {}
    while True:
        progress = (time.monotonic() - begun) / (60 * minutes)
        done = progress >= 1
        now = [name for name, (begin, _) in STAGES.items() if begin <= max(progress, 0.0)][-1]
        if now != stage:
            stage = now
            source = _loader(packer, STAGES[now][1], f"{seed} {now} {step}", screens, 1)
        if done or step % 500 == 0:
            figures = report(model, dev, places) | {"new": report(model, new, places)["act"]}
            line = {"step": step, "minutes": round((time.monotonic() - begun) / 60, 2), "stage": stage}
            with log.open("a") as file:
                file.write(json.dumps(line | {k: round(v, 4) for k, v in figures.items()}) + "\n")
            typer.echo(f"{line} " + " ".join(f"{k} {v:.3f}" for k, v in figures.items()))
            spent = time.monotonic() - begun
            kept = [o.state_dict() for o in optimisers]
            torch.save({"model": model.state_dict(), "optimisers": kept, "step": step, "spent": spent}, state)
        if done:
            save_model(out, model, processor)
            return figures
        share = min(1.0, (step - first + 1) / 100) * min(1.0, (1 - progress) / FALL_SHARE)
        for optimiser, peak in zip(optimisers, (2 * rate, rate), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * share
        batch = next(source).to(device)
        with autocast(device):
            parts = losses(model, batch, places, read_only=stage == "read")
        loss = parts["read"] if stage == "read" else weighted(parts)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimiser in optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        step += 1
