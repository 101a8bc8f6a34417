"""The loop's model calls. Each waits for the checkpoint, has a deadline and a seed, and names the model in errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from threading import Event
from typing import Any

from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.loop.telemetry import RunTelemetry
from homeostat.agent.models.protocol import Interruptible, Model
from homeostat.components import component
from homeostat.errors import CallInterrupted
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["ModelCalls"]


@dataclass(frozen=True)
class ModelCalls:
    """Calls the models of one episode within the loop's limits.

    Attributes:
        model: The model that acts.
        planner: The model that plans and reads screens; None lets the model do both.
        limits: The limits of a call.
        watch: What the probe reads of the acting model; False where no sensor reads attention.
        saved: Blocks until the checkpoint that covers so many events is written, so that a process that dies in the
            call loses nothing. None without a run folder.
        elapsed: Returns the seconds that the episode has run; None where no budget of time can be kept.
        telemetry: The run's OpenTelemetry spans; None where nobody collects them.
    """

    model: Model
    planner: Model | None
    limits: LoopLimits
    watch: bool | Readout
    saved: Callable[[int], None] | None = None
    elapsed: Callable[[], float] | None = None
    telemetry: RunTelemetry | None = None
    _ended: Event = field(default_factory=Event)

    @property
    def planning_model(self) -> Model:
        """The model that plans and reads screens."""
        return self.planner or self.model

    def propose(self, prompt: Prompt, state: EpisodeState, schema: dict[str, Any] | None = None) -> Attempt:
        """Asks the model for an action.

        Args:
            prompt: The prompt.
            state: The episode's state, which says how attention is steered.
            schema: The JSON schema of the answer, for a model that can decode under one; None for free text.

        Returns:
            The attempt. In a forked run it may be the answer that was given instead of the model's own; nothing was
            read of that one but its text.

        Raises:
            ModelError: The model can't answer.
            ComponentError: The model raised an error of its own.
        """
        if state.now.given and state.now.attempt == 0:
            return Attempt(text=state.now.given)
        steer = _present((*state.holding, *state.now.steering), prompt)
        more: dict[str, Any] = ({"steer": steer} if steer else {}) | _held_to(schema, self.model)
        heat = self.limits.temperature if state.now.temperature is None else state.now.temperature
        return self._call(self.model, prompt, state, temperature=heat, watch=self.watch, **more)[0]

    def sample(
        self, prompt: Prompt, state: EpisodeState, n: int, temperature: float, schema: dict[str, Any] | None = None
    ) -> list[Attempt]:
        """Draws several answers to one prompt.

        Args:
            prompt: The prompt.
            state: The episode's state.
            n: How many answers.
            temperature: The sampling temperature.
            schema: The JSON schema of the answers, for a model that can decode under one; None for free text.

        Returns:
            ``n`` attempts.

        Raises:
            ModelError: The model can't answer.
            ComponentError: The model raised an error of its own.
        """
        more = _held_to(schema, self.model)
        return self._call(self.model, prompt, state, n=n, temperature=temperature, watch=self.watch, **more)

    def consult(self, prompt: Prompt, state: EpisodeState, schema: dict[str, Any]) -> Attempt:
        """Asks the model that plans, and holds its answer to a JSON schema where the model can do that.

        Args:
            prompt: The planner's or the reporter's prompt.
            state: The episode's state.
            schema: The schema.

        Returns:
            The attempt.

        Raises:
            ModelError: The model can't answer.
            ComponentError: The model raised an error of its own.
        """
        model = self.planning_model
        more = _held_to(schema, model)
        tokens = self.limits.plan_tokens
        return self._call(model, prompt, state, temperature=0.0, watch=False, max_new_tokens=tokens, **more)[0]

    def wait(self, emitted: int) -> None:
        """Blocks until the checkpoint that covers so many events is written.

        Args:
            emitted: The number of events.

        Raises:
            CheckpointError: The checkpoint can't be written.
        """
        if self.saved is not None:
            self.saved(emitted)

    def interrupt(self) -> None:
        """Ends the present call, where the model can do that, and refuses every further one.

        What an interrupted call returns is not used, so that a resumed run asks anew and comes out as if it had never
        been interrupted.
        """
        self._ended.set()
        for model in {id(m): m for m in (self.model, self.planning_model)}.values():
            if isinstance(model, Interruptible):
                model.interrupt()

    def _call(self, model: Model, prompt: Prompt, state: EpisodeState, **settings: Any) -> list[Attempt]:
        self.wait(state.emitted)
        self._check_interrupted(model)
        drawn = (settings["n"],) if "n" in settings else ()
        most = settings.pop("max_new_tokens", self.limits.max_new_tokens)
        if self.limits.tokens is not None:
            most = max(min(most, self.limits.tokens - state.costs.tokens), 1)
        settings |= {"max_new_tokens": most, "seed": hash((state.seed, state.costs.calls, *drawn)) & 0x7FFFFFFF}
        spans = self.telemetry.chat(model, prompt, settings) if self.telemetry is not None else None
        attempts: list[Attempt] = []
        with component("model", model.name), spans or nullcontext(attempts) as attempts:
            attempts += model.generate(prompt, **settings, deadline=self._deadline())
        self._check_interrupted(model)
        return attempts

    def _deadline(self) -> float | None:
        """The instant at which a call that begins now has to end: its own deadline or the episode's."""
        left = [self.limits.seconds]
        if self.limits.episode_seconds is not None and self.elapsed is not None:
            left.append(self.limits.episode_seconds - self.elapsed())
        seconds = min((s for s in left if s is not None), default=None)
        return None if seconds is None else time.monotonic() + seconds

    def _check_interrupted(self, model: Model) -> None:
        if self._ended.is_set():
            raise CallInterrupted(f"{model.name!r}: the call was interrupted by a signal to end; resume the run")


def _held_to(schema: dict[str, Any] | None, model: Model) -> dict[str, Any]:
    """The schema as an argument of a call, where the model can decode under one."""
    return {"schema": schema} if schema is not None and "schema" in model.capabilities else {}


def _present(actuators: Sequence[Actuator], prompt: Prompt) -> tuple[Actuator, ...]:
    """The actuators whose spans this prompt has. A prompt may lack a reminder, for example."""
    labels = {
        part.label for message in prompt.messages for part in message.parts if part.text or part.image is not None
    }
    return tuple(one for one in actuators if one.labels <= labels)
