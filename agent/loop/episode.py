"""Drives one episode: streams its events, passes on answers, pauses at a signal, loads its checkpoint."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langgraph.errors import GraphDrained
from langgraph.runtime import RunControl
from langgraph.types import Command

from homeostat.agent.events import Ending, Event, Failed, Finish
from homeostat.agent.loop.checkpoint import THREAD, sqlite_saver
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.env_calls import GRACE
from homeostat.agent.loop.graph import compile_loop, recursion_limit
from homeostat.agent.loop.result import Episode
from homeostat.agent.loop.state import EpisodeState
from homeostat.errors import CallInterrupted, CheckpointError, ComponentError, EnvTimeout

__all__ = ["Episode", "StoredRun", "drive", "saved", "stored_run"]

_AGAIN = 0.2  # seconds between two attempts to interrupt the model


def drive(
    graph: Any,
    start: Any,
    state: EpisodeState,
    context: RunContext,
    folder: Path | None,
    on_ask: Callable[[str], str] | None,
) -> Generator[Event | Episode]:
    """Streams the graph to its end, to a question that nobody answers, or to a signal.

    Args:
        graph: The compiled loop.
        start: What the graph starts with: a state, a command, or None to go on from the checkpoint.
        state: The episode's state before.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.
        folder: The run's folder; None without one.
        on_ask: Answers the controllers' questions; None leaves them open.

    Yields:
        The events, and last the episode.

    Raises:
        HomeostatError: Something failed. The stream has told so with a ``Failed`` event, and with a folder the run can
            be resumed.
    """
    config = {**THREAD, "recursion_limit": recursion_limit(state.task, context.limits)}
    control = RunControl()
    paused = False
    with _draining(control, context, folder is not None):
        while True:
            question: str | None = None
            try:
                for part in graph.stream(
                    start,
                    config,
                    context=context,
                    stream_mode="values",  # comes once the node's checkpoint is on its way, unlike "updates"
                    durability="async" if folder is not None else "exit",
                    control=control,
                ):
                    if "__interrupt__" in part:
                        question = str(part["__interrupt__"][0].value)
                    yield from context.drain()
            except GraphDrained:
                paused = True
            except Exception as error:
                if control.drain_requested and _was_abandoned(error):
                    paused = True
                    break
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


def _was_abandoned(error: BaseException | None) -> bool:
    """Whether a call was cut short because the process was asked to end, also inside a sensor."""
    return error is not None and (isinstance(error, EnvTimeout | CallInterrupted) or _was_abandoned(error.__cause__))


def _failed(error: Exception, state: EpisodeState) -> Failed:
    """The event that reports an error."""
    text = " ".join(f"{type(error).__name__}: {error}".split())[:500]
    if isinstance(error, ComponentError):
        return Failed(step=state.step, component=error.kind, name=error.component, error=text)
    return Failed(step=state.step, error=text)


@dataclass(frozen=True)
class StoredRun:
    """A run as its folder holds it.

    Attributes:
        state: The state of the last checkpoint.
        question: The question that waits for an answer; None without one.
        ended: Whether the episode has ended. It is read from the state and from the tasks that the graph has left,
            never from an empty list of next nodes: that list leaves out a task whose writes are stored already.
    """

    state: EpisodeState
    question: str | None
    ended: bool

    def episode(self, folder: Path) -> Episode:
        """The run as a result.

        Args:
            folder: The run's folder.

        Returns:
            The episode as it ended, ``"asked"`` where a question waits, else ``"paused"``.
        """
        if self.ended:
            return episode_of(self.state, self.state.ending or "stopped", folder)
        if self.question is not None:
            return episode_of(self.state, "asked", folder, question=self.question)
        return episode_of(self.state, "paused", folder)


def saved(graph: Any, folder: Path) -> StoredRun:
    """Loads the checkpointed state.

    Args:
        graph: The compiled loop.
        folder: The run's folder.

    Returns:
        The run as it is stored.

    Raises:
        CheckpointError: The checkpoint can't be read.
    """
    try:
        snapshot = graph.get_state(THREAD)
        state = EpisodeState.model_validate(snapshot.values)
    except Exception as error:  # a damaged file can make the decoders raise anything
        reason = str(error).strip().split("\n")[0][:100]
        raise CheckpointError(f"checkpoint in {str(folder)!r} can't be read ({reason}); start the run anew") from None
    waiting = [str(i.value) for task in snapshot.tasks for i in task.interrupts]
    ended = state.ending is not None and not snapshot.tasks
    return StoredRun(state, waiting[0] if waiting else None, ended)


def stored_run(folder: Path) -> StoredRun:
    """Looks at a run's checkpoint without going on with it, and without a model.

    Args:
        folder: The run's folder.

    Returns:
        The run as it is stored.

    Raises:
        CheckpointError: The folder holds no checkpoint, or a damaged one.
    """
    with sqlite_saver(folder, existing=True) as saver:
        return saved(compile_loop(saver), folder)


def episode_of(
    state: EpisodeState,
    ended: Ending,
    folder: Path | None,
    *,
    question: str | None = None,
    seconds: float | None = None,
) -> Episode:
    """Turns a state into a result.

    Args:
        state: The state.
        ended: How the episode ended, or that it waits or is paused.
        folder: The run's folder; None without one.
        question: The question that waits for an answer; None without one.
        seconds: The wall-clock time; None takes the state's own.

    Returns:
        The result.
    """
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
    """The last event of a stream whose episode has not ended. The trace does not hold it."""
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
def _draining(control: Any, context: RunContext, resumable: bool) -> Iterator[None]:
    """Within it, the first Ctrl-C or SIGTERM asks the loop to stop at the next node; a second Ctrl-C interrupts.

    A call of the environment or of the model that goes on for longer than the grace is abandoned or cut short.
    """
    if not resumable or threading.current_thread() is not threading.main_thread():
        yield
        return
    signals = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(s) for s in signals]
    over = threading.Event()
    cut = threading.Thread(target=_cut_short, args=(context, over), name="homeostat-cut", daemon=True)

    def drain(number: int, frame: Any) -> None:
        if control.drain_requested and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not control.drain_requested:
            control.request_drain(signal.Signals(number).name)
            context.env.end_soon()
            cut.start()

    for s in signals:
        signal.signal(s, drain)
    try:
        yield
    finally:
        over.set()
        for s, handler in zip(signals, before, strict=True):
            signal.signal(s, handler)


def _cut_short(context: RunContext, over: threading.Event) -> None:
    """Ends the model's calls once the grace is over: also those that a sensor or controller makes one after another."""
    wait = GRACE
    while not over.wait(wait):
        context.calls.interrupt()
        wait = _AGAIN
