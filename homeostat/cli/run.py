"""``homeostat run``: one episode, live, written to a folder from which it can be resumed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli import agent_options as of
from homeostat.cli.completion import completes, run_ids
from homeostat.cli.loading import loading_shown
from homeostat.cli.model_flags import with_model_flags
from homeostat.cli.run_settings import Fork, RunSettings, ToolNames, find_run, read_settings, write_settings
from homeostat.cli.watched_run import closed_afterwards, new_folder, resume_with, rules_from, watch_run
from homeostat.errors import ConfigError
from homeostat.foreign_text import shown
from homeostat.model_options import ModelOptions

if TYPE_CHECKING:
    from homeostat.agent import Episode
    from homeostat.envs.core import Env, TaskInfo

__all__ = ["play_episode", "run"]


@with_model_flags
def run(
    goal: Annotated[str | None, typer.Argument(help="What to do, in words. No check judges such a run.")] = None,
    env: Annotated[
        str,
        typer.Option(help="The environment ('homeostat list environments').", autocompletion=completes("environments")),
    ] = "phone",
    agent: of.Agent = None,
    model: of.Model = None,
    base_url: of.BaseUrl = None,
    task: Annotated[
        str | None,
        typer.Option(
            autocompletion=completes("tasks", "random"),
            help="A task's name instead of a goal ('homeostat list tasks'), or 'random'. The task's check judges the "
            "run.",
        ),
    ] = None,
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file of rules: a list of texts, or a mapping with the key 'rules'.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="<text>", help="One more rule. May be given several times.")
    ] = None,
    controllers: of.Controllers = None,
    sensors: of.Sensors = None,
    planner: of.Planner = None,
    heads: of.Heads = None,
    calibration: of.Calibration = None,
    probe: of.Probe = None,
    loading: ModelOptions = ModelOptions(),  # noqa: B008
    engine: of.Engine = None,
    engine_option: of.EngineOptions = None,
    memory: of.Memory = None,
    seed: Annotated[int, typer.Option(help="The seed of the initial state.")] = 0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="The step budget. Default: the task's own.")] = None,
    call_seconds: of.CallSeconds = None,
    env_seconds: of.EnvSeconds = None,
    attempts: of.Attempts = None,
    max_new_tokens: of.MaxNewTokens = None,
    episode_seconds: of.EpisodeSeconds = None,
    episode_tokens: of.EpisodeTokens = None,
    serial: Annotated[
        str | None, typer.Option(help="With --env android: the device, as 'adb devices' names it, or its host:port.")
    ] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<source>",
            help="With --env tools: a Python file or a module whose functions become tools, perhaps with :NAME for one "
            "object of it. May be given several times.",
        ),
    ] = None,
    mcp: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<server>",
            help="With --env tools: the command or the address of an MCP server. May be given several times.",
        ),
    ] = None,
    trust_hints: Annotated[
        bool,
        typer.Option(
            "--trust-hints", help="Believe an MCP server's hints that a tool only reads, or may be called twice."
        ),
    ] = False,
    constrained: Annotated[
        bool,
        typer.Option(
            "--constrained", help="With tools: hold every turn to their JSON schema, one call or an answer a turn."
        ),
    ] = False,
    record_attention: of.RecordAttention = False,
    keep_checkpoints: of.KeepCheckpoints = False,
    resume: Annotated[
        str | None, typer.Option(help="Resume a run: its folder, or its id under --runs.", autocompletion=run_ids)
    ] = None,
    answer: Annotated[str | None, typer.Option(help="With --resume: the answer to the run's question.")] = None,
    runs: Annotated[Path, typer.Option(help="The folder in which run folders are made.")] = Path("runs"),
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            help="Print lines instead of a live drawing. Without a terminal, and with TERM=dumb, lines are printed "
            "anyway.",
        ),
    ] = False,
) -> None:
    """Run one episode and watch it live.

    An episode is one task from its start to its end. The view compares the attention on every part of the prompt with
    its own median in this run; red is only what a sensor alarms about. The run is written to a folder, from which
    --resume continues it.

    \b
    Examples:
      homeostat run "turn on the wifi"
      homeostat run --task random --seed 7
      homeostat run "tidy up" --rule "never delete anything" --controllers guard
      homeostat run --env tools --tools weather.py \\
          --model Qwen/Qwen2.5-Coder-0.5B-Instruct "how is Paris?"
    """
    if resume is not None:
        if goal is not None or task is not None:
            raise ConfigError(f"--resume {resume!r} continues with the run's own goal; leave out {goal or task!r}")
        folder = find_run(resume, runs)
        settings = read_settings(folder)
        if settings.env == "chat":
            raise ConfigError(f"run {str(folder)!r} is a chat; continue it with: homeostat chat --resume {folder}")
        play_episode(settings, folder, plain=plain, answer=answer, resuming=True)
        return
    if (goal is None) == (task is None):
        given = "neither" if goal is None else f"{goal!r} and --task {task!r}"
        raise ConfigError(f'give a goal or a task, not {given}: homeostat run "…", or homeostat run --task random')
    if goal is not None and not goal.strip():
        raise ConfigError(f"goal {goal!r} is empty; say what to do")
    named = ToolNames(tools=tuple(tools or ()), mcp=tuple(mcp or ()), trust_hints=trust_hints)
    if env != "tools" and named != ToolNames():
        raise ConfigError(f"--tools, --mcp and --trust-hints go with --env tools, not with {env!r}; add --env tools")
    limits = of.limits_from(call_seconds, env_seconds, attempts, max_new_tokens, episode_seconds, episode_tokens)
    if constrained:
        limits = (limits or {}) | {"constrained": True}
    settings = RunSettings(
        agent=of.agent_from(
            agent,
            model=model,
            base_url=base_url,
            controllers=controllers,
            sensors=sensors,
            planner=planner,
            heads=heads,
            calibration=calibration,
            probe=probe,
            limits=limits,
            memory=memory,
            engine=engine,
            engine_options=engine_option,
            **loading.chosen_options(),
        ),
        env=env,
        seed=seed,
        goal=goal,
        task=task,
        rules=rules_from(rules, rule),
        max_steps=max_steps,
        serial=serial,
        tools=named.resolved() if env == "tools" else None,
        record_attention=record_attention,
        keep_checkpoints=keep_checkpoints,
    )
    play_episode(settings, new_folder(runs), plain=plain)


def play_episode(
    settings: RunSettings,
    folder: Path,
    *,
    plain: bool,
    answer: str | None = None,
    resuming: bool = False,
    fork: Fork | None = None,
) -> None:
    """Builds everything, shows the episode, and says how it ended.

    Args:
        settings: The run's settings.
        folder: The run's folder.
        plain: Whether to print lines instead of a live drawing.
        answer: The answer to the question that a resumed run waits for.
        resuming: Whether the run goes on from its last checkpoint.
        fork: The earlier run of which this one is a fork; None for a run of its own.

    Raises:
        Exit: Always, with the exit status.
        HomeostatError: Something can't be, or failed.
    """
    # What can be said or refused quickly comes before the model is loaded.
    if resuming and (told := _settled(folder, answer)) is not None:
        raise typer.Exit(_say_end(told, folder))
    settings.agent.check()
    from homeostat.envs.harness import environments

    if settings.env == "tools" and settings.agent.model == "homeostat/nano":
        raise ConfigError(
            "model 'homeostat/nano' only knows the phone; give --model, such as Qwen/Qwen2.5-Coder-0.5B-Instruct"
        )
    world = environments.make_env(settings.env, options=settings.env_options())
    with closed_afterwards(world):
        _episode_in(world, settings, folder, plain=plain, answer=answer, resuming=resuming, fork=fork)


def _episode_in(
    world: Env,
    settings: RunSettings,
    folder: Path,
    *,
    plain: bool,
    answer: str | None,
    resuming: bool,
    fork: Fork | None,
) -> None:
    """Runs the episode in an environment, shows it, and says how it ended."""
    target = None if resuming or fork is not None else _target(settings, world)
    with loading_shown(settings.agent.model):
        from homeostat.cli.live import view_for

        built = settings.agent.build()
    view = view_for(_console(), plain=plain)

    def ask(question: str) -> str:
        with view.pause():
            return str(typer.prompt(shown(question)))

    on_ask = ask if sys.stdin.isatty() else None
    if fork is not None:
        running = built.fork(fork.source, fork.step, world, answer=fork.answer, new_folder=folder, on_ask=on_ask)
        write_settings(settings, folder, made=True)
    elif target is None:
        running = built.resume(folder, world, answer=answer, on_ask=on_ask)
    else:
        write_settings(settings, folder)
        running = built.start(
            target,
            world,
            seed=settings.seed,
            rules=settings.rules if settings.task is None else (),
            max_steps=settings.max_steps,
            run_folder=folder,
            on_ask=on_ask,
            record_attention=settings.record_attention,
            keep_checkpoints=settings.keep_checkpoints,
        )
    watch_run(running, view, folder, "run", _say_end)


def _settled(folder: Path, answer: str | None) -> Episode | None:
    """The episode where nothing can be done for it: it has ended, or waits for an answer that nobody gives."""
    from homeostat.agent.loop.episode import stored_run

    stored = stored_run(folder)
    waits = stored.question is not None and answer is None and not sys.stdin.isatty()
    return stored.episode(folder) if stored.ended or waits else None


def _target(settings: RunSettings, world: Env) -> TaskInfo | str:
    """The goal in words, or the task that the environment sets up."""
    if settings.task is None:
        assert settings.goal is not None
        return settings.goal
    if settings.rules:
        raise ConfigError(f"rules {list(settings.rules)!r} go with a goal in words; task {settings.task!r} has its own")
    from homeostat.envs.harness import random_case

    name, seed = settings.task, settings.seed
    if name == "random":
        case = random_case(settings.env, seed)
        name, seed = case.task, case.seed
    return world.reset_task(name, seed=seed)


def _say_end(episode: Episode | None, folder: Path, interrupted: int = 130) -> int:
    """Prints one line on how the episode ended and where it is, and returns the exit status.

    Args:
        episode: The episode; None where it was interrupted.
        folder: The run's folder.
        interrupted: The exit status of a run that was interrupted.

    Returns:
        0, or ``interrupted``.
    """
    again = resume_with("run", folder)
    if episode is None or episode.ended == "paused":
        typer.echo(f"interrupted; the run is saved, {again}")
        return interrupted
    if episode.ended == "asked":
        typer.echo(f"waiting for an answer: {shown(episode.question or '')}; {again} --answer TEXT")
        return 0
    optimal = episode.task.optimal_steps
    against = f" (optimal: {optimal})" if optimal and episode.success is not None else ""
    verdict = {
        True: "solved",
        False: f"not solved, {episode.ended}: {shown(episode.reason)}",
        None: f"ended, {episode.ended}",
    }
    plural = "step" if episode.steps == 1 else "steps"
    typer.echo(f"{verdict[episode.success]} after {episode.steps} {plural}{against}; trace: {folder / 'trace.jsonl'}")
    return 0


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)
