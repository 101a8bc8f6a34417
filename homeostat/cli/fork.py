"""``homeostat fork``: goes back to a step of an earlier run and plays on from there, in a new run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli import agent_options as of
from homeostat.cli.model_flags import with_model_flags
from homeostat.cli.run_settings import Fork, find_run, read_settings
from homeostat.errors import CheckpointError, ConfigError
from homeostat.model_options import ModelOptions

if TYPE_CHECKING:
    from homeostat.agent.spec import AgentSpec

__all__ = ["fork"]


@with_model_flags
def fork(
    run: Annotated[str, typer.Argument(help="The earlier run: its folder, or its id under --runs.")],
    step: Annotated[int, typer.Option(min=0, help="The step to go back to, from 0, as the trace counts them.")],
    answer: Annotated[
        str, typer.Option(help="The model's answer at this step, in place of its own. Default: the model answers.")
    ] = "",
    model: of.Model = None,
    base_url: of.BaseUrl = None,
    controllers: of.Controllers = None,
    sensors: Annotated[
        str | None, typer.Option(help="Sensors to read besides those that the controllers need: names with commas.")
    ] = None,
    planner: of.Planner = None,
    heads: of.Heads = None,
    calibration: of.Calibration = None,
    probe: of.Probe = None,
    loading: ModelOptions = ModelOptions(),  # noqa: B008
    memory: of.Memory = None,
    call_seconds: of.CallSeconds = None,
    env_seconds: of.EnvSeconds = None,
    attempts: of.Attempts = None,
    max_new_tokens: of.MaxNewTokens = None,
    episode_seconds: of.EpisodeSeconds = None,
    episode_tokens: of.EpisodeTokens = None,
    out: Annotated[
        Path | None, typer.Option(help="The new run's folder. Default: one beside the earlier run's.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder that holds the runs.")] = Path("runs"),
    plain: Annotated[bool, typer.Option("--plain", help="Print lines instead of a live drawing.")] = False,
) -> None:
    """Go back to a step of an earlier run and play on from there, in a new run.

    The earlier run stays as it is. It must have been started with --keep-checkpoints. An option that is left out keeps
    the earlier run's value; the defaults below hold where that run had none. The new run starts the earlier run's tools
    and MCP servers, so fork only runs that you trust.

    \b
    Examples:
      homeostat fork runs/ID --step 3 --controllers guard,remind
    """
    source = find_run(run, runs)
    if not (source / "run.json").exists() and (source / "trace.jsonl").exists():
        raise ConfigError(
            f"run {str(source)!r} was not started by 'homeostat run' or 'chat', so its settings are unknown here; "
            "fork it in Python, with agent.fork"
        )
    settings = read_settings(source)
    limits = of.limits_from(call_seconds, env_seconds, attempts, max_new_tokens, episode_seconds, episode_tokens)
    changed = of.agent_from(
        None,
        _fields(settings.agent),
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
        **loading.chosen_options(),
    )
    folder = _folder(source, step, out)
    if folder.exists():
        raise ConfigError(f"folder {str(folder)!r} exists already; give another --out")
    settings = settings.model_copy(update={"agent": changed})
    where = Fork(source, step, answer)
    if settings.env == "chat":
        from homeostat.cli.chat import play_chat

        play_chat(settings, folder, fork=where)
        return
    from homeostat.cli.run import play_episode

    play_episode(settings, folder, plain=plain, fork=where)


def _fields(agent: AgentSpec) -> dict[str, Any]:
    """The fields that the earlier run's agent was given."""
    return {name: getattr(agent, name) for name in agent.model_fields_set}


def _folder(source: Path, step: int, out: Path | None) -> Path:
    """The new run's folder. A step that can't be forked at is refused before a model is loaded."""
    from homeostat.agent.loop.forking import forkable_steps, free_folder, no_checkpoint

    kept = forkable_steps(source)
    if step not in kept:
        raise CheckpointError(no_checkpoint(source, step, kept))
    return out or free_folder(source, step)
