"""``homeostat ground``: a head that points by attention."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer
from pydantic import Field

from homeostat.alignment.pointing.labels import PEAKED, Labels
from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["GroundSettings", "command"]


class GroundSettings(Settings):
    """Fields are the command's flags."""

    data: Path | None = Field(
        None, description="A ScreenSpot file to train on. Default: the phone simulator's screens."
    )
    test: Path | None = Field(None, description="A ScreenSpot file to measure on. Default: phone screens, test words.")
    boxes: Literal["xywh", "xyxy"] = Field("xywh", description="How those files write boxes (ScreenSpot-Pro: xyxy).")
    head: Path | None = Field(None, description="A trained head's folder: measure it, train nothing.")
    labels: Labels = Field("gauss", description="uniform (GUI-Actor), center, or gauss (V2P).")
    sharpness: float = Field(PEAKED, gt=0, description="With gauss: sigma is the box's side over this.")
    valley: float = Field(1.0, ge=0, description="Weight of the attention outside of the box.")
    lora_r: int = Field(0, ge=0, description="Rank of an adapter trained along; 0: the backbone is frozen.")
    best: Literal["max", "mean"] = Field("max", description="Which region is read: by highest patch, or mean.")
    steps: int = Field(600, ge=1, description="Training batches.")
    batch: int = Field(16, ge=1, description="Targets a batch.")
    rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    count: int = Field(400, ge=1, description="Phone targets to measure on.")
    out: Path = Field(Path("runs/ground"), description="Where head, adapter, scores and config go.")


def _run(settings: GroundSettings, dry_run: bool) -> None:
    import itertools
    import json
    import random
    from itertools import islice

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from homeostat.alignment.pointing.head import Pointer
    from homeostat.alignment.pointing.targets import phone_targets, read_screenspot
    from homeostat.alignment.pointing.train import hits_by_size, pointed, spoken, train_pointer
    from homeostat.alignment.sail.adapters import load_adapted, lora
    from homeostat.alignment.sail.layout import adapter_targets, find_decoder

    white = load_adapted(settings.model, settings.device, settings.dtype)
    own = read_screenspot(settings.data, settings.boxes) if settings.data else None
    if settings.test:
        test = read_screenspot(settings.test, settings.boxes)
    else:
        test = list(islice(phone_targets("test", settings.seed), settings.count))
    head = Pointer.load(settings.head) if settings.head else None
    if dry_run:
        typer.echo(f"{len(own) if own else 'phone'} targets to train on, {len(test)} to measure on")
        return
    save_settings(settings, settings.out)
    trained = None
    if head is None:
        if settings.lora_r:
            layers = range(len(find_decoder(white.model)))
            names = adapter_targets(white.model, layers)
            trained = lora(white.model, names, r=settings.lora_r, alpha=2 * settings.lora_r, seed=settings.seed)
        if own is not None:
            shuffled = random.Random(settings.seed).sample(own, len(own))
            source = itertools.cycle(shuffled)
        else:
            source = phone_targets("train", settings.seed)  # type: ignore[assignment]
        with Progress(transient=True) as progress:
            task = progress.add_task("training", total=settings.steps)
            head = train_pointer(
                white,
                iter(source),
                steps=settings.steps,
                labels=settings.labels,
                sharpness=settings.sharpness,
                valley=settings.valley,
                batch=settings.batch,
                rate=settings.rate,
                trained=trained,
                seed=settings.seed,
                told=lambda n, loss: progress.update(task, completed=n, description=f"loss {loss:.3f}"),
            )
        head.save(settings.out)
        if trained is not None:
            for config in trained.peft_config.values():
                config.base_model_name_or_path = settings.model
            trained.save_pretrained(str(settings.out / "adapter"))
    scores = {"pointer": hits_by_size(pointed(white, head, test, best=settings.best), test)}
    if trained is None:
        scores["the model's own coordinates"] = hits_by_size(spoken(white, test), test)
    table = Table("", *scores["pointer"])
    for name, found in scores.items():
        table.add_row(name, *(str(h) for h in found.values()))
    Console(highlight=False, width=160).print(table)
    kept = {name: {size: [h.hits, h.targets] for size, h in found.items()} for name, found in scores.items()}
    (settings.out / "scores.json").write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"{settings.out}: pointer.safetensors, scores.json")


command = command_of(
    GroundSettings,
    _run,
    """Train a pointer head (V2P): it reads a point off attention over the screen's patches, in one forward pass.

    On a frozen backbone, or with an adapter. Measured as ScreenSpot is: points within their boxes, by size.
    """,
)
