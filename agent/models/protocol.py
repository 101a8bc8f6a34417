"""The contract of a model: what the loop asks of one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from homeostat.agent.prompts import PromptStyle
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.contracts import Capability
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["Interruptible", "Model"]


@runtime_checkable
class Model(Protocol):
    """What the loop asks of a model.

    Attributes:
        name: The model's name, as it was loaded.
        style: How its prompts are worded.
        capabilities: What it offers: the needs of sensors that its attempts meet, attention steering, and answers that
            are held to a JSON schema.
    """

    name: str
    style: PromptStyle
    capabilities: frozenset[Capability]

    def generate(
        self,
        prompt: Prompt,
        *,
        n: int = 1,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        watch: bool | Readout = True,
        deadline: float | None = None,
        seed: int | None = None,
        steer: Sequence[Actuator] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> list[Attempt]:
        """Answers a prompt.

        Args:
            prompt: The prompt.
            n: How many answers to draw.
            temperature: The sampling temperature; 0 decodes greedily, and then all answers are the same one.
            max_new_tokens: The most tokens that an answer may have.
            watch: Whether the probe reads span masses; a :class:`~homeostat.sensors.Readout` reads more than these.
            deadline: The instant of ``time.monotonic()`` at which generation ends, with ``finish="length"``.
            seed: Makes sampling repeatable.
            steer: How attention is changed in this call. Only asked of a model with the capability ``"steering"``.
            schema: A JSON schema that the answer has to fit. Only asked of a model with the capability ``"schema"``.

        Returns:
            One attempt for each answer.

        Raises:
            ModelError: The prompt can't be rendered, or the model can't answer it.
        """
        ...


@runtime_checkable
class Interruptible(Protocol):
    """The optional capability of a :class:`Model` whose calls can be ended early."""

    def interrupt(self) -> None:
        """Ends the present call soon, with ``finish="length"``. A signal handler may call it at any time."""
        ...
