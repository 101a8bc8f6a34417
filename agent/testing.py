"""Test doubles for agents: a model that answers with given lines and carries what sensors read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from homeostat.agent.prompts import VERBOSE, PromptStyle
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.contracts import Capability

__all__ = ["ScriptedModel"]


class ScriptedModel:
    """A model that answers with given lines, for tests without weights.

        model = ScriptedModel(['{"action": "open", "text": "notes"}', '{"action": "terminate", "status": "success"}'])
        episode = Agent(model, controllers=[MyController()]).run("open my notes", env)
        assert model.prompts[0].messages[-1].role == "user"

    Attributes:
        name: The model's name.
        style: How its prompts are worded.
        capabilities: What it offers.
        prompts: Every prompt that it was asked, in order.
        calls: The settings of every call, in order.
    """

    def __init__(
        self,
        lines: Sequence[str] | Callable[[Prompt], str],
        on_call: Callable[[int], None] | None = None,
        *,
        name: str = "scripted",
        style: PromptStyle = VERBOSE,
        capabilities: frozenset[Capability] = frozenset(("text",)),
        mass: Mapping[str, float] | None = None,
        logprob: float = -0.1,
    ) -> None:
        """Sets the script.

        Args:
            lines: Its answers in turn, the last one for ever; or a function from a prompt to an answer.
            on_call: Called with the number of every call, from 1, before it is answered. It may raise an error.
            name: The model's name.
            style: How its prompts are worded.
            capabilities: What it claims to offer. With ``"logprobs"`` every attempt has log-probabilities, with
                ``"attention"`` span masses; steering and schemas are accepted and recorded only.
            mass: The mass on every span of an attempt, in [0, 1].
            logprob: The natural-log probability of every token.
        """
        self.lines, self.on_call = lines if callable(lines) else list(lines), on_call
        self.name, self.style, self.capabilities = name, style, capabilities
        self._mass, self._logprob = dict(mass or {"goal": 0.3, "screen": 0.4}), logprob
        self.prompts: list[Prompt] = []
        self.calls: list[dict[str, Any]] = []

    def generate(self, prompt: Prompt, **settings: Any) -> list[Attempt]:
        """Answers with the next line, ``n`` times (see :class:`~homeostat.agent.Model`)."""
        self.prompts.append(prompt)
        self.calls.append(settings)
        number = len(self.prompts)
        if self.on_call is not None:
            self.on_call(number)
        text = self.lines(prompt) if callable(self.lines) else self.lines[min(number, len(self.lines)) - 1]
        tokens = (1, 2)
        attempt = Attempt(
            text=text,
            tokens=tokens,
            logprobs=(self._logprob,) * len(tokens) if "logprobs" in self.capabilities else (),
            spans=self._masses(len(tokens)) if "attention" in self.capabilities else None,
            prompt_tokens=10,
            cached_tokens=4,
        )
        return [attempt] * int(settings.get("n", 1))

    def _masses(self, tokens: int) -> SpanMass:
        """The same masses for every token, one layer and one head."""
        labels = (*self._mass, "output")
        values = [*self._mass.values(), 0.0]
        mass = np.broadcast_to(np.array(values, np.float32), (tokens, 1, 1, len(labels))).copy()
        lengths = np.full(len(labels), 10, np.int64)
        lengths[-1] = tokens - 1
        return SpanMass(
            labels=labels,
            layers=(0,),
            mass=mass,
            prompt_mass=mass[:1],
            lengths=lengths,
            visible=np.arange(100, 100 + tokens, dtype=np.int64),
        )
