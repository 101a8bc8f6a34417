"""One episode driven through the loop: streamed, answered, drained by a signal, read back from its checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command
from pydantic import BaseModel, ConfigDict

from homeostat.agent.events import Ending, Event, Failed, Finish
from homeostat.agent.loop.checkpoint import THREAD
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.graph import recursion_limit
from homeostat.agent.loop.state import EpisodeState
from homeostat.controllers.context import Record
from homeostat.envs.core import TaskInfo
from homeostat.errors import CheckpointError, ComponentError

__all__ = ["Episode", "drive", "episode_of", "saved"]


class Episode(BaseModel):
    """What came of a run. ``success`` is None where nothing judges it (a goal in free words).

    ``tokens`` were generated, ``prompt_tokens`` computed for prompts (those read from the key-value cache not counted).
    ``question`` waits for an answer where ``ended`` is ``"asked"``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: str
    task: TaskInfo
    seed: int
    success: bool | None
    ended: Ending
    reason: str = ""
    steps: int
    calls: int
    tokens: int
    prompt_tokens: int
    seconds: float
    decisions: tuple[Record, ...] = ()
    question: str | None = None
    folder: Path | None = None


def drive(
    graph: Any,
    start: Any,
    state: EpisodeState,
    context: RunContext,
    folder: Path | None,
    on_ask: Callable[[str], str] | None,
) -> Iterator[Event | Episode]:
    """Streams the graph to its end, to a question that nobody answers, or to a signal.

    Args:
        graph: The compiled loop.
        start: What the graph starts with: a state, a command, or None to go on from the checkpoint.
        state: The state before.
        context: What travels beside it.
        folder: The run's folder; None without one.
        on_ask: Answers the controllers' questions; None leaves them open.

    Yields:
        The events, and last the episode.

    Raises:
        HomeostatError: Something failed. An event has said so, and with a folder the run can be resumed.
    """
    config = {**THREAD, "recursion_limit": recursion_limit(state.task, context.limits)}
    control = RunControl()
    paused = False
    with _draining(control, folder is not None):
        while True:
            question: str | None = None
            try:
                for part in graph.stream(
                    start,
                    config,
                    context=context,
                    stream_mode="updates",
                    durability="async" if folder is not None else "exit",
                    control=control,
                ):
                    if "__interrupt__" in part:
                        question = str(part["__interrupt__"][0].value)
                    yield from context.drain()
            except GraphDrained:
                paused = True
            except Exception as error:
                context.emit(_failed(error, state))
                yield from context.drain()
                raise
            yield from context.drain()
            if question is None or on_ask is None or paused:
                break
            start = Command(resume={"answer": on_ask(question)})
    state = EpisodeState.model_validate(graph.get_state(THREAD).values)
    ended: Ending = "paused" if paused else "asked" if question is not None else state.ending or "stopped"
    episode = episode_of(state, ended, folder, question=question, seconds=context.elapsed())
    if ended in ("asked", "paused"):
        yield _pausing(episode)
    yield episode


def _failed(error: Exception, state: EpisodeState) -> Failed:
    """The event that tells of an error."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    if isinstance(error, ComponentError):
        return Failed(step=state.step, component=error.kind, name=error.component, error=text)
    return Failed(step=state.step, error=text)


def saved(graph: Any, folder: Path) -> tuple[EpisodeState, str | None]:
    """The checkpointed state, and the question that waits for an answer."""
    try:
        snapshot = graph.get_state(THREAD)
        state = EpisodeState.model_validate(snapshot.values)
    except Exception as error:  # whatever a damaged file makes the decoders raise
        reason = str(error).strip().split("\n")[0][:100]
        raise CheckpointError(f"checkpoint in {str(folder)!r} can't be read ({reason}); start the run anew") from None
    waiting = [str(i.value) for task in snapshot.tasks for i in task.interrupts]
    return state, waiting[0] if waiting else None


def episode_of(
    state: EpisodeState,
    ended: Ending,
    folder: Path | None,
    *,
    question: str | None = None,
    seconds: float | None = None,
) -> Episode:
    """The state as a result."""
    return Episode(
        run=state.run,
        task=state.task,
        seed=state.seed,
        success=state.success,
        ended=ended,
        reason=state.reason or question or "",
        steps=state.step,
        calls=state.costs.calls,
        tokens=state.costs.tokens,
        prompt_tokens=state.costs.prompt_tokens,
        seconds=state.costs.seconds if seconds is None else seconds,
        decisions=state.decisions,
        question=question,
        folder=folder,
    )


def _pausing(episode: Episode) -> Finish:
    """The stream's last event where the episode has not ended; the trace does not hold it."""
    return Finish(
        step=episode.steps,
        ended=episode.ended,
        success=None,
        reason=episode.reason,
        steps=episode.steps,
        optimal_steps=episode.task.optimal_steps,
        tokens=episode.tokens,
        seconds=episode.seconds,
    )


@contextmanager
def _draining(control: Any, resumable: bool) -> Iterator[None]:
    """Within it, the first Ctrl-C or SIGTERM asks the loop to stop at the next node; a second Ctrl-C interrupts."""
    if not resumable or threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(s) for s in signals]

    def drain(number: int, frame: Any) -> None:
        if control.drain_requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        control.request_drain(signal.Signals(number).name)

    for s in signals:
        signal.signal(s, drain)
    try:
        yield
    finally:
        for s, handler in zip(signals, before, strict=True):
            signal.signal(s, handler)
