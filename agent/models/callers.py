"""What a caller of a shared model holds: a model of its own, whose calls meet those of the others in batches."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.generation import GenerationCall, Wishes
from homeostat.conversation import ToolSpec
from homeostat.errors import CallInterrupted
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.steering.actuators import Actuator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from homeostat.agent.models.shared_model import SharedModel

__all__ = ["Caller", "LocalCaller"]


class Caller:
    """A model for one caller of a shared one. Within its ``with`` block, batches wait a little for its calls.

    Attributes:
        name: The model's name.
        style: How its prompts are worded.
        capabilities: What it offers.
        answers: Every answer so far, in the order in which they were given.
    """

    def __init__(self, shared: SharedModel, wishes: Wishes) -> None:
        """Begins without a call.

        Args:
            shared: The shared model.
            wishes: What the caller wants of each call.
        """
        self.name, self.style, self.capabilities = shared.name, shared.style, shared.capabilities
        self.answers: list[Attempt] = []
        self._shared, self._wishes, self._gone = shared, wishes, threading.Event()

    def __enter__(self) -> Caller:
        """Says that the caller is at work."""
        self._shared.joined(1)
        return self

    def __exit__(self, *raised: object) -> None:
        """Says that it is done."""
        self._shared.joined(-1)

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
        """Answers a prompt (see :class:`~homeostat.agent.Model`)."""
        self._check()
        call = GenerationCall(n, temperature, max_new_tokens, watch, deadline, seed, tuple(steer), schema)
        rendered = self._known(prompt)
        found = self._shared.answer(prompt, call, self._wishes, self._gone, owner=self, rendered=rendered)
        self._check()
        self.answers += found
        return found

    def score(self, prompt: Prompt, tokens: Sequence[int]) -> NDArray[np.float32]:
        """Scores a given answer (see :class:`~homeostat.sensors.contracts.Scoring`)."""
        return self._shared.score(prompt, tokens)

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout = Readout()) -> SpanMass:  # noqa: B008
        """Reads a given answer's attention (see :class:`~homeostat.sensors.contracts.ForcedReading`)."""
        return self._shared.read(prompt, tokens, readout)

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """Computes a prompt's residual stream (see :class:`~homeostat.sensors.contracts.HiddenStates`)."""
        return self._shared.hidden(prompt)

    def interrupt(self) -> None:
        """Cancels the present call and every further one."""
        self._gone.set()
        self._shared.wake()

    def _known(self, prompt: Prompt) -> Rendered | None:
        """The rendered prompt, where it is known."""
        return None

    def _check(self) -> None:
        if self._gone.is_set():
            raise CallInterrupted(f"{self.name!r}: the call was cancelled")


class LocalCaller(Caller):
    """A caller of a local model, which also measures its prompts and reads its answers by the model's own template."""

    def __init__(self, shared: SharedModel, wishes: Wishes) -> None:
        """Begins without a call.

        Args:
            shared: The shared model, in front of a TransformersModel.
            wishes: What the caller wants of each call.
        """
        super().__init__(shared, wishes)
        self._local = shared.local
        self._last: tuple[Prompt, Rendered] | None = None

    def excess(self, prompt: Prompt, max_new_tokens: int) -> int:
        """Counts the tokens by which a prompt and its answer exceed the context.

        Args:
            prompt: The prompt.
            max_new_tokens: The most tokens of the answer.

        Returns:
            The number of tokens; 0 where both fit.
        """
        if self._local.context is None:
            return 0
        if self._last is None or self._last[0] is not prompt:
            self._last = (prompt, self._shared.rendered(prompt))
        return max(len(self._last[1].ids) + max_new_tokens - self._local.context, 0)

    def parse_answer(self, attempt: Attempt, tools: Sequence[ToolSpec]) -> dict[str, Any] | None:
        """Reads an answer by the tokenizer's own ``response_template``.

        Args:
            attempt: The answer.
            tools: The tools that the prompt offered.

        Returns:
            The message; None where the tokenizer has no such template, or the answer does not fit it.
        """
        return self._local.parse_answer(attempt, tools)

    def _known(self, prompt: Prompt) -> Rendered | None:
        return self._last[1] if self._last is not None and self._last[0] is prompt else None
