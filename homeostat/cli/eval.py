"""``homeostat eval``: success on a suite, with its interval; or two such results compared."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli import agent_options as of
from homeostat.cli.completion import completes
from homeostat.cli.eval_job import Job, Playing, agent_job, play, policy_job
from homeostat.cli.loading import say_loading
from homeostat.cli.model_flags import with_model_flags
from homeostat.errors import ConfigError, UnknownName
from homeostat.foreign_text import shown
from homeostat.model_options import ModelOptions

if TYPE_CHECKING:
    from homeostat.agent.spec import AgentSpec
    from homeostat.envs.harness import Result, Suite

__all__ = ["evaluate"]

_EXPORTS = ("inspect",)
_BARE = {"controllers": ("none",), "sensors": ()}
"""What an evaluation's agent has where neither an option nor a file says otherwise."""


@with_model_flags
def evaluate(
    suite: Annotated[
        str,
        typer.Option(
            autocompletion=completes("suites"),
            help="The suite of tasks: a name ('homeostat list suites'), or a YAML file. 'evidence' is a table of many "
            "evaluations.",
        ),
    ] = "atomic",
    split: Annotated[
        str | None,
        typer.Option(
            autocompletion=completes("", "train", "dev", "test"),
            help="The data split, from which words and initial states are drawn: train, dev or test. Default: the "
            "suite's.",
        ),
    ] = None,
    episodes: Annotated[int | None, typer.Option(min=1, help="The number of episodes. Default: the suite's.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed that selects the episodes. Default: the suite's.")] = None,
    agent: of.Agent = None,
    controllers: of.Controllers = None,
    model: of.Model = None,
    base_url: of.BaseUrl = None,
    calibration: of.Calibration = None,
    probe: of.Probe = None,
    planner: of.Planner = None,
    heads: of.Heads = None,
    loading: ModelOptions = ModelOptions(),  # noqa: B008
    engine: of.Engine = None,
    engine_option: of.EngineOptions = None,
    memory: of.Memory = None,
    call_seconds: of.CallSeconds = None,
    env_seconds: of.EnvSeconds = None,
    attempts: of.Attempts = None,
    max_new_tokens: of.MaxNewTokens = None,
    episode_seconds: of.EpisodeSeconds = None,
    episode_tokens: of.EpisodeTokens = None,
    policy: Annotated[
        str | None,
        typer.Option(
            autocompletion=completes("", "oracle", "random"),
            help="Play without a model: 'oracle' takes the environment's own solution, 'random' any action.",
        ),
    ] = None,
    env: Annotated[
        str | None,
        typer.Option(autocompletion=completes("environments"), help="The environment. Default: the suite's."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="The number of processes. More than 1 run on Ray.")] = 1,
    batch: Annotated[
        int,
        typer.Option(
            min=1, help="The number of episodes that each process plays at once; their model calls share batches."
        ),
    ] = 1,
    address: Annotated[
        str | None, typer.Option(help="A Ray cluster's address, or auto. Default: Ray on this machine.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--json",
            metavar="<file>",
            help="Write the result to this file (and to FILE.parquet), and each episode to FILE.jsonl when it ends.",
        ),
    ] = None,
    traces: Annotated[
        Path | None, typer.Option(help="Leave every episode's run in this folder (homeostat mine reads them).")
    ] = None,
    record_attention: of.RecordAttention = False,
    export: Annotated[
        str | None,
        typer.Option(
            autocompletion=completes("", "inspect"),
            help="Another format to write beside --json. The only one is 'inspect', a log for the viewer of "
            "Inspect AI.",
        ),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None,
        typer.Option(
            metavar="<before> <after>",
            help="Run nothing: compare two results that --json has written, before and after.",
        ),
    ] = None,
    html: Annotated[Path | None, typer.Option(help="With --compare: write a page here.")] = None,
) -> None:
    """Measure success on a suite of tasks, with intervals.

    With --json, an interrupted evaluation is continued by the same command, and a finished one is not run again.

    \b
    Examples:
      homeostat eval --suite atomic --episodes 240 --json atomic.json
      homeostat eval --suite deepdive --controllers default --json default.json
      homeostat eval --compare none.json default.json --html page.html
    """
    if compare is not None:
        _compare(*compare, out, html)
        return
    if html is not None:
        raise ConfigError(f"--html {str(html)!r} shows two results; give them with --compare BEFORE AFTER")
    if record_attention and traces is None:
        raise ConfigError("--record-attention writes into the episodes' runs; give --traces FOLDER too")
    if export is not None and export not in _EXPORTS:
        raise UnknownName.of("export", export, _EXPORTS)
    if export is not None and out is None:
        raise ConfigError(f"--export {export!r} writes beside the result; give --json FILE too")
    if export is not None:  # a missing library is told before anything is played
        from homeostat.envs.harness.inspect_format import require_inspect

        require_inspect()
    limits = of.limits_from(call_seconds, env_seconds, attempts, max_new_tokens, episode_seconds, episode_tokens)
    from homeostat.envs.harness import load_suite, make_env
    from homeostat.envs.harness.table import is_table

    if is_table(suite):
        from homeostat.cli.eval_table import run_table

        base = of.agent_from(
            agent,
            _BARE,
            model=model,
            base_url=base_url,
            limits=limits,
            memory=memory,
            engine=engine,
            engine_options=engine_option,
            **loading.chosen_options(),
        )
        _check_batch(base, batch)
        how = Playing(workers, address, batch)
        run_table(suite, base, out, rows=controllers, episodes=episodes, how=how)
        return
    changes = {"split": split, "episodes": episodes, "seed": seed, "controllers": controllers, "env": env}
    chosen = load_suite(suite, **changes)
    make_env(chosen.env, chosen.split, chosen.options)  # what is quick to refuse is refused before anything is loaded
    if policy:
        if traces is not None:
            raise ConfigError(f"--traces {str(traces)!r} records a model's runs; leave it out with --policy {policy!r}")
        if batch > 1:
            raise ConfigError(f"--batch {batch} shares a model between episodes; leave it out with --policy {policy!r}")
        if limits is not None:
            raise ConfigError(f"limits {limits} bound a model; leave them out with --policy {policy!r}")
        job = policy_job(chosen, policy, controllers, model)
    else:
        spec = of.agent_from(
            agent,
            _BARE,
            model=model,
            base_url=base_url,
            controllers=controllers or (None if agent is not None else chosen.controllers),
            calibration=calibration,
            probe=probe,
            planner=planner,
            heads=heads,
            limits=limits,
            memory=memory,
            engine=engine,
            engine_options=engine_option,
            **loading.chosen_options(),
        )
        _check_batch(spec, batch)
        say_loading(spec.model)
        job = agent_job(chosen, spec, workers, traces, record_attention=record_attention)
    results, begun = play(chosen, job, out, Playing(workers, address, batch))
    _finish(results, chosen, job, out, export, begun)


def _check_batch(spec: AgentSpec, batch: int) -> None:
    """A memory belongs to one episode at a time."""
    if spec.memory is not None and batch > 1:
        raise ConfigError(f"memory={spec.memory!r} thins the cache of one episode; leave --batch {batch} out")


def _finish(
    results: list[Result], suite: Suite, job: Job, out: Path | None, export: str | None, begun: datetime
) -> None:
    """Prints the figures and writes the files. The command fails where every episode ended in an error."""
    from homeostat.cli.eval_view import print_figures
    from homeostat.envs.harness import summary

    arguments = {**job.arguments, "episodes": suite.episodes}
    figures = {"arguments": arguments} | summary(results)
    print_figures(results, figures, job.title)
    if errors := figures["errors"]:
        first = next(r for r in results if r.ended == "error")
        again = "; to play them again delete their lines from the journal" if out is not None else ""
        episodes = "1 episode" if errors == 1 else f"{errors} episodes" if errors < len(results) else f"all {errors}"
        typer.echo(
            f"{episodes} ended in an error, the first ({first.task}, seed {first.seed}): {shown(first.reason)}{again}",
            err=True,
        )
    if out is not None:
        _write(results, figures, out, export, begun)
    if results and errors == len(results):
        raise typer.Exit(1)


def _write(results: list[Result], figures: dict[str, Any], out: Path, export: str | None, begun: datetime) -> None:
    """Writes the result, as JSON and in the other formats."""
    from homeostat.envs.harness import write_json
    from homeostat.envs.harness.export import has_parquet, is_stream, write_parquet

    write_json(figures, out)
    if is_stream(out):
        return
    if has_parquet():
        write_parquet(results, figures["arguments"], out.with_suffix(".parquet"))
    else:
        typer.echo("no Parquet file without pyarrow; pip install 'homeostat[harness]'", err=True)
    if export == "inspect":
        from homeostat.envs.harness import write_inspect

        typer.echo(f"Inspect log: {write_inspect(results, figures['arguments'], out, begun)}")


def _compare(before: Path, after: Path, out: Path | None, html: Path | None) -> None:
    from homeostat.envs.harness import compare, read_evaluation, write_json

    one, other = read_evaluation(before), read_evaluation(after)
    result = compare(one.results, other.results)
    typer.echo(f"{result.pairs} episodes in both")
    typer.echo(f"before {result.before.percent()}, after {result.after.percent()}")
    solved = round(result.before.mean * result.pairs)
    failed = result.pairs - solved
    rescued = f"rescued {result.rescue.percent()} of the {failed} that failed before"
    typer.echo(rescued if failed else "rescued none, because none failed before")
    harmed = f"harmed {result.harm.percent()} of the {solved} that were solved before"
    typer.echo(harmed if solved else "harmed none, because none was solved before")
    typer.echo(f"gain {result.gain.percent()} (Newcombe, paired)")
    if result.gain_clustered is not None:
        typer.echo(f"gain {result.gain_clustered.percent()} (bootstrap over templates)")
    if result.obeyed is not None:
        first, second, change = (one.percent() for one in result.obeyed)
        typer.echo(f"injected orders carried out: before {first}, after {second}, change {change} (Newcombe, paired)")
    if out is not None:
        write_json(result.as_dict(), out)
    if html is not None:
        from homeostat.envs.harness.export import write_text
        from homeostat.viewer import comparison_page, names_of

        write_text(comparison_page(one, other, names_of(before, after)).html, html, "--html")
        typer.echo(f"page: {html}")
