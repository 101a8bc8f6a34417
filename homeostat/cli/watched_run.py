"""What ``homeostat run`` and ``homeostat chat`` have in common: a run folder, showing a run, and its end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NoReturn

import typer

from homeostat.errors import CheckpointError, HomeostatError, TraceError

if TYPE_CHECKING:
    from homeostat.agent import Episode, Run
    from homeostat.cli.live import View

__all__ = ["closed_afterwards", "new_folder", "resume_with", "rules_from", "watch_run"]

Command = Literal["run", "chat"]
_WHAT: dict[Command, str] = {"run": "the run", "chat": "the chat"}

SayEnd = Callable[["Episode | None", Path, int], int]
"""Prints one line on how a run ended, and returns the exit status. It gets the episode (None where it was
interrupted), the run's folder and the exit status of an interrupted run.
"""


def new_folder(runs: Path) -> Path:
    """Names the folder of a new run, without making it.

    Args:
        runs: The folder that holds the runs.

    Returns:
        A folder named after the present time.
    """
    return runs / f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"


def rules_from(file: Path | None, more: list[str] | None) -> tuple[str, ...]:
    """Collects the rules that the command line gives.

    Args:
        file: A YAML file of rules; None for none.
        more: Further rules in words.

    Returns:
        The rules.

    Raises:
        ConfigError: The file can't be read.
    """
    from homeostat.agent.registry import load_rules

    return (*(load_rules(file) if file is not None else ()), *(more or ()))


def resume_with(command: Command, folder: Path) -> str:
    """Words how a run is continued.

    Args:
        command: The command that began it.
        folder: The run's folder.

    Returns:
        A clause with the command to enter.
    """
    return f"resume it with: homeostat {command} --resume {folder}"


def watch_run(running: Run, view: View, folder: Path, command: Command, say_end: SayEnd) -> NoReturn:
    """Shows a run until its end, says how it ended, and ends the command.

    Args:
        running: The run.
        view: Shows its events.
        folder: The run's folder.
        command: The command that runs it.
        say_end: Says how it ended.

    Raises:
        Exit: Always, with the exit status.
    """
    from homeostat.cli.ending import ends_in_time

    with ends_in_time() as ending:
        episode = _shown(running, view, folder, command)
    ending.result = say_end(episode, folder, ending.interrupted)
    raise typer.Exit(ending.result)


def _shown(running: Run, view: View, folder: Path, command: Command) -> Episode | None:
    """Shows every event; the episode, None where it was interrupted."""
    try:
        with running, view:
            for event in running:
                view.show(event)
            episode: Episode = running.result
            return episode
    except KeyboardInterrupt:
        return None
    except (CheckpointError, TraceError):
        raise
    except HomeostatError:
        if (folder / "checkpoint.sqlite").is_file():
            typer.echo(f"homeostat: {_WHAT[command]} is saved; {resume_with(command, folder)}", err=True)
        raise


@contextmanager
def closed_afterwards(world: object) -> Iterator[None]:
    """Closes an environment that holds something, such as an MCP server's program, when its use is over.

    Args:
        world: The environment.
    """
    from homeostat.envs.core import Closable

    try:
        yield
    finally:
        if isinstance(world, Closable):
            world.close()
