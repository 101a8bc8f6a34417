"""``homeostat ground``: a pointer head, which points by attention."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import typer
from pydantic import Field

from homeostat.alignment.pointing.labels import PEAKED, Labels
from homeostat.cli.loading import loading_shown
from homeostat.cli.settings import command_of
from homeostat.settings import Settings, save_settings

__all__ = ["GroundSettings", "command"]


class GroundSettings(Settings):
    """The settings of ``homeostat ground``; every field is a flag."""

    data: Path | None = Field(None, description="ScreenSpot file to train on. Default: screens of the phone simulator.")
    test: Path | None = Field(
        None, description="ScreenSpot file to measure on. Default: phone screens with held-out words."
    )
    boxes: Literal["xywh", "xyxy"] = Field(
        "xywh", description="How those files write boxes; ScreenSpot-Pro writes xyxy."
    )
    head: Path | None = Field(None, description="Folder of a trained head, to measure it without training.")
    labels: Labels = Field("gauss", description="Wanted attention: uniform (GUI-Actor), center, or gauss (V2P).")
    sharpness: float = Field(PEAKED, gt=0, description="With gauss: sigma is the side of the box divided by this.")
    valley: float = Field(1.0, ge=0, description="Weight of the attention outside the box in the loss.")
    lora_r: int = Field(0, ge=0, description="Rank of a LoRA adapter to train as well; 0 keeps the backbone frozen.")
    best: Literal["max", "mean"] = Field(
        "max", description="The region that gives the point: the one with the highest patch, or the highest mean."
    )
    magnets: bool = Field(
        False, description="Also point without training, from attention maps with stop-word magnets (RefAM)."
    )
    steps: int = Field(600, ge=1, description="Number of training batches.")
    batch: int = Field(16, ge=1, description="Number of targets in a batch.")
    rate: float = Field(1e-3, gt=0, description="Peak learning rate.")
    count: int = Field(400, ge=1, description="Number of phone targets to measure on.")
    out: Path = Field(Path("runs/ground"), description="Output folder for the head, adapter, scores and config.")


def _run(settings: GroundSettings, dry_run: bool) -> None:
    import itertools
    import json
    import random
    from collections.abc import Iterator
    from itertools import islice

    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    with loading_shown(settings.model):
        from homeostat.alignment.pointing.head import Pointer
        from homeostat.alignment.pointing.magnets import pointed_by_attention
        from homeostat.alignment.pointing.targets import Target, phone_targets, read_screenspot
        from homeostat.alignment.pointing.train import PointerTraining, hits_by_size, pointed, spoken, train_pointer
        from homeostat.alignment.sail.adapters import load_adapted, lora
        from homeostat.alignment.sail.layout import adapter_targets, find_decoder

        model = load_adapted(settings.model, **settings.load_options())
    data = read_screenspot(settings.data, settings.boxes) if settings.data else None
    if settings.test:
        test = read_screenspot(settings.test, settings.boxes)
    else:
        test = list(islice(phone_targets("test", settings.seed), settings.count))
    head = Pointer.load(settings.head) if settings.head else None
    if dry_run:
        typer.echo(f"{len(data) if data else 'phone'} targets to train on, {len(test)} to measure on")
        return
    save_settings(settings, settings.out)
    adapted = None
    if head is None:
        if settings.lora_r:
            layers = range(len(find_decoder(model.model)))
            names = adapter_targets(model.model, layers)
            adapted = lora(model.model, names, r=settings.lora_r, alpha=2 * settings.lora_r, seed=settings.seed)
        source: Iterator[Target] = phone_targets("train", settings.seed)
        if data is not None:
            source = itertools.cycle(random.Random(settings.seed).sample(data, len(data)))
        training = PointerTraining(
            steps=settings.steps,
            labels=settings.labels,
            sharpness=settings.sharpness,
            valley=settings.valley,
            batch=settings.batch,
            rate=settings.rate,
            seed=settings.seed,
        )
        with Progress(transient=True) as progress:
            task = progress.add_task("training", total=settings.steps)
            head = train_pointer(
                model,
                source,
                training,
                adapted=adapted,
                on_step=lambda step, loss: progress.update(task, completed=step, description=f"loss {loss:.3f}"),
            )
        head.save(settings.out)
        if adapted is not None:
            for config in adapted.peft_config.values():
                config.base_model_name_or_path = settings.model
            adapted.save_pretrained(str(settings.out / "adapter"))
    scores = {"pointer": hits_by_size(pointed(model, head, test, best=settings.best), test)}
    if settings.magnets:
        points = pointed_by_attention(model, test, best=settings.best)
        scores["attention with magnets, untrained"] = hits_by_size(points, test)
    if adapted is None:
        scores["the model's own coordinates"] = hits_by_size(spoken(model, test), test)
    table = Table("", *scores["pointer"])
    for name, found in scores.items():
        table.add_row(name, *(str(h) for h in found.values()))
    Console(highlight=False, width=160).print(table)
    saved = {name: {size: [h.hits, h.targets] for size, h in found.items()} for name, found in scores.items()}
    (settings.out / "scores.json").write_text(json.dumps(saved, indent=1) + "\n", encoding="utf-8")
    typer.echo(f"{settings.out}: pointer.safetensors, scores.json")


command = command_of(
    GroundSettings,
    _run,
    """Train a pointer head (V2P), which points by attention over screen patches, in one forward pass.

    The backbone is frozen, or gets a LoRA adapter. With --magnets, pointing without any training stands beside it. The
    measure is ScreenSpot's: the share of points within their boxes, by the size of the target.

    \b
    Examples:
      homeostat ground --steps 600 --out runs/ground
      homeostat ground --data train.json --test test.json --model NAME
    """,
)
