"""``homeostat ground``: train the pointer head, and measure where it points."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

import torch

from homeostat.agent.models.batching import answer_all
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.pointing.head import Pointer, patch_grid, read_point
from homeostat.alignment.pointing.labels import Labels, inside, peak_label
from homeostat.alignment.pointing.loss import pointer_loss
from homeostat.alignment.pointing.targets import SIZES, Target, asked, size_of
from homeostat.envs.harness import wilson
from homeostat.errors import ConfigError

__all__ = ["Hits", "hits_by_size", "pointed", "spoken", "train_pointer"]

Point = tuple[float, float] | None


@dataclass(frozen=True)
class Hits:
    """Points in their boxes: ``hits`` of ``targets``, share and 95 % Wilson interval."""

    hits: int
    targets: int

    def __str__(self) -> str:
        """As it is shown."""
        return f"{self.hits} of {self.targets}, {wilson(self.hits, self.targets).percent()}" if self.targets else "none"


def train_pointer(
    white: TransformersModel,
    targets: Iterator[Target],
    *,
    steps: int,
    labels: Labels = "gauss",
    sharpness: float = 4.1325,
    valley: float = 1.0,
    batch: int = 16,
    rate: float = 1e-3,
    trained: Any = None,
    seed: int = 0,
    told: Callable[[int, float], None] = lambda n, loss: None,
) -> Pointer:
    """Train the head for ``steps`` batches (AdamW, the rate falling as a cosine).

    ``trained``: a PEFT model around ``white.model`` whose adapter is trained along; None keeps the backbone frozen.
    """
    torch.manual_seed(seed)
    device = white.model.device
    head = Pointer(white.model.config.get_text_config(decoder=True).hidden_size).to(device)
    model = trained if trained is not None else white.model
    for p in white.model.parameters() if trained is None else ():
        p.requires_grad_(False)
    groups: list[dict[str, Any]] = [{"params": list(head.parameters()), "lr": rate}]
    if trained is not None:
        groups.append({"params": [p for p in trained.parameters() if p.requires_grad], "lr": rate / 5})
    optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, [g["lr"] for g in groups], total_steps=steps, pct_start=0.1
    )
    for step in range(steps):
        group = list(islice(targets, batch))
        rows = [white.renderer.render(asked(white.style, t)) for t in group]
        grid = _grid(rows[0], group[0])
        wanted = torch.stack([torch.from_numpy(peak_label(t.box, *grid, labels, sharpness)) for t in group])
        outside = torch.stack([torch.from_numpy(~inside(t.box, *grid)) for t in group]).float()
        loss = pointer_loss(head.attend(model, rows), wanted.to(device), outside.to(device), valley)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(head.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        told(step + 1, loss.item())
    return head


@torch.no_grad()
def pointed(
    white: TransformersModel,
    head: Pointer,
    targets: Sequence[Target],
    *,
    best: Literal["max", "mean"] = "max",
    batch: int = 16,
) -> list[Point]:
    """The head's points, each from one forward pass; targets of one image size stand together."""
    order = sorted(range(len(targets)), key=lambda n: targets[n].screenshot.shape[:2])
    found: dict[int, Point] = {}
    rows = {n: white.renderer.render(asked(white.style, targets[n])) for n in order}
    while order:
        size = rows[order[0]].images[0].stop - rows[order[0]].images[0].start
        group = [n for n in order if rows[n].images[0].stop - rows[n].images[0].start == size][:batch]
        attention = head.attend(white.model, [rows[n] for n in group]).cpu().numpy()
        for n, own in zip(group, attention, strict=True):
            found[n] = read_point(own, *_grid(rows[n], targets[n]), best)
        order = [n for n in order if n not in found]
    return [found[n] for n in range(len(targets))]


def spoken(white: TransformersModel, targets: Sequence[Target]) -> list[Point]:
    """The points that the model itself writes as coordinates; None where it writes none."""
    points: list[Point] = []
    texts = answer_all(white, [asked(white.style, t) for t in targets], max_new_tokens=24)
    for target, text in zip(targets, texts, strict=True):
        height, width = target.screenshot.shape[:2]
        grid = white.style.coordinates == "pixels"
        try:
            x, y = json.loads(text[text.index("[") : text.index("]") + 1])
            points.append((x / width, y / height) if grid else (x / 1000, y / 1000))
        except (ValueError, TypeError):
            points.append(None)
    return points


def hits_by_size(points: Sequence[Point], targets: Sequence[Target]) -> dict[str, Hits]:
    """Points in boxes: by target size, and ``all``. Raises :class:`ConfigError` for other numbers of both."""
    if len(points) != len(targets):
        raise ConfigError(f"{len(points)} points for {len(targets)} targets")
    hit = [p is not None and _in(p, t) for p, t in zip(points, targets, strict=True)]
    sizes = [size_of(t.box) for t in targets]
    found = {s: [h for h, size in zip(hit, sizes, strict=True) if size == s] for s in SIZES}
    return {name: Hits(sum(own), len(own)) for name, own in (found | {"all": hit}).items()}


def _in(point: tuple[float, float], target: Target) -> bool:
    left, top, right, bottom = target.box
    return left <= point[0] <= right and top <= point[1] <= bottom


def _grid(row: Any, target: Target) -> tuple[int, int]:
    return patch_grid(row.images[0].stop - row.images[0].start, *target.screenshot.shape[:2])
