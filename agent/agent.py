"""``Agent``: a model, sensors and controllers, run on an environment.

    agent = Agent.default("homeostat/nano")
    episode = agent.run("Turn on the wifi", env)

A run with a folder is written to disk while it goes on (trace, screenshots, checkpoint) and can be resumed in another
process. A run without a folder leaves nothing on the disk, which suits an evaluation.
"""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, Protocol, Self

from pydantic import ValidationError

from homeostat.agent.events import Event
from homeostat.agent.loop.beginning import beginning
from homeostat.agent.loop.episode import Episode
from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.loop.running import Parts, resumed_episode, started_episode
from homeostat.agent.models.protocol import Model, PartlyRecording
from homeostat.agent.registry import lacking
from homeostat.agent.run import Run
from homeostat.controllers.cascade import Cascade
from homeostat.controllers.contracts import Controller, Demanding
from homeostat.envs.core import Env, TaskInfo
from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped
from homeostat.sensors.contracts import Sensor
from homeostat.sensors.readings import Reading

__all__ = ["Agent"]

_P = ParamSpec("_P")


def _to_the_end(start: Callable[Concatenate[Agent, _P], Run]) -> Callable[Concatenate[Agent, _P], Episode]:
    def run(self: Agent, /, *args: _P.args, **kwargs: _P.kwargs) -> Episode:
        """Runs one episode to its end. Takes the parameters of :meth:`start` and returns the run's result."""
        return start(self, *args, **kwargs).result

    return run


class Blueprint(Protocol):
    """What an agent can be built from: :class:`~homeostat.AgentSpec`."""

    def build(self) -> Agent:
        """Builds the agent."""
        ...


class Agent:
    """Drives environments with a model, reads it with sensors, and corrects it with controllers.

    The controllers always form one :class:`~homeostat.controllers.Cascade`: they are asked in order, and the first that
    wants anything but to proceed wins. Immediately before an action is carried out, every controller that may refuse
    actions is asked about it, whoever proposed or chose it.

    Attributes:
        model: The model that acts.
        planner: The model that splits goals and reads screens; None lets the model do both.
        sensors: The sensors that read the model.
        cascade: The controllers.
        limits: The limits of an episode.
        name: The agent's name, which telemetry and logs show.
        degraded: The sensors that were left out because the model does not offer what they need, with the reason.
    """

    def __init__(
        self,
        model: Model,
        sensors: Sequence[Sensor] = (),
        controllers: Sequence[Controller] | Cascade = (),
        *,
        limits: LoopLimits | None = None,
        planner: Model | None = None,
        allow_degraded: bool = False,
        name: str = "homeostat",
    ) -> None:
        """Combines the parts and checks that they fit together.

        Args:
            model: The model that acts.
            sensors: The sensors that read its attempts, in order.
            controllers: The controllers in the order in which they are asked, or a cascade with bounds of its own.
            limits: The limits of an episode; None takes the defaults.
            planner: Another model that splits goals and reads screens.
            allow_degraded: Whether a sensor that needs what the model does not offer is left out (see ``degraded``)
                instead of refused.
            name: The agent's name, which telemetry and logs show.

        Raises:
            ConfigError: The parts don't fit together: two of one name, a sensor or controller that needs what the model
                does not offer, or a controller that listens to a sensor that is not there.
        """
        self.model, self.planner = model, planner
        self.limits, self.name = limits or LoopLimits(), name
        _unique("sensor", [s.name for s in sensors])
        self.cascade = _cascade(controllers)
        self.degraded = {s.name: reason for s in sensors if (reason := lacking(s, model))}
        if self.degraded and not allow_degraded:
            name, reason = next(iter(self.degraded.items()))
            raise ConfigError(f"sensor {name!r} {reason}; drop it, change the model, or set allow_degraded=True")
        self.sensors = tuple(s for s in sensors if s.name not in self.degraded)
        self._check_controllers({s.name for s in sensors})

    @classmethod
    def from_spec(cls, spec: Blueprint) -> Agent:
        """Builds the agent that a specification describes.

        Args:
            spec: The specification, an :class:`~homeostat.AgentSpec`.

        Returns:
            The agent, with its model loaded.

        Raises:
            ModelError: A model can't be loaded.
            ConfigError: The parts don't fit together, or a name is unknown.
        """
        return spec.build()

    @classmethod
    def default(cls, model: str | os.PathLike[str] = "homeostat/nano") -> Agent:
        """Builds the agent that ``homeostat run`` uses when no option is given.

        Args:
            model: A hub name, a folder, or the name of an embedded model.

        Returns:
            The agent, with its model loaded.

        Raises:
            ModelError: The model can't be loaded.
        """
        from homeostat import (
            agent as public,  # by its public name: a specification builds agents, so it imports this file
        )

        return public.AgentSpec(model=os.fspath(model)).build()

    @property
    def controllers(self) -> tuple[Controller, ...]:
        """The controllers, in the order in which they are asked."""
        return self.cascade.controllers

    @property
    def _parts(self) -> Parts:
        return Parts(
            self.model, self.planner, self.sensors, self.cascade, self.limits, self.name, left_out=self.degraded
        )

    def limited(self, **changes: Any) -> Self:
        """Makes an agent of the same parts with other limits.

        Args:
            changes: The fields of :class:`~homeostat.agent.LoopLimits` that change.

        Returns:
            The agent. It shares the models, the sensors and the controllers with this one.

        Raises:
            ConfigError: A limit is unknown or has an impossible value.
        """
        other = copy.copy(self)
        try:
            other.limits = LoopLimits.model_validate(self.limits.model_dump() | changes)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"limit {where}={clipped(repr(first['input']), 60)}: {first['msg']}") from None
        return other

    def start(
        self,
        task: TaskInfo | str,
        env: Env,
        *,
        seed: int = 0,
        rules: Sequence[str] = (),
        max_steps: int | None = None,
        run_folder: str | os.PathLike[str] | None = None,
        on_ask: Callable[[str], str] | None = None,
        earlier: Sequence[Reading] = (),
        record_attention: bool = False,
        keep_checkpoints: bool = False,
    ) -> Run:
        """Starts one episode.

        With a run folder, the first Ctrl-C or SIGTERM in the main thread ends the run as ``"paused"`` with its state
        saved.

        Args:
            task: What ``env.reset_task(…)`` has just returned (reset again before each run), or a goal in words: the
                environment then starts a free run, which nothing judges.
            env: The environment.
            seed: The seed of sampling, and of a free run's initial state.
            rules: The rules of a goal in words; a task has its own.
            max_steps: The most environment steps; None takes the task's own budget.
            run_folder: A new folder for trace, screenshots and checkpoint; None keeps everything in memory.
            on_ask: Answers the controllers' questions; without it the episode comes back as ``"asked"``.
            earlier: Readings that were taken before the episode, which sensors find in their history: those of earlier
                answers in the same chat, for example.
            record_attention: Whether the run folder keeps the attention of every model call on every token of its
                prompt, for ``homeostat report`` and ``homeostat view``. Costs memory in proportion to the tokens of
                prompt and answer, the layers and the heads. A resumed run goes on keeping it.
            keep_checkpoints: Whether the run folder keeps the state at the start of every step, so that :meth:`fork`
                can go back there. The file grows with the square of the number of steps.

        Returns:
            The run. Iterate it for its events, or ask for its ``result``.

        Raises:
            ConfigError: The task, the rules or the step budget are invalid, the folder already holds a run, or
                something is to be kept without a folder, or attention by a model that reads none.
        """
        for option, wanted in (("record_attention", record_attention), ("keep_checkpoints", keep_checkpoints)):
            if wanted and run_folder is None:
                raise ConfigError(f"{option}=True writes to the run's folder; give run_folder")
        if record_attention and "attention" not in self.model.capabilities:
            raise ConfigError(f"model {self.model.name!r} reads no attention; leave record_attention out")
        if record_attention and isinstance(self.model, PartlyRecording) and "prompt_keys" not in self.model.records:
            raise ConfigError(f"model {self.model.name!r} reads whole spans only; leave record_attention out")
        info, judged = beginning(task, env, seed, rules, max_steps)
        folder = Path(run_folder) if run_folder is not None else None
        items = started_episode(
            self._parts,
            info,
            judged,
            env,
            seed,
            folder,
            on_ask,
            tuple(earlier),
            record_attention=record_attention,
            keep_checkpoints=keep_checkpoints,
        )
        return Run(items, folder)

    run = _to_the_end(start)

    def run_many(
        self,
        episodes: Sequence[tuple[TaskInfo | str, Env]],
        *,
        batch: int = 8,
        seed: int = 0,
        max_steps: int | None = None,
        run_folder: str | os.PathLike[str] | None = None,
        on_ask: Callable[[str], str] | None = None,
        on_end: Callable[[int, Episode], None] | None = None,
        on_event: Callable[[int, Event], None] | None = None,
        return_exceptions: bool = False,
    ) -> list[Episode]:
        """Runs many episodes side by side and answers their model calls in batches.

        Every episode comes out as it would by itself. In bfloat16, two answers that are almost equally likely may
        change places. An episode's environment is used in a thread of its own.

        Args:
            episodes: The task (as :meth:`start` takes it) and the environment of each episode; no two share one.
            batch: The most episodes at a time. The next one begins when one ends.
            seed: The seed of sampling, and of a free run's initial state.
            max_steps: The most environment steps of each; None takes the task's own budget.
            run_folder: A folder in which every run gets one of its own (``00000``, …); None keeps everything in memory.
            on_ask: Answers the controllers' questions, in the thread of the episode that asks.
            on_end: Told the number and the result of each episode when it ends.
            on_event: Told the number of an episode and each of its events, in the episode's thread.
            return_exceptions: Whether an error stands in the list in its episode's place. Otherwise the first one is
                raised when all episodes have ended.

        Returns:
            The results, in the order of ``episodes``.

        Raises:
            ConfigError: ``batch`` is below 1, or two episodes share an environment.
        """
        from homeostat.agent.many import Listeners, run_many

        settings = {"seed": seed, "max_steps": max_steps, "on_ask": on_ask}
        folder = Path(run_folder) if run_folder is not None else None
        return run_many(self, episodes, batch, folder, return_exceptions, Listeners(on_end, on_event), settings)

    def resume(
        self,
        run_folder: str | os.PathLike[str],
        env: Env,
        *,
        answer: str | None = None,
        on_ask: Callable[[str], str] | None = None,
    ) -> Run:
        """Continues an episode from its last checkpoint, in any process.

        Args:
            run_folder: The run's folder.
            env: An environment that is built like the run's.
            answer: The answer to the question that an ``"asked"`` episode waits for.
            on_ask: Answers the controllers' further questions.

        Returns:
            The run. An episode that had ended has no further events; its result is the one that it ended with.

        Raises:
            CheckpointError: While the run is iterated: the folder holds no checkpoint, or a damaged one.
        """
        folder = Path(run_folder)
        return Run(resumed_episode(self._parts, folder, env, answer, on_ask), folder)

    def fork(
        self,
        run: Run | Episode | str | os.PathLike[str],
        step: int,
        env: Env,
        *,
        answer: str = "",
        new_folder: str | os.PathLike[str] | None = None,
        on_ask: Callable[[str], str] | None = None,
    ) -> Run:
        """Goes back to the start of a step of an earlier run, and plays on from there as this agent.

        The earlier run stays as it is. The new one begins with a copy of its first ``step`` steps, and differs from
        there on by what this agent has other than that run's agent, or by the answer. With an equal agent and no
        answer it repeats the earlier run.

        Args:
            run: The earlier run, its result or its folder. It was started with ``keep_checkpoints=True``.
            step: The step, from 0.
            env: An environment that is built like the run's. It has to be one that can be put back.
            answer: The model's answer at this step, in place of its own; "" lets the model answer.
            new_folder: The new run's folder; None makes one beside the earlier run's.
            on_ask: Answers the controllers' questions.

        Returns:
            The new run.

        Raises:
            ConfigError: The environment can't be put back, the run has no folder, or the new folder holds a run.
            CheckpointError: The run keeps no checkpoint of this step.
        """
        from homeostat.agent.loop.forking import fork_run

        source = run.folder if isinstance(run, Run | Episode) else Path(run)
        if source is None:
            raise ConfigError("the run has no folder, so nothing of it is left; run it with run_folder")
        folder = fork_run(source, step, env, answer, None if new_folder is None else Path(new_folder), self._parts)
        return self.resume(folder, env, on_ask=on_ask)

    def _check_controllers(self, sensors: set[str]) -> None:
        """Raises ConfigError for a controller that lacks what it needs."""
        for controller in self.controllers:
            needs = controller.needs if isinstance(controller, Demanding) else frozenset()
            if missing := sorted(needs - self.model.capabilities):
                what = "attention steering" if missing[0] == "steering" else missing[0]
                raise ConfigError(
                    f"controller {controller.name!r} needs {what}, which {self.model.name!r} does not offer; drop it, "
                    "or use a TransformersModel"
                )
            if absent := sorted(controller.sensors - sensors):
                raise ConfigError(
                    f"controller {controller.name!r} listens to {absent[0]!r}, which is not among the sensors "
                    f"({', '.join(sorted(sensors)) or 'none'}); add that sensor"
                )


def _cascade(controllers: Sequence[Controller] | Cascade) -> Cascade:
    """The controllers as one cascade; a cascade that is given stays as it is."""
    if isinstance(controllers, Cascade):
        return controllers
    if len(controllers) == 1 and isinstance(controllers[0], Cascade):
        return controllers[0]
    return Cascade(controllers)


def _unique(what: str, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigError(f"two {what}s are named {twice[0]!r}; give each its own name")
