"""The harness's runner for agents: model, sensors, controllers and environment, built once in each worker."""

from __future__ import annotations

import copy
import shutil
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from homeostat.agent.agent import Agent
from homeostat.agent.events import Act, Asked, Decide, Event, Observe, Planned, RuleRead, ScreenRead, Sense
from homeostat.agent.many import SharedAgent
from homeostat.agent.spec import AgentSpec
from homeostat.controllers.decisions import Refuse, Reminder
from homeostat.envs.core import Closable, TaskInfo
from homeostat.envs.harness import environments
from homeostat.envs.harness.fixation import FixationWatch
from homeostat.envs.harness.results import Result
from homeostat.envs.harness.runner import Case, RunnerSpec

__all__ = ["AgentRunner", "runner_spec"]


class AgentRunner:
    """Plays episodes with an agent, as the harness asks a runner to.

    Attributes:
        agent: The agent.
        env: The environment.
    """

    def __init__(
        self,
        agent: AgentSpec | dict[str, Any],
        env: str = "phone",
        split: str = "test",
        options: dict[str, Any] | None = None,
        max_steps: int | None = None,
        seconds: float | None = None,
        threads: int | None = None,
        keep_readings: bool = False,
        traces: str | None = None,
        record_attention: bool = False,
    ) -> None:
        """Loads the models and makes the environment.

        Args:
            agent: The agent's specification, as an object or as its JSON data.
            env: The environment's name.
            split: The data split: ``"train"``, ``"dev"`` or ``"test"``.
            options: The environment's own options.
            max_steps: Replaces the task's step budget.
            seconds: Bounds an episode's wall-clock time; it is checked after every model call.
            threads: The number of torch's threads in this process; several workers that take all cores each are slower
                than one.
            keep_readings: Whether results hold the sensors' readings.
            traces: A folder in which every episode leaves its run.
            record_attention: Whether these runs keep the attention on every token of their prompts.

        Raises:
            ModelError: A model can't be loaded.
            ConfigError: The specification or an option of the environment is invalid.
        """
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        self._made_of = (env, split, options)
        self.env = environments.make_env(*self._made_of)
        self.kind = environments.env_kind(env).kind
        self.agent = (agent if isinstance(agent, AgentSpec) else AgentSpec.model_validate(agent)).build()
        self.reads = keep_readings
        self.max_steps, self.seconds = max_steps, seconds
        self.traces, self.record_attention = Path(traces) if traces else None, record_attention
        self._shared: SharedAgent | None = None
        self._player: Callable[[], AbstractContextManager[Agent]] = lambda: nullcontext(self.agent)

    def share(self, episodes: int) -> Callable[[], AgentRunner]:
        """Prepares to play several episodes at once, on one model.

        Args:
            episodes: The most episodes at a time.

        Returns:
            A function that makes a runner for one thread.
        """
        shared = self._shared = SharedAgent(self.agent, episodes)

        def make() -> AgentRunner:
            other = copy.copy(self)
            other.env = environments.make_env(*self._made_of)
            other._shared, other._player = None, shared.one
            return other

        return make

    def run(self, index: int, case: Case) -> Result:
        """Plays one episode. One that a signal pauses has no result: it raises ``KeyboardInterrupt``."""
        begun = time.perf_counter()
        task = self.env.reset_task(case.task, seed=case.seed)
        watch = _Watch(self.seconds, FixationWatch(self.env))
        figures: dict[str, Any]
        try:
            folder = self._folder(index, case)
            with (
                self._player() as agent,
                agent.start(
                    task,
                    self.env,
                    seed=case.seed,
                    max_steps=self.max_steps,
                    run_folder=folder,
                    record_attention=self.record_attention,
                ) as run,
            ):
                for event in run:
                    watch(event)
                episode = run.result
        except _OutOfTime:
            figures = watch.figures() | {"success": False, "ended": "budget", "seconds": time.perf_counter() - begun}
        else:
            if episode.ended == "paused":
                raise KeyboardInterrupt
            figures = {
                "success": bool(episode.success),
                "ended": episode.ended,
                "reason": episode.reason,
                "steps": episode.steps,
                "calls": episode.calls,
                "tokens": episode.tokens,
                "prompt_tokens": episode.prompt_tokens,
                "seconds": episode.seconds,
                "corrections": dict(Counter(record.kind for record in episode.decisions)),
            }
        return self._result(index, case, task, watch, figures)

    def _folder(self, index: int, case: Case) -> Path | None:
        """The folder of the episode's run. What an interrupted run left there is removed."""
        if self.traces is None:
            return None
        folder = self.traces / f"{index:05d}-{case.task}-{case.seed}"
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def close(self) -> None:
        """Closes the environment, if it has something to close, and ends the episodes that share the model."""
        if self._shared is not None:
            self._shared.close()
        if isinstance(self.env, Closable):
            self.env.close()

    def _result(self, index: int, case: Case, task: TaskInfo, watch: _Watch, figures: dict[str, Any]) -> Result:
        return Result(
            index=index,
            task=case.task,
            seed=case.seed,
            goal=task.goal,
            optimal_steps=task.optimal_steps,
            kind=self.kind(case.task),
            step_seconds=tuple(round(s, 4) for s in watch.steps),
            obeyed=environments.obeyed(self.env),
            fixation=watch.fixation.count(),
            readings={name: tuple(values) for name, values in watch.readings.items()} if self.reads else {},
            **figures | {"seconds": round(figures["seconds"], 4)},
        )


class _OutOfTime(Exception):
    """The episode has used all its seconds."""


class _Watch:
    """Times an episode's steps, counts their costs, and ends an episode that takes too long."""

    def __init__(self, seconds: float | None, fixation: FixationWatch) -> None:
        self.seconds, self.fixation = seconds, fixation
        self.begun = self.last = time.perf_counter()
        self.steps: list[float] = []
        self.calls = self.tokens = self.prompt_tokens = 0
        self.readings: dict[str, list[float]] = {}

    def __call__(self, event: Event) -> None:
        now = time.perf_counter()
        self._follow(event)
        if isinstance(event, Act):
            self.steps.append(now - self.last)
            self.last = now
        if isinstance(event, Sense):
            for reading in event.readings:
                if reading.judged:
                    self.readings.setdefault(reading.sensor, []).append(round(reading.value, 6))
        if isinstance(event, Sense | Planned | ScreenRead | RuleRead):
            self.calls += 1
            self.tokens += event.cost if isinstance(event, Sense) else event.tokens
            self.prompt_tokens += event.prompt_tokens - event.cached_tokens
            if self.seconds is not None and now - self.begun > self.seconds:
                raise _OutOfTime

    def _follow(self, event: Event) -> None:
        """Tells the measure of fixation what was seen, attempted, told and done."""
        match event:
            case Observe(app=app, elements=elements):
                self.fixation.saw(app, elements)
            case Sense(action=action, candidate=None) if action is not None:
                self.fixation.attempted(action)
            case Decide(decision=Reminder() | Refuse()) | Asked(answer=str()):
                self.fixation.was_told()
            case Act(action=action, outcome=outcome) if action is not None:
                self.fixation.acted(action, done=outcome == "done")
            case _:
                pass

    def figures(self) -> dict[str, Any]:
        """The costs of an episode that was cut off."""
        return {
            "reason": f"all {self.seconds:g} s were used",
            "steps": len(self.steps),
            "calls": self.calls,
            "tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
        }


def runner_spec(agent: AgentSpec, **settings: Any) -> RunnerSpec:
    """Describes an :class:`AgentRunner` for the harness's workers.

    Args:
        agent: The agent's specification.
        settings: The other arguments of :class:`AgentRunner`.

    Returns:
        The description, as JSON data.
    """
    data = agent.model_dump(mode="json")
    return RunnerSpec(factory=f"{__name__}:AgentRunner", settings={"agent": data, **settings})
