"""``homeostat clone``: trains the embedded models by behaviour cloning."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from homeostat.cli.loading import say_loading
from homeostat.errors import ConfigError, UnknownName

__all__ = ["clone"]

_NANO = "homeostat/nano"
_ENVS = ("phone", "miniwob", "plans", "recording")


def clone(
    out: Annotated[Path, typer.Option(help="Folder to write the model to.")] = Path("checkpoints/nano"),
    minutes: Annotated[
        float, typer.Option(help="Time budget in minutes. The learning rate falls to 0 at its end.")
    ] = 140.0,
    seed: Annotated[int, typer.Option(help="Seed of the initial weights and of the data.")] = 0,
    screens: Annotated[int, typer.Option(help="With --env phone: phone screens per batch.")] = 8,
    width: Annotated[
        int, typer.Option(help="From scratch only: hidden width of the vision tower and the text model.")
    ] = 192,
    layers: Annotated[int, typer.Option(help="From scratch only: layers of the text model.")] = 5,
    rate: Annotated[
        float,
        typer.Option(
            help="Peak learning rate for training from scratch. Fine-tuning divides it by 1 (recording), "
            "1.5 (plans), 2 (phone) or 5 (miniwob)."
        ),
    ] = 1.5e-3,
    resume: Annotated[
        bool, typer.Option(help="From scratch only: continue an interrupted run from the last state in --out.")
    ] = False,
    env: Annotated[
        str,
        typer.Option(
            help="What to train on: phone; recording (an edition for questions about screen recordings); miniwob (the "
            "phone and web pages); plans (trains the planner)."
        ),
    ] = "phone",
    start: Annotated[
        str,
        typer.Option(
            "--from",
            help="Name or folder of the model to fine-tune. Default: with --env phone, none (trains from scratch); "
            "otherwise homeostat/nano.",
        ),
    ] = "",
    tasks: Annotated[
        str, typer.Option(help="With --env miniwob: task names, separated by commas. Default: the click suite.")
    ] = "",
    per_task: Annotated[int, typer.Option(min=1, help="With --env miniwob: screens to collect of each task.")] = 200,
    data: Annotated[
        Path | None,
        typer.Option(
            help="With --env miniwob: the file of screens. If it is missing, the screens are collected first. "
            "Default: screens.npz in --out."
        ),
    ] = None,
    attention_steps: Annotated[
        int,
        typer.Option(
            min=0,
            help="Steps between two measurements of attention entropy and logits, written to attention.jsonl in --out; "
            "0 for none. Not with --env recording.",
        ),
    ] = 100,
) -> None:
    """Train an embedded model by behaviour cloning on an oracle.

    Without --from and --env, it trains the executor from scratch. Otherwise it fine-tunes a trained model. A layer
    whose attention is about to collapse is named in one line.
    """
    if env not in _ENVS:
        raise UnknownName.of("env", env, _ENVS)
    if env != "miniwob" and (tasks or data is not None):
        raise ConfigError(f"--tasks {tasks!r} and --data need --env miniwob; leave them out with --env {env}")
    from_scratch = env == "phone" and not start
    if resume and not from_scratch:
        raise ConfigError("--resume continues training from scratch only; leave out --from and --env, or --resume")
    if not from_scratch:
        say_loading(start or _NANO)
    else:
        typer.echo("homeostat: preparing the training of an embedded model", err=True)
    if from_scratch:
        from homeostat.nano.training.from_scratch import train_from_scratch

        figures = train_from_scratch(
            out,
            minutes=minutes,
            seed=seed,
            screens=screens,
            width=width,
            layers=layers,
            rate=rate,
            resume=resume,
            attention_steps=attention_steps,
        )
    elif env == "miniwob":
        from homeostat.nano.training.miniwob import fine_tune_web

        names = [name.strip() for name in tasks.split(",") if name.strip()]
        file = data or out / "screens.npz"
        figures = fine_tune_web(
            start or _NANO,
            out,
            names,
            file,
            minutes=minutes,
            per_task=per_task,
            seed=seed,
            rate=rate / 5,
            attention_steps=attention_steps,
        )
    elif env == "plans":
        from homeostat.nano.training.planner import train_planner

        figures = train_planner(
            start or _NANO, out, minutes=minutes, seed=seed, rate=rate / 1.5, attention_steps=attention_steps
        )
    elif env == "recording":
        from homeostat.nano.training.recordings import train_recordings

        figures = train_recordings(start or _NANO, out, minutes=minutes, seed=seed, rate=rate)
    else:
        from homeostat.nano.training.phone import fine_tune_phone

        figures = fine_tune_phone(
            start or _NANO,
            out,
            minutes=minutes,
            seed=seed,
            rate=rate / 2,
            screens=screens,
            attention_steps=attention_steps,
        )
    typer.echo(f"wrote {out}: " + ", ".join(f"{k} {v:.3f}" for k, v in figures.items()))
