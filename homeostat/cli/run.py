"""``homeostat run``: one episode, live, written to a folder from which it can go on."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.errors import CheckpointError, ConfigError

__all__ = ["RunSettings", "run"]

_FILE = "run.json"


class RunSettings(BaseModel):
    """What a run was started with: written beside its trace, so that ``--resume`` needs the folder only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str
    env: str
    controllers: str
    seed: int
    goal: str | None = None
    task: str | None = None
    rules: tuple[str, ...] = ()
    max_steps: int | None = None
    sensors: tuple[str, ...] = ("attention_drift", "confidence")
    planner: str | None = None
    heads: Path | None = None


def run(
    goal: Annotated[str | None, typer.Argument(help="What to do, in words. Nothing judges such a run.")] = None,
    env: Annotated[str, typer.Option(help="The environment.")] = "phone",
    model: Annotated[str, typer.Option(help="A model's name or folder.")] = "homeostat/nano",
    task: Annotated[
        str | None, typer.Option(help="A task's name instead of a goal, or 'random'; its check judges the run.")
    ] = None,
    rules: Annotated[Path | None, typer.Option(help="A YAML file: a list of texts, or a mapping with rules.")] = None,
    rule: Annotated[list[str] | None, typer.Option(help="One more rule; may be repeated.")] = None,
    controllers: Annotated[str, typer.Option(help="none, default, or names with commas.")] = "default",
    sensors: Annotated[
        str, typer.Option(help="What to read besides what the controllers need: names with commas.")
    ] = "attention_drift,confidence",
    planner: Annotated[
        str | None, typer.Option(help="Another model's name or folder, to split goals and read screens.")
    ] = None,
    heads: Annotated[
        Path | None, typer.Option(help="Which heads to steer, as homeostat profile writes them. Default: the model's.")
    ] = None,
    seed: Annotated[int, typer.Option(help="The initial state's seed.")] = 0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="The step budget, instead of the task's own.")] = None,
    resume: Annotated[str | None, typer.Option(help="Go on with a run: its folder, or its id under --runs.")] = None,
    answer: Annotated[str | None, typer.Option(help="With --resume: the answer to the run's question.")] = None,
    runs: Annotated[Path, typer.Option(help="Where run folders go.")] = Path("runs"),
    plain: Annotated[bool, typer.Option("--plain", help="Lines instead of a drawing.")] = False,
) -> None:
    """Run one episode and watch it live.

    homeostat run "turn on the wifi"      homeostat run --task random --seed 7
    """
    if resume is not None:
        if goal is not None or task is not None:
            raise ConfigError(f"--resume {resume!r} goes on with its own goal; leave out {goal or task!r}")
        folder = _find_run(resume, runs)
        _episode(_read_settings(folder), folder, plain=plain, answer=answer, resuming=True)
        return
    if (goal is None) == (task is None):
        given = "neither" if goal is None else f"{goal!r} and --task {task!r}"
        raise ConfigError(f'give a goal or a task, not {given}: homeostat run "…", or homeostat run --task random')
    if goal is not None and not goal.strip():
        raise ConfigError(f"goal {goal!r} is empty; say what to do")
    from homeostat.agent.registry import load_rules

    told = (*(load_rules(rules) if rules is not None else ()), *(rule or ()))
    settings = RunSettings(
        model=model,
        env=env,
        controllers=controllers,
        seed=seed,
        goal=goal,
        task=task,
        rules=told,
        max_steps=max_steps,
        sensors=tuple(name.strip() for name in sensors.split(",") if name.strip()),
        planner=planner,
        heads=heads,
    )
    folder = runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
    _episode(settings, folder, plain=plain, answer=None, resuming=False)


def _episode(settings: RunSettings, folder: Path, *, plain: bool, answer: str | None, resuming: bool) -> None:
    """Build everything, show the episode, say how it ended."""
    # What is quick to refuse is refused before the model is loaded.
    from homeostat.agent.registry import calibrated, controllers_of, planner_of, sensors_for
    from homeostat.controllers import preset_sensors
    from homeostat.envs.harness import make_env

    cascade, needed = (
        controllers_of(settings.controllers, settings.model, settings.heads),
        preset_sensors(settings.controllers),
    )
    sensors_for((*needed, *settings.sensors), frozenset())  # an unknown name is said before anything is loaded
    world = make_env(settings.env)
    target = None if resuming else _target(settings, world)
    from homeostat.agent import Agent, TransformersModel
    from homeostat.cli.live import view_for

    console = _console()
    loaded = TransformersModel.load(settings.model)
    sensors = calibrated(sensors_for(needed, loaded.provides, wanted=settings.sensors), settings.model)
    planner = planner_of(cascade, loaded, settings.planner)
    agent = Agent(loaded, sensors, [cascade] if cascade.controllers else [], planner=planner)
    view = view_for(console, plain=plain)

    def ask(question: str) -> str:
        with view.pause():
            return typer.prompt(question)  # type: ignore[no-any-return]

    on_ask = ask if sys.stdin.isatty() else None
    if target is None:
        events = agent.stream_resume(folder, world, answer=answer, on_ask=on_ask)
    else:
        given = settings.rules if settings.task is None else ()
        _write_settings(settings, folder)
        events = agent.stream(
            target,
            world,
            seed=settings.seed,
            rules=given,
            max_steps=settings.max_steps,
            run_folder=folder,
            on_ask=on_ask,
        )
    try:
        with view:
            last = _show(events, view)
    except KeyboardInterrupt:
        last = None
    else:
        if last is None:  # nothing was left to do: the run had ended, or waits for an answer
            last = agent.resume(folder, world)
    raise typer.Exit(_say_end(last, folder))


def _target(settings: RunSettings, world: Any) -> Any:
    """The goal in words, or the task that the environment sets up."""
    if settings.task is None:
        return settings.goal
    if settings.rules:
        raise ConfigError(f"rules {list(settings.rules)!r} go with a goal in words; task {settings.task!r} has its own")
    from homeostat.envs.harness import random_case

    name, seed = settings.task, settings.seed
    if name == "random":
        case = random_case(settings.env, seed)
        name, seed = case.task, case.seed
    return world.reset_task(name, seed=seed)


def _show(events: Iterable[Any], view: Any) -> Any:
    """Show every event; the last one, None where there was none."""
    last = None
    for event in events:
        view.show(event)
        last = event
    return last


def _say_end(last: Any, folder: Path) -> int:
    """One line on how it ended and where it stands; the exit status."""
    again = f"go on with: homeostat run --resume {folder}"
    if last is None or last.ended == "paused":
        typer.echo(f"interrupted; the run is saved, {again}")
        return 130
    if last.ended == "asked":
        typer.echo(f"waiting for an answer: {last.reason}; {again} --answer TEXT")
        return 0
    optimal = getattr(last, "optimal_steps", None) or getattr(getattr(last, "task", None), "optimal_steps", 0)
    against = f" (optimal: {optimal})" if optimal and last.success is not None else ""
    verdict = {True: "solved", False: f"not solved, {last.ended}: {last.reason}", None: f"ended, {last.ended}"}
    plural = "step" if last.steps == 1 else "steps"
    typer.echo(f"{verdict[last.success]} after {last.steps} {plural}{against}; trace: {folder / 'trace.jsonl'}")
    return 0


def _console() -> Any:
    from rich.console import Console

    return Console(highlight=False)


def _find_run(resume: str, runs: Path) -> Path:
    for folder in (Path(resume), runs / resume):
        if folder.is_dir():
            return folder
    raise CheckpointError(f"no run {resume!r} here or under {str(runs)!r}; give a folder such as runs/<id>")


def _write_settings(settings: RunSettings, folder: Path) -> None:
    try:
        folder.mkdir(parents=True)
        (folder / _FILE).write_text(settings.model_dump_json(indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"can't write the run folder {str(folder)!r}: {error.strerror}; give another --runs"
        ) from None


def _read_settings(folder: Path) -> RunSettings:
    path = folder / _FILE
    try:
        return RunSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"run {str(folder)!r} has no readable {_FILE} ({error.strerror}); start it anew"
        ) from None
    except ValidationError as error:
        raise CheckpointError(f"{str(path)!r} is damaged: {error.errors()[0]['msg']}; start the run anew") from None
