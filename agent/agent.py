"""``Agent``: a model, sensors and controllers, run on an environment.

    agent = Agent(TransformersModel.load("homeostat/nano"), [AttentionDrift()], [Remind()])
    episode = agent.run("Turn on the wifi", env)

A run with a folder is written to disk as it goes (trace, screenshots, checkpoint) and can be resumed in another
process; without one nothing touches the disk, which is what an evaluation wants.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

from homeostat.agent.events import Event, Started
from homeostat.agent.loop.checkpoint import THREAD, RunSaver, memory_saver, sqlite_saver
from homeostat.agent.loop.context import LoopConfig, RunContext
from homeostat.agent.loop.episode import Episode, drive, episode_of, saved
from homeostat.agent.loop.graph import compile_loop
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.models.protocol import Model
from homeostat.agent.trace import TraceWriter
from homeostat.controllers.core import Controller
from homeostat.envs.core import Env, TaskInfo
from homeostat.errors import ConfigError
from homeostat.sensors.core import Sensor

__all__ = ["Agent", "Episode"]

_FREE_STEPS = 30


class Agent:
    """Drives environments with a model, reads it with sensors, corrects it with controllers.

    ``controllers`` are asked in order; the first that wants anything but to proceed wins. A sensor that needs what the
    model does not provide is refused with :class:`ConfigError`, or left out (see ``degraded``) where ``allow_degraded``
    is set. So are duplicate names, and a controller that listens to a sensor that is not there.
    """

    def __init__(
        self,
        model: Model,
        sensors: Sequence[Sensor] = (),
        controllers: Sequence[Controller] = (),
        *,
        config: LoopConfig | None = None,
        planner: Model | None = None,
        allow_degraded: bool = False,
    ) -> None:
        """``config`` bounds the loop. ``planner`` splits goals and reads screens in the model's place. Raises
        :class:`ConfigError` for parts that don't fit together.
        """
        self.model, self.planner = model, planner
        self.controllers = tuple(controllers)
        self.config = config or LoopConfig()
        _unique("sensor", [s.name for s in sensors])
        _unique("controller", [c.name for c in controllers])
        self.degraded = {
            s.name: f"needs {', '.join(sorted(s.needs - model.provides))}, which {model.name!r} does not provide"
            for s in sensors
            if not s.needs <= model.provides
        }
        if self.degraded and not allow_degraded:
            name, reason = next(iter(self.degraded.items()))
            raise ConfigError(f"sensor {name!r} {reason}; drop it, change the model, or set allow_degraded=True")
        self.sensors = tuple(s for s in sensors if s.name not in self.degraded)
        for controller in self.controllers:
            if getattr(controller, "steers", False) and not getattr(model, "steers", False):
                raise ConfigError(
                    f"controller {controller.name!r} steers attention, which {model.name!r} does not offer; drop it, "
                    "or use a TransformersModel"
                )
        there = {s.name for s in sensors}
        for controller in self.controllers:
            if missing := sorted(controller.sensors - there):
                raise ConfigError(
                    f"controller {controller.name!r} listens to {missing[0]!r}, which is not among the sensors "
                    f"({', '.join(sorted(there)) or 'none'}); add that sensor"
                )

    def run(
        self,
        task: TaskInfo | str,
        env: Env,
        *,
        seed: int = 0,
        rules: Sequence[str] = (),
        max_steps: int | None = None,
        run_folder: str | os.PathLike[str] | None = None,
        on_ask: Callable[[str], str] | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> Episode:
        """Run one episode.

        ``task`` is what ``env.reset_task(…)`` has just returned (reset again before each run), or a goal in words: the
        environment then starts a free run, which nothing judges, and ``rules`` go with it. ``on_ask`` answers
        controllers' questions; without it the episode comes back as ``"asked"``. With a run folder, Ctrl-C and SIGTERM
        end it as ``"paused"`` with its state saved. ``on_event`` sees every event while it happens; what it raises ends
        the run and comes out here. Raises :class:`ConfigError` for a folder that already holds a run.
        """
        steps = self._stream(
            task, env, seed=seed, rules=rules, max_steps=max_steps, run_folder=run_folder, on_ask=on_ask
        )
        return self._last(steps, on_event)

    def stream(
        self,
        task: TaskInfo | str,
        env: Env,
        *,
        seed: int = 0,
        rules: Sequence[str] = (),
        max_steps: int | None = None,
        run_folder: str | os.PathLike[str] | None = None,
        on_ask: Callable[[str], str] | None = None,
    ) -> Iterator[Event]:
        """:meth:`run`, as events while they happen. The last one is always a ``Finish`` (``asked``, ``paused`` too)."""
        steps = self._stream(
            task, env, seed=seed, rules=rules, max_steps=max_steps, run_folder=run_folder, on_ask=on_ask
        )
        return (item for item in steps if not isinstance(item, Episode))

    def resume(
        self,
        run_folder: str | os.PathLike[str],
        env: Env,
        *,
        answer: str | None = None,
        on_ask: Callable[[str], str] | None = None,
    ) -> Episode:
        """Go on with a run from its last checkpoint, in any process; an ended one is returned as it ended.

        ``answer`` answers the question of an ``"asked"`` one. Raises :class:`CheckpointError`.
        """
        return self._last(self._resume(run_folder, env, answer=answer, on_ask=on_ask))

    def stream_resume(
        self,
        run_folder: str | os.PathLike[str],
        env: Env,
        *,
        answer: str | None = None,
        on_ask: Callable[[str], str] | None = None,
    ) -> Iterator[Event]:
        """:meth:`resume`, as events."""
        steps = self._resume(run_folder, env, answer=answer, on_ask=on_ask)
        return (item for item in steps if not isinstance(item, Episode))

    def _stream(
        self,
        task: TaskInfo | str,
        env: Env,
        *,
        seed: int,
        rules: Sequence[str],
        max_steps: int | None,
        run_folder: str | os.PathLike[str] | None,
        on_ask: Callable[[str], str] | None,
    ) -> Generator[Event | Episode]:
        info, judged = _begin(task, env, seed, rules, max_steps)
        folder = Path(run_folder) if run_folder is not None else None
        with ExitStack() as stack:
            trace = TraceWriter(folder) if folder is not None else None
            if trace is not None:
                stack.callback(trace.close)
            saver = stack.enter_context(sqlite_saver(folder)) if folder is not None else memory_saver()
            context = self._context(env, trace, saver)
            state = EpisodeState(
                run=folder.name if folder is not None else uuid.uuid4().hex[:12],
                task=info,
                judged=judged,
                seed=seed,
                instruction=info.goal,
                snapshot=context.snapshot(),
            )
            context.emit(self._started(state))
            state.emitted = context.emitted
            yield from drive(compile_loop(saver), state, state, context, folder, on_ask)

    def _resume(
        self,
        run_folder: str | os.PathLike[str],
        env: Env,
        *,
        answer: str | None,
        on_ask: Callable[[str], str] | None,
    ) -> Generator[Event | Episode]:
        folder = Path(run_folder)
        with ExitStack() as stack:
            saver = stack.enter_context(sqlite_saver(folder, existing=True))
            graph = compile_loop(saver)
            state, waiting = saved(graph, folder)
            if waiting is None and not graph.get_state(THREAD).next:
                yield episode_of(state, state.ending or "stopped", folder)
                return
            if waiting is not None and answer is None and on_ask is None:
                yield episode_of(state, "asked", folder, question=waiting)
                return
            trace = TraceWriter(folder, resume_at=state.emitted)
            stack.callback(trace.close)
            env.restore(trace.load_snapshot(state.snapshot))
            context = self._context(env, trace, saver)
            context.emitted, context.spent = state.emitted, state.seconds
            saver.stored = state.emitted
            start: Any = None
            if waiting is not None:
                start = Command(resume={"answer": answer if answer is not None else on_ask(waiting)})  # type: ignore[misc]
            yield from drive(graph, start, state, context, folder, on_ask)

    def _context(self, env: Env, trace: TraceWriter | None, saver: RunSaver | InMemorySaver) -> RunContext:
        saved = saver.wait if isinstance(saver, RunSaver) else None
        return RunContext(
            self.model, env, self.sensors, self.controllers, self.config, trace, planner=self.planner, saved=saved
        )

    def _started(self, state: EpisodeState) -> Started:
        return Started(
            run=state.run,
            task=state.task,
            judged=state.judged,
            seed=state.seed,
            model=self.model.name,
            planner=self.planner.name if self.planner is not None else "",
            sensors=tuple(s.name for s in self.sensors),
            controllers=tuple(c.name for c in self.controllers),
        )

    @staticmethod
    def _last(items: Generator[Event | Episode], on_event: Callable[[Event], None] | None = None) -> Episode:
        episode = None
        with closing(items):
            for item in items:
                if isinstance(item, Episode):
                    episode = item
                elif on_event is not None:
                    on_event(item)
        assert episode is not None
        return episode


def _begin(
    task: TaskInfo | str, env: Env, seed: int, rules: Sequence[str], max_steps: int | None
) -> tuple[TaskInfo, bool]:
    """The task, and whether the environment judges it."""
    if max_steps is not None and max_steps < 1:
        raise ConfigError(f"max_steps={max_steps!r} leaves no step; give 1 or more")
    if isinstance(task, TaskInfo):
        if rules:
            raise ConfigError(f"rules {list(rules)!r} go with a goal in words; task {task.name!r} has its own")
        # Not reset here: a task drawn at random bears the name of what was drawn, which would draw another.
        return (task if max_steps is None else task.model_copy(update={"max_steps": max_steps})), True
    if not task.strip():
        raise ConfigError(f"goal {task!r} is empty; say what to do")
    env.reset_task(None, seed=seed)
    steps = max_steps or _FREE_STEPS
    return TaskInfo(name="free", goal=task, rules=tuple(rules), seed=seed, optimal_steps=1, max_steps=steps), False


def _unique(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two {what}s are named {twice[0]!r}; give each its own name")
