"""The held-out evaluation of a model in training: its answers to questions with words that it was never shown."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch

from homeostat.agent.models.precision import autocast
from homeostat.envs.phone.tasks.base import Template
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Split
from homeostat.nano.data.mix import Mix
from homeostat.nano.data.packing import IGNORE, KINDS, Batch, Packer
from homeostat.nano.data.planner_questions import plan_examples
from homeostat.nano.data.screens import screen_examples
from homeostat.nano.style import STYLE
from homeostat.nano.training.guidance import guidance_losses
from homeostat.nano.training.losses import hidden_states, reading_logits

__all__ = ["answers", "held_out", "report"]


def held_out(
    packer: Packer, split: Split, *, screens: int, seed: str, templates: Mapping[str, Template] | None = None
) -> list[Batch]:
    """Makes batches for evaluation, without stray actions.

    Args:
        packer: Packs the examples.
        split: The split that words come from.
        screens: The number of screens. There are a quarter as many planning questions.
        seed: Seeds the data.
        templates: The templates that the screens' tasks come from. All goals are then in the templates' own words, on
            whole phones without invented apps. None: the training templates. Planning questions always use these.

    Returns:
        Batches of 16 screens.
    """
    rng = random.Random(f"{split} {seed}")
    mix = Mix(noise=0)
    if templates is not None:
        mix = Mix(noise=0, joined=0, conditional=0, whole=1, invented=0, loose=0)
    shown = screen_examples(rng, STYLE, mix, split, templates or templates_of("train"))
    plans = plan_examples(rng, STYLE, split)
    return packer.batches([next(shown) for _ in range(screens)], [next(plans) for _ in range(screens // 4)], 16)


@torch.no_grad()
def answers(model: Any, batches: list[Batch], places: torch.Tensor) -> dict[str, list[float]]:
    """Judges the answers to all questions by teacher forcing.

    Args:
        model: The model.
        batches: Held-out batches.
        places: (P,) the token of each patch's place, on the model's device.

    Returns:
        Kind of question -> for each question 1 if every token of the answer is right, else 0. There are also three
        lists with one value per batch: ``read``, the share of patches whose text is read right; ``match`` and
        ``point``, the geometric mean of the guided heads' attention mass on the right positions.
    """
    device = places.device
    found: dict[str, list[float]] = {kind: [] for kind in ("read", "match", "point", *KINDS)}
    for cpu in batches:
        batch = cpu.to(device)
        with autocast(device):
            hidden, inputs, seen = hidden_states(model, batch)
            for name, loss in guidance_losses(model, inputs, batch).items():
                found[name].append(loss.neg().exp().item())
            asked = batch.labels != IGNORE
            hit = model.lm_head(hidden[asked]).argmax(-1) == batch.labels[asked]
            letters = reading_logits(model, seen).index_fill(-1, places, float("-inf")).argmax(-1)
        written = batch.patches != IGNORE
        found["read"].append((letters == batch.patches)[written].float().mean().item())
        row = torch.arange(len(batch.branch), device=device)[:, None].expand_as(batch.branch)[asked]
        groups: dict[tuple[int, int, int], bool] = {}
        for r, n, k, h in zip(
            row.tolist(), batch.branch[asked].tolist(), batch.kinds[asked].tolist(), hit.tolist(), strict=True
        ):
            groups[r, n, k] = groups.get((r, n, k), True) and h
        for (_, _, k), right in groups.items():
            found[KINDS[k]].append(float(right))
    return found


def report(model: Any, batches: list[Batch], places: torch.Tensor) -> dict[str, float]:
    """Averages what ``answers`` returns.

    Args:
        model: The model.
        batches: Held-out batches.
        places: (P,) the token of each patch's place, on the model's device.

    Returns:
        Kind of question -> share of right answers. Kinds without questions are left out.
    """
    return {kind: sum(v) / len(v) for kind, v in answers(model, batches, places).items() if v}
