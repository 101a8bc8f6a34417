"""What a run was started with: kept in its folder as ``run.json``, so that ``--resume`` needs the folder only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from homeostat.agent.spec import AgentSpec
from homeostat.errors import CheckpointError, ConfigError
from homeostat.foreign_text import clipped, visible
from homeostat.private_files import make_private_folder, write_private

__all__ = ["Fork", "RunSettings", "ToolNames", "find_run", "read_settings", "write_settings"]

_FILE = "run.json"


@dataclass(frozen=True)
class Fork:
    """Where a run is forked from.

    Attributes:
        source: The folder of the earlier run.
        step: The step, from 0.
        answer: The model's answer at this step; "" lets the model answer.
    """

    source: Path
    step: int
    answer: str = ""


class ToolNames(BaseModel):
    """The tools of a run, by name.

    Attributes:
        tools: Python files or modules.
        mcp: Commands or addresses of MCP servers.
        trust_hints: Whether the servers' hints are believed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tools: tuple[str, ...] = ()
    mcp: tuple[str, ...] = ()
    trust_hints: bool = False

    def resolved(self) -> ToolNames:
        """Returns the same with whole paths of files, so that the run can be resumed from any folder."""
        whole = []
        for source in self.tools:
            path, colon, name = source.rpartition(":") if ".py:" in source else (source, "", "")
            whole.append(f"{Path(path).resolve()}{colon}{name}" if path.endswith(".py") else source)
        return self.model_copy(update={"tools": tuple(whole)})


class RunSettings(BaseModel):
    """The settings of one run.

    Attributes:
        agent: The agent.
        env: The environment's name.
        seed: The seed of the initial state.
        goal: The goal in words; None with a task.
        task: The task's name; None with a goal.
        rules: The rules that go with a goal.
        max_steps: The step budget; None for the task's own.
        serial: The Android device; None for the default.
        tools: The tools of the environment ``tools``; None elsewhere.
        record_attention: Whether the run keeps the attention on every token of its prompts.
        keep_checkpoints: Whether the run keeps the state at the start of every step.
        system: The system message of a chat.
        user_role: The role of a chat's user whom a model plays; "" for a user who types.
        user_model: The model that plays the user; None for the agent's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent: AgentSpec
    env: str
    seed: int
    goal: str | None = None
    task: str | None = None
    rules: tuple[str, ...] = ()
    max_steps: int | None = None
    serial: str | None = None
    system: str = ""
    user_role: str = ""
    user_model: str | None = None
    tools: ToolNames | None = None
    record_attention: bool = False
    keep_checkpoints: bool = False

    def env_options(self) -> dict[str, Any] | None:
        """Returns the options of the environment; None for none."""
        if self.tools is not None:
            return self.tools.model_dump()
        return {"serial": self.serial} if self.serial is not None else None


def find_run(resume: str, runs: Path) -> Path:
    """Finds a run's folder.

    Args:
        resume: The folder, or the run's id.
        runs: The folder that holds the runs.

    Returns:
        The run's folder.

    Raises:
        CheckpointError: There is no such folder, or nothing can be written to it.
    """
    for folder in (Path(resume), runs / resume):
        if folder.is_dir():
            if not os.access(folder, os.W_OK):
                raise CheckpointError(f"run folder {str(folder)!r} can't be written to; make it writable, or copy it")
            return folder
    raise CheckpointError(f"no run {resume!r} here or under {str(runs)!r}; give a folder such as runs/<id>")


def write_settings(settings: RunSettings, folder: Path, *, made: bool = False) -> None:
    """Makes a run's folder and writes its settings. Only the owner may read them.

    Args:
        settings: The settings.
        folder: The folder to make.
        made: Whether the folder exists already, as a fork's does.

    Raises:
        ConfigError: The folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=made)  # not one that exists: two runs may have begun in the same second
        make_private_folder(folder)
        write_private(folder / _FILE, (settings.model_dump_json(indent=2) + "\n").encode())
    except OSError as error:
        raise ConfigError(
            f"can't write the run folder {str(folder)!r}: {error.strerror}; give another --runs"
        ) from None


def read_settings(folder: Path) -> RunSettings:
    """Reads a run's settings.

    Args:
        folder: The run's folder.

    Returns:
        The settings.

    Raises:
        CheckpointError: The file is missing, or another version wrote it.
    """
    path = folder / _FILE
    try:
        return RunSettings.model_validate_json(path.read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"run {str(folder)!r} has no readable {_FILE} ({error.strerror}); start it again"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        field = clipped(visible(".".join(map(str, first["loc"]))), 80) or "the file"
        raise CheckpointError(
            f"{str(path)!r} can't be used: {field}: {clipped(visible(first['msg']), 120)}; "
            "another version of homeostat may have written it: "
            "start the run again, or resume it with that version"
        ) from None
