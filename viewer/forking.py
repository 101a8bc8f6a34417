"""Starts forks of runs as processes of their own (``homeostat fork``), and says why one can't be started."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field

from homeostat.data_files import DataError, read_json
from homeostat.envs.core import Changing, Restoring
from homeostat.envs.harness import env_kind
from homeostat.errors import CheckpointError, ConfigError, HomeostatError
from homeostat.foreign_text import clipped, visible

__all__ = ["ForkRequest", "Forks", "fork_reason", "fork_starts", "kept_steps"]

_SETTINGS = "run.json"
_AT_ONCE = 2
_PATIENCE = 10.0
"""Seconds that a fork has to end when the server ends."""
_MOST = 100_000  # bytes of the answer, which is an argument of a command
_COMMAND = (sys.executable, "-c", "from homeostat.cli.root import main; main()", "fork")


class ForkRequest(BaseModel):
    """What a page asks for.

    Attributes:
        step: The step to go back to.
        controllers: The controllers, names with commas; "" keeps the run's.
        answer: The model's answer at this step; "" lets the model answer.
    """

    model_config = ConfigDict(extra="forbid")

    step: int = Field(ge=0, le=10**6)
    controllers: str = Field(default="", max_length=500)
    answer: str = Field(default="", max_length=100_000)


def kept_steps(folder: Path) -> tuple[int, ...]:
    """Finds the steps at which a run can be forked.

    Args:
        folder: The run's folder.

    Returns:
        The steps, in order; none where no checkpoint can be read.
    """
    from homeostat.agent.loop.forking import forkable_steps

    try:
        return forkable_steps(folder)
    except CheckpointError:
        return ()


def fork_reason(folder: Path) -> str:
    """Says why a run can't be forked.

    Args:
        folder: The run's folder.

    Returns:
        The reason in one sentence; "" where it can be forked.
    """
    if not (folder / _SETTINGS).is_file():
        return f"The run has no {_SETTINGS}: only a run of homeostat run or homeostat chat can be forked here."
    if not kept_steps(folder):
        return "The run keeps no checkpoints: start it with --keep-checkpoints."
    try:
        name = str(read_json(folder / _SETTINGS)["env"])
        kind = env_kind(name)
        made = kind.load(kind.constructor)
    except (HomeostatError, DataError, ImportError, KeyError, TypeError):
        return ""  # the fork itself says what is wrong
    # A class shows as an object of these contracts where it has their attributes.
    if (
        isinstance(made, type)
        and not (isinstance(made, Restoring) and made.restores)
        and not isinstance(made, Changing)
    ):
        return f"The environment {name!r} can't be put back into an earlier state."
    return ""


def fork_starts(folder: Path) -> tuple[str, ...]:
    """Lists what a fork starts or calls besides the model, because the run's own settings name it.

    Args:
        folder: The run's folder.

    Returns:
        Python files of tools, commands or addresses of MCP servers, and addresses of model servers.
    """
    try:
        told = read_json(folder / _SETTINGS)
        tools, agent = told.get("tools") or {}, told.get("agent") or {}
        found = [*tools.get("tools", ()), *tools.get("mcp", ()), agent.get("base_url")]
        found += [
            name for name in (agent.get("model"), agent.get("planner"), told.get("user_model")) if _is_address(name)
        ]
    except (DataError, AttributeError, TypeError):
        return ()  # the fork itself says what is wrong
    return tuple(visible(clipped(str(one), 300)) for one in found if one)


def _is_address(name: Any) -> bool:
    return isinstance(name, str) and name.lower().startswith(("http:", "https:"))


@dataclass
class _Started:
    """A fork that was started."""

    process: subprocess.Popen[bytes]
    folder: Path
    errors: IO[bytes]


class Forks:
    """The forks that a server started. They end, resumable, when it ends."""

    def __init__(self) -> None:
        """Starts without any."""
        self._lock = threading.Lock()
        self._started: dict[str, _Started] = {}

    def start(self, folder: Path, wanted: ForkRequest) -> Path:
        """Starts a fork.

        Args:
            folder: The earlier run's folder.
            wanted: What is asked for.

        Returns:
            The new run's folder, which does not exist yet.

        Raises:
            ConfigError: The run can't be forked at this step, or too many forks are running.
        """
        from homeostat.agent.loop.forking import free_folder

        if reason := fork_reason(folder):
            raise ConfigError(reason)
        if wanted.step not in kept_steps(folder):
            raise ConfigError(f"The run keeps no checkpoint of step {wanted.step}.")
        if "\0" in wanted.answer + wanted.controllers:
            raise ConfigError("The answer or the controllers hold a null character; leave it out.")
        if (size := len(wanted.answer.encode())) > _MOST:
            raise ConfigError(f"The answer has {size:,} bytes; the most is {_MOST:,}.")
        with self._lock:
            if sum(one.process.poll() is None for one in self._started.values()) >= _AT_ONCE:
                raise ConfigError(f"{_AT_ONCE} forks are running already; wait until one has ended.")
            taken = {one.folder for one in self._started.values() if one.process.poll() is None}
            new = free_folder(folder, wanted.step, taken)
            given = [f"--step={wanted.step}", f"--out={new}", "--plain"]
            given += [f"--controllers={wanted.controllers}"] if wanted.controllers.strip() else []
            given += [f"--answer={wanted.answer}"] if wanted.answer else []
            errors = tempfile.TemporaryFile()  # noqa: SIM115 – read once the process has ended
            try:
                process = subprocess.Popen(
                    [*_COMMAND, *given, "--", str(folder)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,
                )
            except OSError as error:
                errors.close()
                raise ConfigError(f"The fork can't be started: {error.strerror or error}.") from None
            self._started[str(new)] = _Started(process, new, errors)
        return new

    def state(self, folder: Path) -> dict[str, Any]:
        """Says how a fork is doing.

        Args:
            folder: The new run's folder, as :meth:`start` returned it.

        Returns:
            ``state``: ``starting``, ``started`` (its trace exists), ``failed`` or ``unknown``; ``error``: why.
        """
        one = self._started.get(str(folder))
        if (folder / "trace.jsonl").is_file():
            return {"state": "started", "error": ""}
        if one is None:
            return {"state": "unknown", "error": ""}
        if one.process.poll() is None:
            return {"state": "starting", "error": ""}
        one.errors.seek(0)
        lines = one.errors.read().decode(errors="replace").strip().splitlines() or ["it ended without a word"]
        return {"state": "failed", "error": visible(clipped(lines[-1].removeprefix("homeostat: "), 500))}

    def close(self) -> None:
        """Asks all running forks to end. They are saved and can be resumed."""
        for one in self._started.values():
            if one.process.poll() is None:
                one.process.terminate()
        for one in self._started.values():
            with suppress(subprocess.TimeoutExpired):
                one.process.wait(_PATIENCE)
            one.errors.close()
