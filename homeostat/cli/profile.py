"""``homeostat profile``: finds the attention heads of a model that are worth steering."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from homeostat.cli.completion import completes
from homeostat.cli.loading import loading_shown
from homeostat.cli.model_flags import with_model_flags
from homeostat.errors import ConfigError
from homeostat.model_options import ModelOptions

__all__ = ["profile"]


@with_model_flags
def profile(
    model: Annotated[
        str,
        typer.Option(
            autocompletion=completes("models"), help="The model: a name on the Hugging Face hub, or a folder."
        ),
    ] = "homeostat/nano",
    suite: Annotated[
        str,
        typer.Option(
            autocompletion=completes("suites"),
            help="The suite of tasks: a name ('homeostat list suites'), or a YAML file. Its environment needs a "
            "built-in solution (an oracle).",
        ),
    ] = "atomic-whole",
    split: Annotated[
        str | None,
        typer.Option(autocompletion=completes("", "train", "dev", "test"), help="The data split: train, dev or test."),
    ] = "dev",
    prompts: Annotated[int, typer.Option(min=6, help="The number of steps to measure, one from each episode.")] = 90,
    span: Annotated[
        str, typer.Option(help="The span of the prompt that PASTA emphasises, such as goal or rules.")
    ] = "goal",
    seed: Annotated[int, typer.Option(help="The seed that selects the episodes.")] = 0,
    layers: Annotated[
        str,
        typer.Option(help="The layers whose heads are steered: numbers with commas. Default: all, which takes long."),
    ] = "",
    loading: ModelOptions = ModelOptions(),  # noqa: B008
    out: Annotated[
        Path, typer.Option(help="The file to write. The effect of every head goes to OUT.effects.json beside it.")
    ] = Path("heads.json"),
) -> None:
    """Find the attention heads of a model that are worth steering.

    Four methods steer single heads: PASTA (more attention on a span), ZeroTuning (another share of attention for the
    first token), ACT (less attention on attention sinks) and VHR (stronger vision heads). For the first three, each
    head is steered alone on steps whose right answer the environment's oracle knows. The heads that make this answer
    more probable are kept. For VHR, the heads that react most to the screen are kept. The controllers of these methods
    read the file. It also holds a weight for each head (controller head-weights), from the head's effect for PASTA.

    \b
    Examples:
      homeostat profile --layers 2,3,4 --prompts 30 --out heads.json
      homeostat run --task random --controllers pasta --heads heads.json
    """
    from homeostat.envs.harness import load_suite

    try:
        chosen = tuple(int(number) for number in layers.split(",")) if layers.strip() else ()
    except ValueError:
        raise ConfigError(f"--layers {layers!r} are no numbers with commas; write 4,5,6") from None
    source = load_suite(suite, split=split, seed=seed, episodes=prompts)
    with loading_shown(model):
        from rich.console import Console
        from rich.progress import Progress
        from rich.table import Table

        from homeostat.agent.models.loading import resolve, weights_hash
        from homeostat.agent.models.transformers_model import TransformersModel
        from homeostat.agent.profiling import find_heads, right_answers
        from homeostat.controllers.profiles import HeadProfile
        from homeostat.sensors import HeadWeights

        loaded = TransformersModel.load(model, **loading.load_options())
    console = Console(highlight=False)
    answers = right_answers(loaded, source, prompts, seed)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("heads", total=3 * len(answers))
        heads, gains, told = find_heads(loaded, answers, span, lambda: bar.advance(task), chosen)
    measured = {(row["layer"], row["head"]): row for row in told["pasta"]}
    weights = HeadWeights.from_effects(
        {head: row["effect"] for head, row in measured.items()}, {head: row["error"] for head, row in measured.items()}
    )
    made = HeadProfile(
        model=model,
        weights=weights_hash(resolve(model, loading.revision)),
        suite=source.name,
        heads=heads,
        gains=gains,
        head_weights={span: tuple(weights.rows())},
    )
    made.save(out)
    out.with_suffix(".effects.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    table = Table("for", "heads", "layer.head")
    for use, found in heads.items():
        table.add_row(use, str(len(found)), " ".join(f"{layer}.{head}" for layer, head in sorted(found)))
    console.print(table)
    typer.echo(f"{out}: profiled on {len(answers)} steps; gain of the first token {gains['zero-tuning']:g}")
