"""``homeostat profile``: which of a model's heads are worth steering, found on tasks and kept in a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["profile"]


def profile(
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "homeostat/nano",
    suite: Annotated[str, typer.Option(help="Whose tasks: a suite with an oracle, or a YAML file.")] = "atomic-whole",
    split: Annotated[str | None, typer.Option(help="Which words and states. Default: dev.")] = "dev",
    prompts: Annotated[int, typer.Option(min=6, help="How many steps, one an episode.")] = 90,
    span: Annotated[str, typer.Option(help="What emphasis (pasta) lies on.")] = "goal",
    seed: Annotated[int, typer.Option(help="Which episodes.")] = 0,
    out: Annotated[Path, typer.Option(help="The profile; every head's effect goes to OUT.effects.json.")] = Path(
        "heads.json"
    ),
) -> None:
    """Try every head alone and keep those that help: what PASTA, ZeroTuning, ACT and VHR are profiled by."""
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from homeostat.agent.models.loading import resolve, weights_hash
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.agent.profiling import find_heads, right_answers
    from homeostat.controllers.profiles import HeadProfile
    from homeostat.envs.harness import load_suite

    source = load_suite(suite, split=split, seed=seed, episodes=prompts)
    loaded = TransformersModel.load(model)
    console = Console(highlight=False)
    answers = right_answers(loaded, source, prompts, seed)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("heads", total=3 * len(answers))
        heads, gains, told = find_heads(loaded, answers, span, lambda: bar.advance(task))
    made = HeadProfile(model=model, weights=weights_hash(resolve(model)), suite=source.name, heads=heads, gains=gains)
    made.save(out)
    out.with_suffix(".effects.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    table = Table("for", "heads", "layer.head")
    for use, found in heads.items():
        table.add_row(use, str(len(found)), " ".join(f"{layer}.{head}" for layer, head in sorted(found)))
    console.print(table)
    typer.echo(f"{out}: found on {len(answers)} steps; gain of the first token {gains['zero-tuning']:g}")
