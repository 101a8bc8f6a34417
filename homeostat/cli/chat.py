"""``homeostat chat``: a conversation with a model, with the live readings below each answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from homeostat.cli import agent_options as of
from homeostat.cli.completion import completes_several, run_ids
from homeostat.cli.loading import loading_shown
from homeostat.cli.model_flags import with_model_flags
from homeostat.cli.run_settings import Fork, RunSettings, ToolNames, find_run, read_settings, write_settings
from homeostat.cli.watched_run import closed_afterwards, new_folder, resume_with, rules_from, watch_run
from homeostat.errors import ConfigError, EnvError
from homeostat.foreign_text import shown
from homeostat.model_options import ModelOptions

if TYPE_CHECKING:
    from homeostat.agent import Agent, AgentSpec, Episode
    from homeostat.cli.chat_view import ChatTerminal
    from homeostat.envs.tools import ChatEnv, User

__all__ = ["chat", "play_chat"]

_TURNS = 1000
_PLAYED = 8
_TOKENS = 512


@with_model_flags
def chat(
    agent: of.Agent = None,
    model: of.ChatModel = None,
    base_url: of.BaseUrl = None,
    system: Annotated[str, typer.Option(help="The system message. Default: the model's own wording.")] = "",
    rules: Annotated[
        Path | None, typer.Option(help="A YAML file of rules: a list of texts, or a mapping with the key 'rules'.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(metavar="<text>", help="One more rule. May be given several times.")
    ] = None,
    controllers: Annotated[
        str | None,
        typer.Option(
            autocompletion=completes_several("controllers"),
            help="The controllers, in order: names with commas, or 'none' ('homeostat list controllers'). Default: "
            "guard.",
        ),
    ] = None,
    sensors: of.Sensors = None,
    heads: of.Heads = None,
    calibration: of.Calibration = None,
    probe: of.Probe = None,
    loading: ModelOptions = ModelOptions(),  # noqa: B008
    engine: of.Engine = None,
    engine_option: of.EngineOptions = None,
    memory: of.Memory = None,
    seed: Annotated[int, typer.Option(help="The seed of sampling.")] = 0,
    max_turns: Annotated[
        int | None,
        typer.Option(min=1, help=f"The most turns of the assistant. Default: {_TURNS}; {_PLAYED} with --user-role."),
    ] = None,
    call_seconds: of.CallSeconds = None,
    attempts: of.Attempts = None,
    max_new_tokens: Annotated[
        int | None, typer.Option(min=1, help=f"The most tokens of an answer. Default: {_TOKENS}.")
    ] = None,
    tools: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<source>",
            help="A Python file or a module whose functions become tools, perhaps with :NAME for one object of it. "
            "May be given several times.",
        ),
    ] = None,
    mcp: Annotated[
        list[str] | None,
        typer.Option(
            metavar="<server>", help="The command or the address of an MCP server. May be given several times."
        ),
    ] = None,
    user_role: Annotated[
        str, typer.Option(help="Let a model play the user: who the user is, and what the user wants.")
    ] = "",
    user_model: Annotated[
        str | None, typer.Option(help="With --user-role: the model that plays the user. Default: --model.")
    ] = None,
    record_attention: of.RecordAttention = False,
    keep_checkpoints: of.KeepCheckpoints = False,
    resume: Annotated[
        str | None, typer.Option(help="Resume a chat: its folder, or its id under --runs.", autocompletion=run_ids)
    ] = None,
    runs: Annotated[Path, typer.Option(help="The folder in which run folders are made.")] = Path("runs"),
) -> None:
    """Chat with a model in the terminal, with the readings of each answer below it.

    /quit ends the chat, and /readings shows the readings of every turn. Each line of a piped input is a turn.

    \b
    Examples:
      homeostat chat --model Qwen/Qwen2.5-Coder-0.5B-Instruct --rule "be brief"
      homeostat chat --model openai:NAME --base-url http://127.0.0.1:8000
      homeostat chat --resume runs/ID
    """
    if resume is not None:
        folder = find_run(resume, runs)
        settings = read_settings(folder)
        if settings.env != "chat":
            raise ConfigError(f"run {str(folder)!r} is no chat; continue it with: homeostat run --resume {folder}")
        play_chat(settings, folder, resuming=True)
        return
    limits = of.limits_from(call_seconds, None, attempts, max_new_tokens, None, None)
    spec = of.agent_from(
        agent,
        _defaults(),
        model=model,
        base_url=base_url,
        controllers=controllers,
        sensors=sensors,
        heads=heads,
        calibration=calibration,
        probe=probe,
        limits=limits,
        memory=memory,
        engine=engine,
        engine_options=engine_option,
        **loading.chosen_options(),
    )
    if spec.model.startswith("homeostat/"):
        raise ConfigError(f"model {spec.model!r} operates phones and can't chat; give a text model with --model")
    if user_model is not None and not user_role.strip():
        raise ConfigError(f"--user-model {user_model!r} plays a user; say whom with --user-role")
    named = ToolNames(tools=tuple(tools or ()), mcp=tuple(mcp or ()))
    settings = RunSettings(
        agent=_patient(spec),
        env="chat",
        seed=seed,
        rules=rules_from(rules, rule),
        max_steps=max_turns or (_PLAYED if user_role else _TURNS),
        system=system,
        user_role=user_role,
        user_model=user_model,
        tools=named.resolved(),
        record_attention=record_attention,
        keep_checkpoints=keep_checkpoints,
    )
    play_chat(settings, new_folder(runs))


def _defaults() -> dict[str, Any]:
    from homeostat.agent import LoopLimits

    return {"controllers": ("guard",), "limits": LoopLimits(max_new_tokens=_TOKENS)}


def _patient(spec: AgentSpec) -> AgentSpec:
    """The agent without a deadline for the user."""
    return spec.model_copy(update={"limits": spec.limits.model_copy(update={"env_seconds": None})})


def play_chat(settings: RunSettings, folder: Path, *, resuming: bool = False, fork: Fork | None = None) -> None:
    """Loads the model and talks until the user ends it.

    Args:
        settings: The chat's settings.
        folder: The chat's folder.
        resuming: Whether the chat goes on from its last checkpoint.
        fork: The earlier chat of which this one is a fork; None for a chat of its own.

    Raises:
        Exit: Always, with the exit status.
        HomeostatError: Something can't be, or failed.
    """
    if resuming:
        from homeostat.agent.loop.episode import stored_run

        stored = stored_run(folder)
        if stored.ended:
            raise typer.Exit(_say_end(stored.episode(folder), folder))
    settings.agent.check()
    from rich.console import Console

    from homeostat.cli.chat_view import ChatTerminal
    from homeostat.envs.tools import ChatEnv

    terminal = ChatTerminal(Console(highlight=False))
    env = ChatEnv(terminal, _tools(settings), system=settings.system)
    with closed_afterwards(env):
        with loading_shown(settings.agent.model):
            built = settings.agent.build()
        terminal.user = _played(settings, built)
        _talk(settings, built, env, terminal, folder, resuming=resuming, fork=fork)


def _tools(settings: RunSettings) -> list[Any]:
    """The tools that the chat has."""
    if settings.tools is None:
        return []
    from homeostat.envs.tools.loading import mcp_server, tools_from

    return [*map(tools_from, settings.tools.tools), *map(mcp_server, settings.tools.mcp)]


def _played(settings: RunSettings, built: Agent) -> User | None:
    """The user whom a model plays; None for a user who types."""
    if not settings.user_role:
        return None
    from homeostat.agent import SimulatedUser
    from homeostat.agent.models.any_model import load_model
    from homeostat.agent.models.server_names import is_served

    name, model, loading = settings.user_model, built.model, settings.agent.other_load_options()
    if name is not None:
        url = settings.agent.base_url if name.startswith("openai:") else None
        model = load_model(name, base_url=url) if is_served(name) else load_model(name, **loading)
    return SimulatedUser(model, settings.user_role, turns=settings.max_steps or _PLAYED, seed=settings.seed)


def _talk(
    settings: RunSettings,
    built: Agent,
    env: ChatEnv,
    terminal: ChatTerminal,
    folder: Path,
    *,
    resuming: bool,
    fork: Fork | None,
) -> None:
    """Starts, resumes or forks the chat, shows it, and says how it ended."""
    if fork is not None:
        running = built.fork(fork.source, fork.step, env, answer=fork.answer, new_folder=folder, on_ask=terminal.ask)
        write_settings(settings, folder, made=True)
    elif resuming:
        running = built.resume(folder, env, on_ask=terminal.ask)
    else:
        try:
            settings = settings.model_copy(update={"goal": env.opening()})
        except (EnvError, KeyboardInterrupt):
            typer.echo("nothing was said")
            return
        assert settings.goal is not None
        write_settings(settings, folder)
        running = built.start(
            settings.goal,
            env,
            seed=settings.seed,
            rules=settings.rules,
            max_steps=settings.max_steps,
            run_folder=folder,
            on_ask=terminal.ask,
            record_attention=settings.record_attention,
            keep_checkpoints=settings.keep_checkpoints,
        )
    watch_run(running, terminal, folder, "chat", _say_end)


def _say_end(episode: Episode | None, folder: Path, interrupted: int = 130) -> int:
    """Prints one line on how the chat ended, and returns the exit status."""
    again = resume_with("chat", folder)
    if episode is None or episode.ended in ("paused", "asked"):
        typer.echo(f"\ninterrupted; the chat is saved, {again}")
        return interrupted
    turns = "turn" if episode.steps == 1 else "turns"
    typer.echo(f"{shown(episode.reason)} after {episode.steps} {turns}; trace: {folder / 'trace.jsonl'}")
    return 0
