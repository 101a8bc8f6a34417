"""The harness's runner for agents: model, sensors, controllers and environment, built once in each worker."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from homeostat.agent.agent import Agent
from homeostat.agent.events import Act, Event, Planned, ScreenRead, Sense
from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.agent.registry import calibrated, controllers_of, planner_of, sensors_for
from homeostat.controllers import preset_sensors
from homeostat.envs.core import TaskInfo
from homeostat.envs.harness import environments
from homeostat.envs.harness.results import Result
from homeostat.envs.harness.runner import Case, RunnerSpec

__all__ = ["AgentRunner", "agent_spec"]


class AgentRunner:
    """Plays episodes with an agent.

    ``model``: a name or folder. ``controllers``: ``none``, ``default`` or names with commas. ``sensors``: more
    sensors by name, to be read only. ``calibration``: a file with thresholds. ``max_steps`` replaces the task's
    budget, ``seconds`` bounds an episode's time (looked at after every model call). ``threads`` bounds torch's in
    this process: several workers that take all cores each are slower than one. ``planner``: another model's name,
    to plan and report; ``heads``: a head profile's file; ``traces``: a folder in which every episode leaves its run.
    """

    def __init__(
        self,
        model: str,
        controllers: str = "none",
        env: str = "phone",
        split: str = "test",
        options: dict[str, Any] | None = None,
        max_steps: int | None = None,
        seconds: float | None = None,
        threads: int | None = None,
        sensors: Sequence[str] = (),
        calibration: str | None = None,
        planner: str | None = None,
        heads: str | None = None,
        traces: str | None = None,
    ) -> None:
        """Raises :class:`ModelError`, :class:`ConfigError`."""
        if threads is not None:
            import torch

            torch.set_num_threads(threads)
        cascade, needed = (
            controllers_of(controllers, model, Path(heads) if heads else None),
            preset_sensors(controllers),
        )
        self.env = environments.make_env(env, split, options)
        self.kind = environments.env_kind(env).kind
        loaded = TransformersModel.load(model)
        chosen = sensors_for({*needed, *sensors}, loaded.provides)
        chosen = calibrated(chosen, model, Path(calibration) if calibration else None)
        planning = planner_of(cascade, loaded, planner)
        self.agent = Agent(loaded, chosen, [cascade] if cascade.controllers else [], planner=planning)
        self.reads = bool(sensors)
        self.max_steps, self.seconds = max_steps, seconds
        self.traces = Path(traces) if traces else None

    def run(self, index: int, case: Case) -> Result:
        """One episode."""
        begun = time.perf_counter()
        task = self.env.reset_task(case.task, seed=case.seed)
        watch = _Watch(self.seconds)
        figures: dict[str, Any]
        try:
            folder = self._folder(index, case)
            episode = self.agent.run(
                task, self.env, seed=case.seed, max_steps=self.max_steps, run_folder=folder, on_event=watch
            )
        except _OutOfTime:
            figures = watch.figures() | {"success": False, "ended": "budget", "seconds": time.perf_counter() - begun}
        else:
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
        """Where the episode's run goes; what a broken-off one left there is removed."""
        if self.traces is None:
            return None
        folder = self.traces / f"{index:05d}-{case.task}-{case.seed}"
        shutil.rmtree(folder, ignore_errors=True)
        return folder

    def close(self) -> None:
        """Close the environment where it has something to close."""
        close = getattr(self.env, "close", None)
        if close is not None:
            close()

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
            readings={name: tuple(values) for name, values in watch.readings.items()} if self.reads else {},
            **figures | {"seconds": round(figures["seconds"], 4)},
        )


class _OutOfTime(Exception):
    """The episode's seconds are used."""


class _Watch:
    """Times the steps as their events come by, counts what they cost, and ends an episode that takes too long."""

    def __init__(self, seconds: float | None) -> None:
        self.seconds = seconds
        self.begun = self.last = time.perf_counter()
        self.steps: list[float] = []
        self.calls = self.tokens = self.prompt_tokens = 0
        self.readings: dict[str, list[float]] = {}

    def __call__(self, event: Event) -> None:
        now = time.perf_counter()
        if isinstance(event, Act):
            self.steps.append(now - self.last)
            self.last = now
        if isinstance(event, Sense):
            for reading in event.readings:
                if reading.judged:
                    self.readings.setdefault(reading.sensor, []).append(round(reading.value, 6))
        if isinstance(event, Sense | Planned | ScreenRead):
            self.calls += 1
            self.tokens += len(event.tokens) if isinstance(event, Sense) else event.tokens
            self.prompt_tokens += event.prompt_tokens - event.cached_tokens
            if self.seconds is not None and now - self.begun > self.seconds:
                raise _OutOfTime

    def figures(self) -> dict[str, Any]:
        """What an episode that was cut had cost."""
        return {
            "reason": f"all {self.seconds:g} s were used",
            "steps": len(self.steps),
            "calls": self.calls,
            "tokens": self.tokens,
            "prompt_tokens": self.prompt_tokens,
        }


def agent_spec(model: str, **settings: Any) -> RunnerSpec:
    """The spec of an :class:`AgentRunner` with these settings."""
    return RunnerSpec(factory=f"{__name__}:AgentRunner", settings={"model": model, **settings})
