"""What travels beside the checkpointed state: the loaded model, the environment, sensors, controllers, the trace."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from homeostat.actions import Action, Click, LongPress
from homeostat.agent.events import Event
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.models.protocol import Model
from homeostat.agent.trace import TraceWriter
from homeostat.controllers.core import ControlContext, Controller, Decision, Proceed
from homeostat.envs.core import Env
from homeostat.envs.screens import load_screen, screen_digest
from homeostat.errors import ConfigError
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.core import Attempt, Reading, Readout, Sensor, SensorContext
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["LoopConfig", "RunContext"]

_KEPT = 32  # screenshots in memory, for prompts that hold earlier ones


class LoopConfig(BaseModel):
    """Bounds on one episode's model calls.

    ``attempts`` is the most model calls a step may have: then its last action is carried out, whatever controllers
    want. ``garbled`` unparsable answers in a row end the episode. ``seconds`` is the deadline of one call.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    attempts: int = Field(default=4, ge=1)
    garbled: int = Field(default=3, ge=1)
    max_new_tokens: int = Field(default=128, ge=1)
    plan_tokens: int = Field(default=256, ge=1)
    temperature: float = Field(default=0.0, ge=0.0)
    seconds: float | None = Field(default=None, gt=0.0)


@dataclass
class RunContext:
    """One running episode. ``observation`` and ``attempt`` are what the state names but can't hold.

    ``saved`` waits until the state with so many events is stored.
    """

    model: Model
    env: Env
    sensors: Sequence[Sensor]
    controllers: Sequence[Controller]
    config: LoopConfig
    trace: TraceWriter | None = None
    emitted: int = 0
    spent: float = 0.0
    planner: Model | None = None
    saved: Callable[[int], None] | None = None
    observation: Observation | None = None
    attempt: Attempt | None = None
    _outbox: list[Event] = field(default_factory=list)
    _images: dict[str, NDArray[np.uint8]] = field(default_factory=dict)
    _begun: float = field(default_factory=time.monotonic)

    def emit(self, event: Event) -> None:
        """Write the event to the trace and hand it to whoever streams."""
        if self.trace is not None:
            self.trace.write(event)
        self.emitted += 1
        self._outbox.append(event)

    def drain(self) -> list[Event]:
        """The events since the last call."""
        events, self._outbox = self._outbox, []
        return events

    def elapsed(self) -> float:
        """Seconds that the episode has run, those before a resume included."""
        return self.spent + time.monotonic() - self._begun

    def observe(self) -> Observation:
        """The present screen, looked at once a step (and again after a resume: it has no effect)."""
        if self.observation is None:
            self.observation = self.env.observe()
        return self.observation

    def keep(self, image: NDArray[np.uint8]) -> str:
        """Keep a screenshot for later prompts; its name."""
        name = self.trace.screen(image) if self.trace is not None else screen_digest(image)
        self._images = dict(list(self._images.items())[-_KEPT:]) | {name: image}
        return name

    def image(self, name: str) -> NDArray[np.uint8]:
        """A screenshot that was kept, in another process if need be. Raises :class:`TraceError` where it is gone."""
        if name not in self._images:
            assert self.trace is not None  # nothing is resumed without a run folder
            self._images[name] = load_screen(self.trace.folder / "screens", name)
        return self._images[name]

    def snapshot(self) -> str:
        """Save the environment's state; its hash, empty without a run folder."""
        return self.trace.snapshot(self.env.snapshot()) if self.trace is not None else ""

    @property
    def planning_model(self) -> Model:
        """The model that plans and reports: the planner, where there is one."""
        return self.planner or self.model

    def consult(self, prompt: Prompt, state: EpisodeState, schema: dict[str, Any], tokens: int) -> Attempt:
        """One call of the model that plans, held to a JSON schema where it can be held to one."""
        if self.saved is not None:
            self.saved(state.emitted)
        seconds, model = self.config.seconds, self.planning_model
        settings: dict[str, Any] = {"schema": schema} if getattr(model, "constrains", False) else {}
        return model.generate(
            prompt,
            **settings,
            temperature=0.0,
            max_new_tokens=tokens,
            watch=False,
            deadline=None if seconds is None else time.monotonic() + seconds,
            seed=hash((state.seed, state.calls)) & 0x7FFFFFFF,
        )[0]

    def generate(self, prompt: Prompt, state: EpisodeState) -> Attempt:
        """One model call under the loop's bounds. Attention is read where a sensor wants it.

        What came before is on disk by then: a process that dies in the call loses nothing.
        """
        if self.saved is not None:
            self.saved(state.emitted)
        config = self.config
        watching = any("attention" in sensor.needs for sensor in self.sensors)
        steer = _present((*state.holding, *state.steering), prompt)
        settings: dict[str, Any] = {"steer": steer} if steer else {}
        return self.model.generate(
            prompt,
            **settings,
            temperature=config.temperature,
            max_new_tokens=config.max_new_tokens,
            watch=self.readout if watching else False,
            deadline=None if config.seconds is None else time.monotonic() + config.seconds,
            seed=hash((state.seed, state.calls)) & 0x7FFFFFFF,
        )[0]

    def sample(self, prompt: Prompt, state: EpisodeState, n: int, temperature: float) -> list[Attempt]:
        """``n`` answers to one prompt, drawn at ``temperature``."""
        if self.saved is not None:
            self.saved(state.emitted)
        config = self.config
        return self.model.generate(
            prompt,
            n=n,
            temperature=temperature,
            max_new_tokens=config.max_new_tokens,
            watch=self.readout if any("attention" in sensor.needs for sensor in self.sensors) else False,
            deadline=None if config.seconds is None else time.monotonic() + config.seconds,
            seed=hash((state.seed, state.calls, n)) & 0x7FFFFFFF,
        )

    @property
    def readout(self) -> Readout:
        """All that the sensors want of the probe."""
        wanted = (getattr(sensor, "reads", Readout()) for sensor in self.sensors)
        return reduce(or_, wanted, Readout())

    def read(
        self,
        attempt: Attempt,
        state: EpisodeState,
        prompt: Prompt | None = None,
        action: Action | None = None,
        candidates: Sequence[Attempt] = (),
    ) -> tuple[Reading, ...]:
        """Every sensor's reading of an attempt, which wants ``action`` and is one of ``candidates``.

        Raises :class:`ConfigError` naming a sensor that breaks its contract.
        """
        extra = self._extra(state, action) | ({"candidates": tuple(candidates)} if candidates else {})
        readings = []
        for sensor in self.sensors:
            context = SensorContext(
                goal=state.instruction,
                rules=state.task.rules,
                step=state.step,
                attempt=state.attempt,
                history=tuple(r for r in state.acted if r.sensor == sensor.name),
                model=self.model if "model" in sensor.needs else None,
                prompt=prompt,
                observation=self.observation,
                extra=extra,
            )
            readings.append(self._guarded("sensor", sensor.name, lambda s=sensor, c=context: s.read(attempt, c)))
        return tuple(readings)

    def _extra(self, state: EpisodeState, action: Action | None) -> dict[str, Any]:
        extra: dict[str, Any] = {"whole_goal": state.task.goal, "action": action}
        if isinstance(action, Click | LongPress):
            extra["point"] = action.point
        env: Any = self.env
        if any(getattr(sensor, "checks", False) for sensor in self.sensors) and hasattr(env, "subtask_apps"):
            extra |= {"subtasks": env.subtasks(), "apps": env.subtask_apps(), "optimal_steps": state.task.optimal_steps}
        return extra

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> tuple[str, Decision]:
        """The first decision other than to proceed, and whose it is."""
        for controller in self.controllers:
            heard = [r for r in readings if not controller.sensors or r.sensor in controller.sensors]
            decision = self._guarded("controller", controller.name, lambda c=controller, h=heard: c.decide(h, context))
            if not isinstance(decision, Proceed):
                return decision.by or controller.name, decision
        return "", Proceed()

    @staticmethod
    def _guarded(what: str, name: str, call: Any) -> Any:
        try:
            return call()
        except Exception as error:
            raise ConfigError(
                f"{what} {name!r} raised {type(error).__name__}: {str(error)[:120]}; test it with check_{what}"
            ) from error


def _present(actuators: Sequence[Actuator], prompt: Prompt) -> tuple[Actuator, ...]:
    """Those whose spans are in this prompt: a reminder is not in every one."""
    labels = {part.label for message in prompt.messages for part in message.parts}
    return tuple(one for one in actuators if one.labels <= labels)
