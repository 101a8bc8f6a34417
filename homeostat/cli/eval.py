"""``homeostat eval``: success on a suite, with its interval; or two such results compared."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli import agent_options as of
from homeostat.errors import ConfigError, UnknownName

if TYPE_CHECKING:
    from homeostat.agent.spec import AgentSpec
    from homeostat.envs.harness import Journal, Result, RunnerSpec, Suite

__all__ = ["Job", "agent_job", "evaluate", "play", "suite_arguments", "suite_settings"]

_EXPORTS = ("inspect",)
_BARE = {"controllers": ("none",), "sensors": ()}
"""What an evaluation's agent has where neither an option nor a file says otherwise."""


def evaluate(
    suite: Annotated[
        str, typer.Option(help="Which tasks: atomic, joined, … or a YAML file; evidence: a table of many.")
    ] = "atomic",
    split: Annotated[
        str | None, typer.Option(help="Which words and states: train, dev or test. Default: the suite's.")
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="How many episodes. Default: the suite's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Which episodes. Default: the suite's.")] = None,
    agent: of.Agent = None,
    controllers: of.Controllers = None,
    model: of.Model = None,
    calibration: of.Calibration = None,
    planner: of.Planner = None,
    heads: of.Heads = None,
    device: of.Device = None,
    dtype: of.Dtype = None,
    policy: Annotated[str | None, typer.Option(help="Instead of a model: oracle or random.")] = None,
    env: Annotated[str | None, typer.Option(help="The environment. Default: the suite's.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="How many processes play (above 1: on Ray).")] = 1,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster's address, or auto. Default: Ray on this machine.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--json", help="Write the result here (and as .parquet), each episode to FILE.jsonl as it ends."),
    ] = None,
    traces: Annotated[
        Path | None, typer.Option(help="Leave every episode's run in this folder (homeostat mine reads them).")
    ] = None,
    export: Annotated[
        str | None, typer.Option(help="inspect: also write a log for Inspect AI's viewer beside --json.")
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Run nothing: compare two results, before and after.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="With --compare: write a page here.")] = None,
) -> None:
    """Measure success on a suite of tasks, with intervals.

    Killed, it goes on where it was when run again with the same arguments and --json. A finished one is not run again.
    """
    if compare is not None:
        _compare(*compare, out, html)
        return
    if html is not None:
        raise ConfigError(f"--html {str(html)!r} shows two results; give them with --compare BEFORE AFTER")
    if export is not None and export not in _EXPORTS:
        raise UnknownName.of("export", export, _EXPORTS)
    if export is not None and out is None:
        raise ConfigError(f"--export {export!r} writes beside the result; give --json FILE too")
    if export is not None:  # a missing library is told before anything is played
        from homeostat.envs.harness.inspect_format import require_inspect

        require_inspect()
    from homeostat.envs.harness import load_suite, make_env
    from homeostat.envs.harness.table import is_table

    if is_table(suite):
        from homeostat.cli.eval_table import run_table

        base = of.agent_from(agent, _BARE, model=model, device=device, dtype=dtype)
        run_table(suite, base, out, rows=controllers, episodes=episodes, workers=workers, address=address)
        return
    changes = {"split": split, "episodes": episodes, "seed": seed, "controllers": controllers, "env": env}
    chosen = load_suite(suite, **changes)
    make_env(chosen.env, chosen.split, chosen.options)  # what is quick to refuse is refused before anything is loaded
    if policy:
        if traces is not None:
            raise ConfigError(f"--traces {str(traces)!r} records a model's runs; leave it out with --policy {policy!r}")
        job = _policy_job(chosen, policy, controllers, model)
    else:
        spec = of.agent_from(
            agent,
            _BARE,
            model=model,
            controllers=controllers or (None if agent is not None else chosen.controllers),
            calibration=calibration,
            planner=planner,
            heads=heads,
            device=device,
            dtype=dtype,
        )
        job = agent_job(chosen, spec, workers, traces)
    results, begun = play(chosen, job, out, workers, address)
    _finish(results, chosen, job, out, export, begun)


@dataclass(frozen=True)
class Job:
    """Who plays a suite.

    Attributes:
        spec: How a worker builds the player.
        arguments: What the journal begins with: it must be the same when the evaluation is resumed.
        title: The title of the last line.
    """

    spec: RunnerSpec
    arguments: dict[str, Any]
    title: str


def agent_job(suite: Suite, agent: AgentSpec, workers: int, traces: Path | None = None) -> Job:
    """Lets an agent play a suite.

    Args:
        suite: The suite.
        agent: The agent's specification.
        workers: How many processes play.
        traces: A folder in which every episode leaves its run.

    Returns:
        The job.

    Raises:
        ConfigError: The specification can't be, or a file belongs to another model.
        ModelError: A model can't be found.
    """
    from homeostat.agent.loop.limits import LoopLimits
    from homeostat.agent.models.loading import load_style, resolve, weights_hash
    from homeostat.agent.registry import calibration_of, controllers_of
    from homeostat.agent.runner import runner_spec
    from homeostat.controllers import preset_sensors

    cascade = controllers_of(agent.controllers, agent.model, agent.heads)
    names, source = ",".join(agent.controllers), resolve(agent.model)
    arguments = suite_arguments(suite) | {"controllers": names, "model": agent.model, "weights": weights_hash(source)}
    if agent.heads is not None:
        arguments["heads"] = str(agent.heads)
    planner = (agent.planner or load_style(source, "").planner) if cascade.plans else None
    if planner:
        arguments |= {"planner": planner, "planner_weights": weights_hash(resolve(planner))}
    needed = preset_sensors(agent.controllers)
    thresholds = calibration_of(agent.model, agent.calibration)
    if thresholds is not None and (agent.calibration is not None or needed):
        used = [a for a in thresholds.alarms if agent.calibration is not None or a.sensor in needed]
        arguments |= {"calibration": [a.model_dump() for a in used]} if used else {}
    arguments |= {name: value for name in ("device", "dtype") if (value := getattr(agent, name)) is not None}
    if agent.limits != LoopLimits():
        arguments["agent_limits"] = agent.limits.model_dump(exclude_defaults=True)
    threads = None if workers == 1 else max(1, (os.cpu_count() or 1) // workers)
    where = str(traces.absolute()) if traces is not None else None
    spec = runner_spec(agent, threads=threads, traces=where, **suite_settings(suite))
    return Job(spec, arguments, f"{suite.name}/{suite.split}, {names}, {agent.model}")


def _policy_job(suite: Suite, policy: str, controllers: str | None, model: str | None) -> Job:
    from homeostat.envs.harness import POLICIES, policy_spec

    if policy not in POLICIES:
        raise UnknownName.of("policy", policy, POLICIES)
    for option, given in (("--model", model), ("--controllers", controllers)):
        if given not in (None, "none"):
            raise ConfigError(f"{option} {given!r} has no place beside --policy {policy!r}; leave one of them out")
    return Job(
        policy_spec(policy, **suite_settings(suite)),
        suite_arguments(suite) | {"policy": policy},
        f"{suite.name}/{suite.split}, policy {policy}",
    )


def suite_arguments(suite: Suite) -> dict[str, Any]:
    """What must be the same for a journal to go on; the number of episodes may grow."""
    more = {"options": dict(suite.options), "limits": suite.limits.model_dump(exclude_none=True)}
    known = {"suite": suite.name, "split": suite.split, "seed": suite.seed, "env": suite.env}
    return known | {name: value for name, value in more.items() if value}


def suite_settings(suite: Suite) -> dict[str, Any]:
    """What a runner is told of the suite."""
    return {"env": suite.env, "split": suite.split, "options": dict(suite.options), **suite.limits.model_dump()}


def play(suite: Suite, job: Job, out: Path | None, workers: int, address: str | None) -> tuple[list[Result], datetime]:
    """The results in order, and when the run began (before an interruption, if there was one)."""
    from homeostat.cli.eval_view import progress
    from homeostat.envs.harness import evaluate as run_cases

    cases = suite.cases()
    results: list[Result] = []
    with _journal(out, job.arguments) as journal:
        try:
            with (
                progress(len(cases)) as tell,
                closing(run_cases(job.spec, cases, journal, workers=workers, address=address)) as played,
            ):
                for result in played:
                    results.append(result)
                    tell(results)
        except KeyboardInterrupt:
            kept = f"kept in {str(journal.path)!r}; the same command goes on" if journal else "lost without --json"
            typer.echo(f"interrupted after {len(results)} of {len(cases)} episodes, {kept}", err=True)
            raise typer.Exit(130) from None
        begun = journal.begun if journal is not None else datetime.now(UTC)
    return sorted(results, key=lambda r: r.index), begun


def _finish(
    results: list[Result], suite: Suite, job: Job, out: Path | None, export: str | None, begun: datetime
) -> None:
    """Print the figures and write the files."""
    from homeostat.cli.eval_view import print_figures
    from homeostat.envs.harness import summary, write_json

    arguments = {**job.arguments, "episodes": suite.episodes}
    figures = {"arguments": arguments} | summary(results)
    print_figures(results, figures, job.title)
    if figures["errors"]:
        first = next(r for r in results if r.ended == "error")
        typer.echo(
            f"{figures['errors']} episodes ended in an error, the first ({first.task}, seed {first.seed}): "
            f"{first.reason}; to play them again delete their lines from the journal",
            err=True,
        )
    if out is None:
        return
    write_json(figures, out)
    from homeostat.envs.harness.export import has_parquet, write_parquet

    if has_parquet():
        write_parquet(results, arguments, out.with_suffix(".parquet"))
    else:
        typer.echo("no Parquet file without pyarrow; pip install 'homeostat[harness]'", err=True)
    if export == "inspect":
        from homeostat.envs.harness import write_inspect

        typer.echo(f"Inspect log: {write_inspect(results, arguments, out, begun)}")


@contextmanager
def _journal(out: Path | None, arguments: dict[str, Any]) -> Iterator[Journal | None]:
    if out is None:
        yield None
        return
    from homeostat.envs.harness import Journal

    journal = Journal(out.with_name(out.name + "l") if out.suffix == ".json" else Path(f"{out}.jsonl"), arguments)
    try:
        yield journal
    finally:
        journal.close()


def _compare(before: Path, after: Path, out: Path | None, html: Path | None) -> None:
    from homeostat.envs.harness import compare, read_evaluation, write_json

    one, other = read_evaluation(before), read_evaluation(after)
    result = compare(one.results, other.results)
    typer.echo(f"{result.pairs} episodes in both")
    typer.echo(f"before {result.before.percent()}, after {result.after.percent()}")
    typer.echo(f"rescued {result.rescue.percent()} of those that failed before")
    typer.echo(f"harmed {result.harm.percent()} of those that were solved before")
    typer.echo(f"gain {result.gain.percent()} (Newcombe, paired)")
    if result.gain_clustered is not None:
        typer.echo(f"gain {result.gain_clustered.percent()} (bootstrap over templates)")
    if out is not None:
        write_json(result.as_dict(), out)
    if html is not None:
        from homeostat.envs.harness import write_page

        names = (before.stem, after.stem) if before.stem != after.stem else (str(before), str(after))
        write_page(one, other, html, names)
        typer.echo(f"page: {html}")
