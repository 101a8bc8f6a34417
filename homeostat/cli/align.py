"""``homeostat align``: trains an adapter on preference pairs."""

from __future__ import annotations

import typer

from homeostat.alignment.sail.config import AlignSettings
from homeostat.cli.loading import say_loading
from homeostat.cli.settings import command_of

__all__ = ["command"]


def _run(settings: AlignSettings, dry_run: bool) -> None:
    say_loading(settings.model)
    from homeostat.alignment.sail.preparation import prepare
    from homeostat.alignment.sail.run import align

    if dry_run:
        prepared = prepare(settings)
        layers = ", ".join(map(str, prepared.layers))
        typer.echo(
            f"{len(prepared.train)} pairs to train on, {len(prepared.held_out)} held out; layers {layers}; "
            f"path {prepared.path}" + (f" ({prepared.why_not_fast})" if prepared.why_not_fast else "")
        )
        return
    result = align(settings)
    held = "" if result.held_out is None else f", held-out loss {result.held_out:.4f}"
    typer.echo(
        f"{result.folder / 'adapter'}: {result.parameters:,} parameters in layers "
        f"{', '.join(map(str, result.layers))}, loss {result.loss:.4f}{held}, "
        f"{result.seconds:.0f} s ({result.path} path)"
    )
    if result.forgetting is not None:
        typer.echo(f"what else it can do: {result.forgetting}")


command = command_of(
    AlignSettings,
    _run,
    """Train a LoRA adapter on preference pairs, with SAIL (focal layers, token weights) or plain DPO.

    SAIL trains only the layers that `homeostat localize` found, and weights the loss of each token. DPO is direct
    preference optimisation, which compares a chosen answer with a rejected one. LoRA trains a small adapter beside
    frozen weights. If a run was interrupted, the same command resumes it. The adapter loads in plain PEFT.

    \b
    Examples:
      homeostat mine --traces runs --out runs/pairs
      homeostat localize --out runs/localize
      homeostat align --data runs/pairs/pairs --localization runs/localize
      homeostat align --data pairs.jsonl --layers all --weights uniform
    """,
    needs=("peft", "datasets", "accelerate"),
    resumes=True,
)
