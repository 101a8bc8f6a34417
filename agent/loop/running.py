"""Starts and resumes episodes: locks the run's folder, opens its files, and streams the loop."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from langgraph.types import Command

from homeostat.agent.events import Event, Started
from homeostat.agent.loop.calls import ModelCalls
from homeostat.agent.loop.checkpoint import RunSaver, memory_saver, sqlite_saver
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.env_calls import EnvCalls, restores
from homeostat.agent.loop.episode import Episode, drive, saved
from homeostat.agent.loop.graph import compile_loop
from homeostat.agent.loop.intents import IntentLog
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.loop.locking import locked
from homeostat.agent.loop.sensing import Sensing, readout_of
from homeostat.agent.loop.state import EpisodeState, SubtaskState
from homeostat.agent.loop.telemetry import RunTelemetry, tracing
from homeostat.agent.models.protocol import Model
from homeostat.agent.trace_writer import TraceWriter
from homeostat.controllers.cascade import Cascade
from homeostat.envs.core import Env, TaskInfo
from homeostat.sensors.attempts import Readout
from homeostat.sensors.contracts import Sensor
from homeostat.sensors.readings import Reading

__all__ = ["Parts", "resumed_episode", "started_episode"]

OnAsk = Callable[[str], str]
_EVERY_TOKEN = Readout(statistics=frozenset({"prompt_keys"}))


@dataclass(frozen=True)
class Parts:
    """What an agent is made of.

    Attributes:
        model: The model that acts.
        planner: The model that plans; None lets the model do it.
        sensors: The sensors.
        cascade: The controllers.
        limits: The limits of an episode.
        left_out: The sensors that were left out because the model can't feed them, with the reason.
        name: The agent's name.
    """

    model: Model
    planner: Model | None
    sensors: tuple[Sensor, ...]
    cascade: Cascade
    limits: LoopLimits
    name: str = "homeostat"
    left_out: Mapping[str, str] = field(default_factory=dict)

    def context(
        self,
        env: Env,
        trace: TraceWriter | None,
        saver: Any,
        on_ask: OnAsk | None,
        run: str,
        telemetry: RunTelemetry | None,
        record_attention: bool = False,
    ) -> RunContext:
        """Builds what travels beside the state of one episode.

        Args:
            env: The environment.
            trace: The writer of the run's folder; None without one.
            saver: The checkpoints' saver.
            on_ask: Answers questions; None leaves them open.
            run: The run's id.
            telemetry: The run's OpenTelemetry spans; None where nobody collects them.
            record_attention: Whether the trace keeps the attention on every token of each prompt.

        Returns:
            The context.
        """
        wait = saver.wait if isinstance(saver, RunSaver) else None
        watch = readout_of(self.sensors)
        if record_attention:
            watch = _EVERY_TOKEN if isinstance(watch, bool) else watch | _EVERY_TOKEN
        calls = ModelCalls(self.model, self.planner, self.limits, watch, wait)
        env_calls = EnvCalls(env, self.limits.env_seconds)
        sensing = Sensing(self.sensors, self.model, env_calls)
        return RunContext(
            env_calls,
            calls,
            sensing,
            self.cascade,
            self.limits,
            trace,
            on_ask=on_ask,
            run=run,
            telemetry=telemetry,
            record_attention=record_attention,
        )


def started_episode(
    parts: Parts,
    info: TaskInfo,
    judged: bool,
    env: Env,
    seed: int,
    folder: Path | None,
    on_ask: OnAsk | None,
    earlier: tuple[Reading, ...] = (),
    *,
    record_attention: bool = False,
    keep_checkpoints: bool = False,
) -> Generator[Event | Episode]:
    """Runs a new episode.

    Args:
        parts: What the agent is made of.
        info: The task.
        judged: Whether the environment has a check for it.
        env: The environment, at the task's start.
        seed: The seed of sampling.
        folder: The run's folder; None keeps everything in memory.
        on_ask: Answers questions.
        earlier: Readings from before the episode, for the sensors' history.
        record_attention: Whether the trace keeps the attention on every token of each prompt.
        keep_checkpoints: Whether the checkpoint at the start of every step is kept.

    Yields:
        The events, and last the episode.
    """
    with ExitStack() as stack:
        trace = _opened(stack, folder, None)
        saver = stack.enter_context(sqlite_saver(folder)) if folder is not None else memory_saver()
        if keep_checkpoints and isinstance(saver, RunSaver):
            saver.keep_steps()
        run = folder.name if folder is not None else uuid.uuid4().hex[:12]
        spans = stack.enter_context(tracing(parts.name, parts.model.name, run, folder))
        if record_attention and trace is not None:
            trace.keep_attention()
        context = parts.context(env, trace, saver, on_ask, run, spans, record_attention)
        if folder is not None and not restores(env):
            context.intents = _intents(stack, folder)
        state = EpisodeState(
            run=run,
            task=info,
            judged=judged,
            seed=seed,
            instruction=info.goal,
            open_rules=parts.cascade.open_rules(info.rules),
            snapshot=context.snapshot(),
            subtask=SubtaskState(acted=earlier),
        )
        context.emit(_first_event(parts, state))
        state.emitted = context.emitted
        yield from _followed(drive(compile_loop(saver), state, state, context, folder, on_ask), spans)


def resumed_episode(
    parts: Parts, folder: Path, env: Env, answer: str | None, on_ask: OnAsk | None
) -> Generator[Event | Episode]:
    """Goes on with an episode from its last checkpoint.

    Args:
        parts: What the agent is made of.
        folder: The run's folder.
        env: The environment, as it was made for the run.
        answer: The answer to the question that the episode waits for.
        on_ask: Answers further questions.

    Yields:
        The events, and last the episode. An episode that has ended, or waits for an answer that nobody gives, has no
        further events.

    Raises:
        CheckpointError: The folder holds no checkpoint or a damaged one, or another process works on the run.
    """
    with ExitStack() as stack:
        if folder.is_dir():
            stack.enter_context(locked(folder))
        saver = stack.enter_context(sqlite_saver(folder, existing=True))
        if saver.keeps_steps:
            saver.keep_steps()
        graph = compile_loop(saver)
        stored = saved(graph, folder)
        state, waiting = stored.state, stored.question
        if stored.ended or (waiting is not None and answer is None and on_ask is None):
            yield stored.episode(folder)
            return
        trace = _opened(stack, folder, state.emitted, lock=False)
        assert trace is not None
        spans = stack.enter_context(tracing(parts.name, parts.model.name, state.run, folder, resumed=True))
        context = parts.context(env, trace, saver, on_ask, state.run, spans, trace.keeps_attention)
        context.env.restore(trace.load_snapshot(state.snapshot))
        if not restores(env):  # one that can be put back repeats the step
            context.intents = _intents(stack, folder)
            context.unsettled = context.intents.last()
        context.emitted, context.spent = state.emitted, state.costs.seconds
        saver.stored = state.emitted
        start: Any = None
        if waiting is not None:
            start = Command(resume={"answer": answer if answer is not None else on_ask(waiting)})  # type: ignore[misc]
        yield from _followed(drive(graph, start, state, context, folder, on_ask), spans)


def _followed(items: Generator[Event | Episode], spans: RunTelemetry | None) -> Generator[Event | Episode]:
    """Passes a run's stream on, and lets its spans know the result."""
    with closing(items):  # at once, also where the run is closed in the middle
        for item in items:
            if spans is not None and isinstance(item, Episode):
                costs = {"steps": item.steps, "prompt_tokens": item.prompt_tokens, "tokens": item.tokens}
                spans.finished(item.ended, item.success, **costs)
            yield item


def _opened(stack: ExitStack, folder: Path | None, resume_at: int | None, *, lock: bool = True) -> TraceWriter | None:
    """The trace's writer, behind the folder's lock; None without a folder."""
    if folder is None:
        return None
    if lock:
        stack.enter_context(locked(folder))
    trace = TraceWriter(folder, resume_at=resume_at)
    stack.callback(trace.close)
    return trace


def _intents(stack: ExitStack, folder: Path) -> IntentLog:
    log = IntentLog(folder)
    stack.callback(log.close)
    return log


def _first_event(parts: Parts, state: EpisodeState) -> Started:
    return Started(
        run=state.run,
        task=state.task,
        judged=state.judged,
        seed=state.seed,
        model=parts.model.name,
        planner=parts.planner.name if parts.planner is not None else "",
        sensors=tuple(s.name for s in parts.sensors),
        controllers=tuple(c.name for c in parts.cascade.controllers),
        unread=parts.cascade.unread(state.task.rules),
        left_out=dict(parts.left_out),
    )
