"""``homeostat eval``: success on a suite, with its interval; or two such results compared."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.envs.errors import ConfigError

if TYPE_CHECKING:
    from homeostat.agent.evaluate import Result

__all__ = ["evaluate"]


def evaluate(
    suite: Annotated[str, typer.Option(help="Which tasks: atomic, joined, …")] = "atomic",
    split: Annotated[str, typer.Option(help="Which words and states: train, dev or test.")] = "test",
    episodes: Annotated[int, typer.Option(min=1, help="How many episodes.")] = 200,
    seed: Annotated[int, typer.Option(help="Which episodes.")] = 0,
    controllers: Annotated[str, typer.Option(help="none (the bare model), default, or names with commas.")] = "none",
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "homeostat/nano",
    env: Annotated[str, typer.Option(help="The environment.")] = "phone",
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the result here, and each episode to FILE.jsonl as it ends.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Run nothing: compare two results, before and after.")
    ] = None,
) -> None:
    """Measure success on a suite of tasks, with intervals.

    Killed, it goes on where it was when run again with the same arguments and --json. A finished one is not run again.
    """
    if compare is not None:
        _compare(*compare, out)
        return
    from homeostat.agent.choices import make_env, sensors_for, suite_cases
    from homeostat.controllers import controllers_for, preset_sensors

    cascade, needed = controllers_for(controllers), preset_sensors(controllers)
    cases = suite_cases(env, suite, split, episodes, seed)
    world = make_env(env, split)
    from homeostat.agent.loading import resolve, weights_hash

    arguments = {"suite": suite, "split": split, "seed": seed, "controllers": controllers, "model": model, "env": env}
    arguments |= {"weights": weights_hash(resolve(model))}
    with _journal(out, arguments) as journal:
        from homeostat.agent import Agent, TransformersModel
        from homeostat.agent.evaluate import evaluate as run_cases

        loaded = TransformersModel.load(model)
        agent = Agent(loaded, sensors_for(needed, loaded.provides), [cascade] if cascade.controllers else [])
        results: list[Result] = []
        try:
            with _progress(len(cases)) as tell:
                for result in run_cases(agent, world, cases, journal):
                    results.append(result)
                    tell(results)
        except KeyboardInterrupt:
            kept = f"kept in {str(journal.path)!r}; the same command goes on" if journal else "lost without --json"
            typer.echo(f"interrupted after {len(results)} of {len(cases)} episodes, {kept}", err=True)
            raise typer.Exit(130) from None
    from homeostat.agent.evaluate import summary

    figures = {"arguments": {**arguments, "episodes": episodes}} | summary(results)
    _print(results, figures, f"{suite}/{split}, {controllers}, {model}")
    _write(figures, out)


@contextmanager
def _journal(out: Path | None, arguments: dict[str, Any]) -> Iterator[Any]:
    if out is None:
        yield None
        return
    from homeostat.agent.evaluate import Journal

    journal = Journal(out.with_name(out.name + "l") if out.suffix == ".json" else Path(f"{out}.jsonl"), arguments)
    try:
        yield journal
    finally:
        journal.close()


@contextmanager
def _progress(total: int) -> Iterator[Any]:
    """A bar on a terminal (on stderr, so that stdout stays the result); nothing elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[solved]} solved"), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        job = bar.add_task("episodes", total=total, solved=0)

        def tell(results: Sequence[Result]) -> None:
            bar.update(job, completed=len(results), solved=sum(r.success for r in results))

        yield tell


def _print(results: Sequence[Result], figures: dict[str, Any], title: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from homeostat.agent.evaluate import per_template
    from homeostat.agent.intervals import Interval

    console = Console(highlight=False)
    table = Table("task", "solved", "of", "95 % interval", box=None, header_style="bold")
    for name, (solved, count, interval) in per_template(results).items():
        table.add_row(name, str(solved), str(count), f"{interval.low:.2f} to {interval.high:.2f}")
    console.print(table)
    ended = ", ".join(f"{name} {count}" for name, count in figures["endings"].items())
    console.print(f"endings: {ended}", soft_wrap=True)
    ratio = "–" if figures["steps_ratio"] is None else f"{figures['steps_ratio']:.2f}"
    cost = f"{figures['calls']:.1f} calls, {figures['tokens']:.0f} tokens, {figures['seconds']:.2f} s an episode"
    console.print(f"steps against optimal where solved: {ratio}; {cost}", soft_wrap=True)
    success = Interval(**figures["success"])
    console.print(f"{title}: {figures['solved']} of {len(results)} solved, {success.percent()}", soft_wrap=True)


def _compare(before: Path, after: Path, out: Path | None) -> None:
    from homeostat.agent.compare import compare, read_results

    result = compare(read_results(before), read_results(after))
    typer.echo(f"{result.pairs} episodes in both")
    typer.echo(f"before {result.before.percent()}, after {result.after.percent()}")
    typer.echo(f"rescued {result.rescue.percent()} of those that failed before")
    typer.echo(f"harmed {result.harm.percent()} of those that were solved before")
    typer.echo(f"gain {result.gain.percent()} (Newcombe, paired)")
    _write(result.as_dict(), out)


def _write(figures: dict[str, Any], out: Path | None) -> None:
    """Whole or not at all: a kill can't leave half a file."""
    if out is None:
        return
    part = Path(f"{out}.part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        os.replace(part, out)
    except OSError as error:
        raise ConfigError(f"can't write {str(out)!r}: {error.strerror}; give another --json") from None
