"""The contracts of sensors: what a sensor is, and what it may ask of a model.

A sensor implements :class:`Sensor`, and :class:`ExtendedReadout` or :class:`SubtaskSensor` if it needs more. A model
implements those of the remaining Protocols that it supports; a sensor tests for them with ``isinstance``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.readings import Reading

__all__ = [
    "Capability",
    "ExtendedReadout",
    "ForcedReading",
    "HiddenStates",
    "Need",
    "ReminderStyle",
    "Scoring",
    "Sensor",
    "Styled",
    "SubtaskSensor",
    "WhiteBox",
]

Need = Literal["attention", "logprobs", "text", "model"]
"""What a sensor may need of a model call: span masses, log-probabilities, the text, or the model itself."""

Capability = Literal["attention", "logprobs", "text", "model", "steering", "schema", "tools"]
"""What a model may offer: the needs of sensors, attention steering, answers constrained to a JSON schema, and a chat
template of its own for tools, their calls and their results.
"""


@runtime_checkable
class Sensor(Protocol):
    """Reads one attempt. A sensor is stateless, deterministic, and fast compared with the model call.

    Attributes:
        name: The sensor's name, unique within an agent.
        needs: What the attempt must contain.
    """

    name: str
    needs: frozenset[Need]

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt.

        It must not raise on an attempt that contains what ``needs`` declares, whatever its text or length (an empty
        attempt included).

        Args:
            attempt: The attempt. The sensor does not change it.
            context: What is known besides the attempt. The sensor does not change it.

        Returns:
            The reading, under the sensor's own name.
        """
        ...


@runtime_checkable
class ExtendedReadout(Protocol):
    """A sensor that needs more from the probe than span masses."""

    @property
    def reads(self) -> Readout:
        """What the probe has to record for this sensor. A plain attribute suffices."""
        ...


@runtime_checkable
class SubtaskSensor(Protocol):
    """A sensor that compares the action with the task's subtasks."""

    @property
    def checks_subtasks(self) -> bool:
        """Whether the loop has to evaluate the subtasks' checks at every attempt. A plain attribute suffices."""
        ...


@runtime_checkable
class Scoring(Protocol):
    """A model that scores a given answer (teacher forcing)."""

    def score(self, prompt: Prompt, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Scores a given answer.

        The model reuses its key-value cache for the prefix that this prompt shares with the previous one.

        Args:
            prompt: The prompt.
            tokens: The T tokens of the answer.

        Returns:
            (T, V) natural-log probabilities over the vocabulary at each token.
        """
        ...


@runtime_checkable
class ForcedReading(Protocol):
    """A model whose attention can be read while it is given an answer (teacher forcing)."""

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout) -> SpanMass:
        """Reads the attention of a given answer.

        Args:
            prompt: The prompt.
            tokens: The T tokens of the answer.
            readout: What the probe records besides span masses.

        Returns:
            The span masses of the T tokens.
        """
        ...


@runtime_checkable
class HiddenStates(Protocol):
    """A model that returns its hidden states."""

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """Computes the residual stream of a prompt.

        Args:
            prompt: The prompt, of P tokens.

        Returns:
            (L + 1, P, D): the residual stream at each token, at the input of each of the L layers and after the last.
        """
        ...


@runtime_checkable
class WhiteBox(Scoring, ForcedReading, HiddenStates, Protocol):
    """Everything that a sensor with the need ``"model"`` may ask of a model."""

    def generate(self, prompt: Prompt, *, max_new_tokens: int = 256, watch: bool | Readout = True) -> list[Attempt]:
        """Answers a prompt greedily.

        Args:
            prompt: The prompt.
            max_new_tokens: The largest number of tokens that the answer may have.
            watch: Whether attention is read, or what the probe records.

        Returns:
            One attempt.
        """
        ...


class ReminderStyle(Protocol):
    """How a model's prompts word a reminder."""

    @property
    def reminder(self) -> str:
        """The wording, with ``{reminder}`` in place of the text."""
        ...


@runtime_checkable
class Styled(Protocol):
    """A model that has its own prompt style."""

    @property
    def style(self) -> ReminderStyle:
        """The style."""
        ...
