"""Forks a run: copies its first steps into a new folder, from which another agent goes on."""

from __future__ import annotations

import re
import shutil
from collections.abc import Container, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any

from homeostat.agent.events import Decide, Started, event_from_json
from homeostat.agent.loop.checkpoint import THREAD, RunSaver, sqlite_saver
from homeostat.agent.loop.env_calls import restores
from homeostat.agent.loop.graph import compile_loop
from homeostat.agent.loop.locking import locked
from homeostat.agent.loop.running import Parts
from homeostat.agent.loop.state import EpisodeState, StepState
from homeostat.agent.trace import read_trace
from homeostat.agent.trace_writer import TraceWriter
from homeostat.envs.core import Changing, Env
from homeostat.errors import CheckpointError, ConfigError, HomeostatError
from homeostat.foreign_text import clipped, visible
from homeostat.private_files import make_private_folder, write_private

__all__ = ["fork_run", "forkable_steps", "free_folder", "no_checkpoint"]

_DIGEST = re.compile(rb"[0-9a-f]{64}")


def forkable_steps(folder: Path) -> tuple[int, ...]:
    """Finds the steps at which a run can be forked.

    Args:
        folder: The run's folder.

    Returns:
        The steps whose checkpoints are kept, in order; empty where none were asked for.

    Raises:
        CheckpointError: The folder holds no checkpoint, or a damaged one.
    """
    with sqlite_saver(folder, existing=True) as saver:
        return tuple(saver.steps())


def fork_run(folder: Path, step: int, env: Env, answer: str, new: Path | None, parts: Parts) -> Path:
    """Makes the folder of a forked run, to be resumed.

    Args:
        folder: The earlier run's folder. It is only read.
        step: The step, from 0.
        env: The environment of the new run.
        answer: The model's answer at this step; "" lets the model answer.
        new: The new run's folder; None makes one beside the earlier run's.
        parts: The agent that goes on.

    Returns:
        The new run's folder.

    Raises:
        ConfigError: The environment can't be put back to that step, or the new folder holds a run or can't be written.
        CheckpointError: The run keeps no checkpoint of this step.
    """
    _check_env(env, folder, step)
    with ExitStack() as stack:
        saver = stack.enter_context(sqlite_saver(folder, existing=True))
        kept = saver.steps()
        if step not in kept:
            raise CheckpointError(no_checkpoint(folder, step, tuple(kept)))
        new = new or free_folder(folder, step)
        if new.exists() and any(new.iterdir()):
            raise ConfigError(f"folder {str(new)!r} is not empty; give another one for the fork")
        stack.enter_context(locked(new))
        if (new / "trace.jsonl").exists():  # another process made it meanwhile
            raise ConfigError(f"folder {str(new)!r} holds a run; give another one for the fork")
        with _whole_or_nothing(folder, new):
            state = _copied_checkpoints(saver, kept, step, new, answer)
            _copied_trace(folder, new, state, step, parts)
    return new


@contextmanager
def _whole_or_nothing(folder: Path, new: Path) -> Iterator[None]:
    """Within it, a failure is one clear error, and nothing of the new folder is left behind."""
    try:
        yield
    except Exception as error:
        shutil.rmtree(new, ignore_errors=True)
        if isinstance(error, HomeostatError):
            raise
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
            raise ConfigError(
                f"can't copy run {str(folder)!r} to {str(new)!r}: {reason}; free or mend the disk"
            ) from None
        # The checkpoint's serialiser raises errors of many kinds.
        reason = clipped(visible(str(error)), 120) or type(error).__name__
        raise CheckpointError(
            f"checkpoint in {str(folder)!r} can't be read ({reason}); it is damaged, or another version wrote it: "
            "start the run anew"
        ) from None


def _check_env(env: Env, folder: Path, step: int) -> None:
    """Raises ConfigError where the world can't be brought back to what it was at the step."""
    if restores(env):
        return
    name = type(env).__name__
    if not isinstance(env, Changing):
        raise ConfigError(f"environment {name!r} can't be put back into an earlier state, so none of its runs can fork")
    trace = read_trace(folder)
    # What a controller refused was not carried out. A call that failed may have changed something before it did.
    refused = {event.step for event in trace.events if isinstance(event, Decide) and event.decision.kind == "refuse"}
    for act in trace.acts:
        tried = act.step >= step and act.action is not None and act.step not in refused
        if tried and act.action is not None and env.changes(act.action):
            raise ConfigError(
                f"step {act.step} of run {str(folder)!r} may have changed something that {name!r} can't put back "
                f"({clipped(act.action.model_dump_json(exclude_defaults=True), 80)}); fork at a later step"
            )


def no_checkpoint(folder: Path, step: int, kept: tuple[int, ...]) -> str:
    """Words why a run can't be forked at a step.

    Args:
        folder: The run's folder.
        step: The step.
        kept: The steps at which it can be forked.

    Returns:
        The message.
    """
    known = f"it keeps steps {min(kept)} to {max(kept)}" if kept else "it keeps none: start it with --keep-checkpoints"
    return f"run {str(folder)!r} has no checkpoint of step {step}; {known}"


def free_folder(folder: Path, step: int, taken: Container[Path] = ()) -> Path:
    """Finds a name for a fork's folder, beside the run's, without making it.

    Args:
        folder: The run's folder.
        step: The step at which it is forked.
        taken: Folders that forks will make which have been started already.

    Returns:
        The folder.
    """
    names = (f"{folder.name}-fork{step}{'' if n == 1 else f'-{n}'}" for n in count(1))
    paths = (folder.with_name(name) for name in names)
    return next(path for path in paths if path not in taken and not path.exists())


def _copied_checkpoints(saver: RunSaver, kept: dict[int, str], step: int, new: Path, answer: str) -> EpisodeState:
    """Copies the checkpoints up to the step's, so that the fork can be forked again; the state at the step's start."""
    state: EpisodeState | None = None
    with sqlite_saver(new) as other:
        other.keep_steps()
        for number in range(step + 1):
            if number not in kept:
                continue
            config: Any = {
                "configurable": {**THREAD["configurable"], "checkpoint_ns": "", "checkpoint_id": kept[number]}
            }
            found = saver.get_tuple(config)
            if found is None:
                raise CheckpointError(f"the checkpoint of step {number} is gone; fork at another step")
            values = found.checkpoint["channel_values"]
            values["run"] = new.name
            if number == step and answer:
                values["now"] = StepState(given=answer)
            other.stored = -1  # each of them is written, although the graph changed nothing between them
            config["configurable"].pop("checkpoint_id")
            other.put(config, found.checkpoint, found.metadata, {})
        state = EpisodeState.model_validate(compile_loop(other).get_state(THREAD).values)
    return state


def _copied_trace(folder: Path, new: Path, state: EpisodeState, step: int, parts: Parts) -> None:
    """Copies the events before the step, and the screens, snapshots and records that they name."""
    source = read_trace(folder)
    lines = (folder / "trace.jsonl").read_bytes().split(b"\n")[: state.emitted]
    if len(lines) < state.emitted:
        raise CheckpointError(f"trace of {str(folder)!r} is shorter than its checkpoint says; a part of it is lost")
    first = event_from_json(lines[0])
    assert isinstance(first, Started)
    began = first.model_copy(
        update={
            "run": state.run,
            "model": parts.model.name,
            "planner": parts.planner.name if parts.planner is not None else "",
            "sensors": tuple(sensor.name for sensor in parts.sensors),
            "controllers": tuple(one.name for one in parts.cascade.controllers),
            "left_out": dict(parts.left_out),
            "forked_from": source.start.run,
            "forked_at": step,
        }
    )
    writer = TraceWriter(new)
    try:
        writer.write(began)
    finally:
        writer.close()
    trace = new / "trace.jsonl"
    write_private(trace, trace.read_bytes() + b"".join(line + b"\n" for line in lines[1:]))
    named = {match.decode() for match in _DIGEST.findall(b"\n".join(lines) + state.model_dump_json().encode())}
    _copy((folder / "screens" / f"{digest}.png" for digest in named), new / "screens")
    _copy((folder / "snapshots" / f"{digest}.json" for digest in named), new / "snapshots")
    if (folder / "attention").is_dir():
        make_private_folder(new / "attention")
        records = [event.attention for event in source.attempts if event.step < step and event.attention]
        _copy((folder / "attention" / Path(name).name for name in records), new / "attention")


def _copy(paths: Iterable[Path], folder: Path) -> None:
    """Copies files that exist. A link is none of the run's own files."""
    for path in paths:
        if path.is_file() and not path.is_symlink():
            shutil.copy2(path, folder / path.name)
