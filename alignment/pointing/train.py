"""Trains a pointer head, and measures how often it points into the right box."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import numpy as np
import torch

from homeostat.agent.models.batching import answer_all
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.pointing.head import Pointer, patch_grid, patches_of, read_point
from homeostat.alignment.pointing.labels import PEAKED, Labels, inside, peak_label
from homeostat.alignment.pointing.loss import pointer_loss
from homeostat.alignment.pointing.targets import SIZES, Target, asked, size_of
from homeostat.envs.harness import wilson
from homeostat.errors import ConfigError
from homeostat.sensors.chat.rendering import Rendered

__all__ = ["Hits", "PointerTraining", "hits_by_size", "pointed", "spoken", "train_pointer"]

Point = tuple[float, float] | None
"""x and y, as shares of the width and the height; None for no point."""


@dataclass(frozen=True)
class PointerTraining:
    """How a pointer head is trained.

    Attributes:
        steps: The number of batches.
        labels: The form of the wanted attention.
        sharpness: s, for the labels ``gauss``.
        valley: The weight of the attention outside the box in the loss.
        batch: The number of targets in a batch.
        rate: The peak learning rate of the head; an adapter gets a fifth of it. It decays as a cosine.
        seed: The random seed of the head's initial weights.
    """

    steps: int
    labels: Labels = "gauss"
    sharpness: float = PEAKED
    valley: float = 1.0
    batch: int = 16
    rate: float = 1e-3
    seed: int = 0


@dataclass(frozen=True)
class Hits:
    """How many points lie in their boxes. As a string it shows the share with its 95 % Wilson interval.

    Attributes:
        hits: The number of points in their boxes.
        targets: The number of targets.
    """

    hits: int
    targets: int

    def __str__(self) -> str:
        """Returns the counts, the share and its interval."""
        return f"{self.hits} of {self.targets}, {wilson(self.hits, self.targets).percent()}" if self.targets else "none"


def train_pointer(
    model: TransformersModel,
    targets: Iterator[Target],
    training: PointerTraining,
    *,
    adapted: Any = None,
    on_step: Callable[[int, float], None] = lambda step, loss: None,
) -> Pointer:
    """Trains a pointer head with AdamW.

    Args:
        model: The backbone.
        targets: The training targets, at least ``steps * batch`` of them. Those of a batch have images of one size.
        training: How to train.
        adapted: A PEFT model around ``model.model`` whose adapter is trained too; None keeps the backbone frozen.
        on_step: Called after each step with its number and its loss.

    Returns:
        The head.

    Raises:
        ConfigError: The backbone can't have a pointer head, or the images of a batch differ in size.
    """
    torch.manual_seed(training.seed)
    device = model.model.device
    head = Pointer(model.model.config.get_text_config(decoder=True).hidden_size).to(device)
    network = adapted if adapted is not None else model.model
    groups: list[dict[str, Any]] = [{"params": list(head.parameters()), "lr": training.rate}]
    if adapted is None:
        model.model.requires_grad_(False)
    else:
        groups.append({"params": [p for p in adapted.parameters() if p.requires_grad], "lr": training.rate / 5})
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [g["lr"] for g in groups], total_steps=training.steps, pct_start=0.1
    )
    for step in range(training.steps):
        group = list(islice(targets, training.batch))
        rows = [model.renderer.render(asked(model.style, t)) for t in group]
        grid = _grid(rows[0], group[0])
        wanted = np.stack([peak_label(t.box, *grid, training.labels, training.sharpness) for t in group])
        outside = np.stack([~inside(t.box, *grid) for t in group])
        loss = pointer_loss(
            head.attend(network, rows),
            torch.from_numpy(wanted).to(device),
            torch.from_numpy(outside).float().to(device),
            training.valley,
        )
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        on_step(step + 1, loss.item())
    return head


@torch.no_grad()
def pointed(
    model: TransformersModel,
    head: Pointer,
    targets: Sequence[Target],
    *,
    best: Literal["max", "mean"] = "max",
    batch: int = 16,
) -> list[Point]:
    """Points with the head, at one forward pass for each batch of images of one size.

    Args:
        model: The backbone.
        head: The head.
        targets: The targets.
        best: Which region of the attention gives the point, as in :func:`read_point`.
        batch: The largest number of targets in a batch.

    Returns:
        A point for each target.
    """
    order = sorted(range(len(targets)), key=lambda n: targets[n].screenshot.shape[:2])
    found: dict[int, Point] = {}
    rows = {n: model.renderer.render(asked(model.style, targets[n])) for n in order}
    while order:
        size = patches_of(rows[order[0]])
        group = [n for n in order if patches_of(rows[n]) == size][:batch]
        attention = head.attend(model.model, [rows[n] for n in group]).cpu().numpy()
        for n, own in zip(group, attention, strict=True):
            found[n] = read_point(own, *_grid(rows[n], targets[n]), best)
        order = [n for n in order if n not in found]
    return [found[n] for n in range(len(targets))]


def spoken(model: TransformersModel, targets: Sequence[Target]) -> list[Point]:
    """Asks the model itself for coordinates, as a baseline.

    Args:
        model: The model.
        targets: The targets.

    Returns:
        A point for each target; None if the answer holds none.
    """
    points: list[Point] = []
    texts = answer_all(model, [asked(model.style, t) for t in targets], max_new_tokens=24)
    for target, text in zip(targets, texts, strict=True):
        height, width = target.screenshot.shape[:2]
        in_pixels = model.style.coordinates == "pixels"
        try:
            x, y = json.loads(text[text.index("[") : text.index("]") + 1])
            points.append((x / width, y / height) if in_pixels else (x / 1000, y / 1000))
        except (ValueError, TypeError, OverflowError, RecursionError):  # whatever the model wrote in brackets
            points.append(None)
    return points


def hits_by_size(points: Sequence[Point], targets: Sequence[Target]) -> dict[str, Hits]:
    """Counts the points that lie in their boxes.

    Args:
        points: A point for each target; None counts as a miss.
        targets: The targets.

    Returns:
        The hits for each size of target, and for ``all``.

    Raises:
        ConfigError: There are not as many points as targets.
    """
    if len(points) != len(targets):
        raise ConfigError(f"there are {len(points)} points for {len(targets)} targets; give one for each")
    hit = [p is not None and _in(p, t) for p, t in zip(points, targets, strict=True)]
    sizes = [size_of(t.box) for t in targets]
    found = {s: [h for h, size in zip(hit, sizes, strict=True) if size == s] for s in SIZES}
    return {name: Hits(sum(own), len(own)) for name, own in (found | {"all": hit}).items()}


def _in(point: tuple[float, float], target: Target) -> bool:
    left, top, right, bottom = target.box
    return left <= point[0] <= right and top <= point[1] <= bottom


def _grid(row: Rendered, target: Target) -> tuple[int, int]:
    return patch_grid(patches_of(row), *target.screenshot.shape[:2])
