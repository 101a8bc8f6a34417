"""The contract of a model: what the loop asks of one."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from homeostat.agent.models.generation import GenerationCall, Wishes
from homeostat.agent.prompts import PromptStyle
from homeostat.conversation import ToolSpec
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.contracts import Capability
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["BatchingItself", "Interruptible", "Measuring", "Model", "ParsingAnswers", "PartlyRecording"]


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
            deadline: The instant of ``time.monotonic()`` at which the call ends, with ``finish="length"`` and the
                tokens so far. While the prompt is still being read there are none, and the text is "".
            seed: Makes sampling repeatable.
            steer: How attention is changed in this call. Only asked of a model with the capability ``"steering"``.
            schema: A JSON schema that the answer has to fit. Only asked of a model with the capability ``"schema"``.

        Returns:
            One attempt for each answer. Of several answers there may be fewer, or none, where memory or time did not
            suffice for all.

        Raises:
            ModelError: The prompt can't be rendered, or the model can't answer it.
            PromptTooLong: Prompt and answer don't fit the model's context.
            OutOfMemory: Memory does not suffice for a single answer, and one was asked for.
        """
        ...


@runtime_checkable
class Interruptible(Protocol):
    """The optional capability of a :class:`Model` whose calls can be ended early."""

    def interrupt(self) -> None:
        """Ends the present call soon, with ``finish="length"``; other calls than ``generate`` raise CallInterrupted.

        A signal handler or another thread may call it at any time. Without a present call it does nothing.
        """
        ...


@runtime_checkable
class Measuring(Protocol):
    """The optional capability of a :class:`Model` that knows how long its context is."""

    def excess(self, prompt: Prompt, max_new_tokens: int) -> int:
        """Counts the tokens by which a prompt and its answer exceed the context.

        Args:
            prompt: The prompt.
            max_new_tokens: The most tokens of the answer.

        Returns:
            The number of tokens; 0 where both fit.
        """
        ...


@runtime_checkable
class ParsingAnswers(Protocol):
    """The optional capability of a :class:`Model` that knows how its own turns in a conversation are to be read."""

    def parse_answer(self, attempt: Attempt, tools: Sequence[ToolSpec]) -> Mapping[str, Any] | None:
        """Reads an answer of this model.

        Args:
            attempt: The answer.
            tools: The tools that the prompt offered.

        Returns:
            The message in OpenAI's format, with ``content`` and ``tool_calls``; None where the model does not know,
            so that the answer is read by the known forms of tool calls.
        """
        ...


@runtime_checkable
class BatchingItself(Protocol):
    """The optional capability of a :class:`Model` whose engine batches the calls of several threads by itself.

    Attributes:
        context: The number of tokens that prompt and answer may have together; None where it is unknown.
    """

    context: int | None

    def answer(self, prompt: Prompt, call: GenerationCall, wishes: Wishes, gone: threading.Event) -> list[Attempt]:
        """Answers a prompt, together with the calls of other threads.

        Args:
            prompt: The prompt.
            call: The settings.
            wishes: What the caller wants besides.
            gone: Set when nobody wants the answers any more: the call then ends soon.

        Returns:
            What :meth:`Model.generate` returns.
        """
        ...


@runtime_checkable
class PartlyRecording(Protocol):
    """The optional capability of a :class:`Model` with attention that can't record all that a Readout may ask for.

    Attributes:
        records: What it records besides span masses: statistics, ``"keys"`` and ``"window"``.
    """

    records: frozenset[str]
