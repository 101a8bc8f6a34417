"""The loop's model calls. Each waits for the checkpoint, has a deadline and a seed, and names the model in errors."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat.agent.loop.limits import LoopLimits
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.models.protocol import Interruptible, Model
from homeostat.components import component
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
    """

    model: Model
    planner: Model | None
    limits: LoopLimits
    watch: bool | Readout
    saved: Callable[[int], None] | None = None

    @property
    def planning_model(self) -> Model:
        """The model that plans and reads screens."""
        return self.planner or self.model

    def propose(self, prompt: Prompt, state: EpisodeState) -> Attempt:
        """Asks the model for an action.

        Args:
            prompt: The prompt.
            state: The episode's state, which says how attention is steered.

        Returns:
            The attempt.

        Raises:
            ModelError: The model can't answer.
            ComponentError: The model raised an error of its own.
        """
        steer = _present((*state.holding, *state.now.steering), prompt)
        more: dict[str, Any] = {"steer": steer} if steer else {}
        return self._call(self.model, prompt, state, temperature=self.limits.temperature, watch=self.watch, **more)[0]

    def sample(self, prompt: Prompt, state: EpisodeState, n: int, temperature: float) -> list[Attempt]:
        """Draws several answers to one prompt.

        Args:
            prompt: The prompt.
            state: The episode's state.
            n: How many answers.
            temperature: The sampling temperature.

        Returns:
            ``n`` attempts.

        Raises:
            ModelError: The model can't answer.
            ComponentError: The model raised an error of its own.
        """
        return self._call(self.model, prompt, state, n=n, temperature=temperature, watch=self.watch)

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
        more: dict[str, Any] = {"schema": schema} if "schema" in model.capabilities else {}
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
        """Asks the models to end the call that they are in, where they can."""
        for model in {id(m): m for m in (self.model, self.planning_model)}.values():
            if isinstance(model, Interruptible):
                model.interrupt()

    def _call(self, model: Model, prompt: Prompt, state: EpisodeState, **settings: Any) -> list[Attempt]:
        self.wait(state.emitted)
        seconds = self.limits.seconds
        drawn = (settings["n"],) if "n" in settings else ()
        with component("model", model.name):
            return model.generate(
                prompt,
                **{"max_new_tokens": self.limits.max_new_tokens} | settings,
                deadline=None if seconds is None else time.monotonic() + seconds,
                seed=hash((state.seed, state.costs.calls, *drawn)) & 0x7FFFFFFF,
            )


def _present(actuators: Sequence[Actuator], prompt: Prompt) -> tuple[Actuator, ...]:
    """The actuators whose spans this prompt has. A prompt may lack a reminder, for example."""
    labels = {part.label for message in prompt.messages for part in message.parts}
    return tuple(one for one in actuators if one.labels <= labels)
