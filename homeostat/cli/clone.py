"""``homeostat clone``: trains the embedded models by behaviour cloning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from homeostat.errors import ConfigError, UnknownName

__all__ = ["clone"]

_NANO = "homeostat/nano"


def clone(
    out: Annotated[Path, typer.Option(help="The folder that the model is written to.")] = Path("checkpoints/nano"),
    minutes: Annotated[float, typer.Option(help="Time budget; the learning rate falls at its end.")] = 140.0,
    seed: Annotated[int, typer.Option(help="Seed of weights and data.")] = 0,
    screens: Annotated[int, typer.Option(help="Screens a batch.")] = 8,
    width: Annotated[int, typer.Option(help="Hidden width of tower and text model.")] = 192,
    layers: Annotated[int, typer.Option(help="Layers of the text model.")] = 5,
    rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1.5e-3,
    resume: Annotated[bool, typer.Option(help="Go on from the folder's last checkpoint.")] = False,
    env: Annotated[
        str, typer.Option(help="phone; miniwob or recording (teach a model those besides); plans (the planner).")
    ] = "phone",
    start: Annotated[
        str,
        typer.Option("--from", help="The model to go on from. Default: from nothing; else than phone, homeostat/nano."),
    ] = "",
    tasks: Annotated[
        str, typer.Option(help="With --env miniwob: task names with commas; '' for the click suite.")
    ] = "",
    per_task: Annotated[int, typer.Option(min=1, help="With --env miniwob: screens a task.")] = 200,
    data: Annotated[
        Path | None, typer.Option(help="With --env miniwob: the screens' file, collected where it is missing.")
    ] = None,
) -> None:
    """Train the embedded model by behaviour cloning on an oracle."""
    if env == "miniwob":
        from homeostat.nano.training.miniwob import fine_tune_web

        names = [name.strip() for name in tasks.split(",") if name.strip()]
        file = data or out / "screens.npz"
        figures = fine_tune_web(
            start or _NANO, out, names, file, minutes=minutes, per_task=per_task, seed=seed, rate=rate / 5
        )
    elif tasks or data is not None:
        raise ConfigError(f"--tasks {tasks!r} and --data go with --env miniwob; leave them out with {env!r}")
    elif env == "plans":
        from homeostat.nano.training.planner import train_planner

        if resume:
            raise ConfigError("--resume goes with a run from nothing; leave out --env plans, or --resume")
        figures = train_planner(start or _NANO, out, minutes=minutes, seed=seed, rate=rate / 1.5)
    elif env not in ("phone", "recording"):
        raise UnknownName.of("env", env, ("phone", "miniwob", "plans", "recording"))
    elif env == "recording" or start:
        from homeostat.nano.training.further import fine_tune_further

        if resume:
            raise ConfigError("--resume goes with a run from nothing; leave out --from and --env, or --resume")
        recordings = 4 if env == "recording" else 0
        figures = fine_tune_further(
            start or _NANO, out, minutes=minutes, seed=seed, rate=rate / 2, screens=screens, recordings=recordings
        )
    else:
        from homeostat.nano.training.recipe import train

        figures = train(out, minutes, seed, screens, width, layers, rate, resume)
    typer.echo(f"wrote {out}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
