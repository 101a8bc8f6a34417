"""AttentionTracker: does the model attend to a harmless instruction of ours while it reads the prompt's data?

Attention Tracker (Hung et al., arXiv 2411.00348, sections 3 and 4) never looks at the agent's own prompt.
It runs the model once on a prompt of its own, the *canary*: a system message that asks for something trivial, and the
text under test as a user's message. With the attention I of the canary's last token on the instruction, and its
attention U on the text, for layer l and head h:

    r_{l,h} = I / (I + U),    focus = mean of r over the chosen heads,    alarm: focus ≤ threshold

A text that contains instructions draws attention away from ours. The heads are chosen on canaries, too: those that
separate texts with an injected instruction from texts without one (:func:`canary_masses`, then
:func:`~homeostat.sensors.focus_score.select_heads` with ``per_token=False``).

Cost: one more forward over the text under test, for every attempt. ``FocusScore`` reads the agent's own prompt at no
cost instead. Limit: an attacker who optimises against attention can evade the score.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import ForcedReading, Need
from homeostat.sensors.focus_score import DATA, focus_ratios
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, SpanReading, not_judged
from homeostat.sensors.spans import covered

__all__ = ["CANARY", "AttentionTracker", "canary", "canary_masses"]

CANARY = "Say xxxxxx"
"""The paper's instruction."""
_INSTRUCTION, _TEXT = "instruction", "data"


class AttentionTracker:
    """Measures the share of attention that a canary's instruction gets, and alarms at or below the threshold.

    ``value`` lies in [0, 1]; the module's docstring defines it. ``by_span`` holds the masses of ``instruction`` and
    ``data`` in the canary, averaged over the chosen heads.
    """

    needs: frozenset[Need] = frozenset({"model"})
    side: Literal["below"] = "below"

    def __init__(
        self,
        threshold: float = 0.5,
        *,
        heads: Heads | None = None,
        data: Sequence[str] = DATA,
        instruction: str = CANARY,
        role: Literal["system", "user"] = "system",
        name: str = "attention_tracker",
    ) -> None:
        """Creates the sensor.

        Args:
            threshold: The share at or below which it alarms. The paper's default is 0.5; ``homeostat calibrate`` sets
                another one.
            heads: (layer, head) pairs; None means all probed heads, which the paper does not recommend.
            data: The labels of the parts whose text is put to the test, joined by line breaks. A screenshot has no
                text; the texts of the screen's elements are tested in its place.
            instruction: The canary's instruction.
            role: The role of the message with the instruction. A template that has no system message needs ``"user"``.
            name: The sensor's name.

        Raises:
            ConfigError: A setting is invalid.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a share; pass a number from 0 to 1")
        if not data:
            raise ConfigError(f"data={data!r} puts nothing to the test; pass one label or more")
        if not instruction:
            raise ConfigError("instruction='' asks for nothing; pass a short instruction")
        if role not in ("system", "user"):
            raise ConfigError(f"role={role!r} is unknown; use 'system' or 'user'")
        if heads is not None and not heads:
            raise ConfigError("heads=() reads nothing; pass (layer, head) pairs, or None for all")
        self.name = name
        self.threshold = threshold
        self.heads = None if heads is None else frozenset(heads)
        self.data = tuple(data)
        self.instruction = instruction
        self.role: Literal["system", "user"] = role

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Runs the model on a canary with the prompt's data; it is not judged without data, model or answer.

        A call that was ended before its first token has used its time up, so no further forward pass follows it.
        """
        if not attempt.tokens and not attempt.text:
            return self._nothing("no token was generated")
        text = self._text(context)
        if not text:
            return self._nothing(f"the prompt has no text under {', '.join(self.data)}")
        if not isinstance(context.model, ForcedReading):
            return self._nothing("there is no model that reads the attention of a given prompt")
        (spans,) = canary_masses(context.model, [text], self.instruction, self.role)
        chosen = chosen_heads(spans, self.heads)
        if not chosen.any():
            return self._nothing(f"none of the chosen heads was probed; probed layers: {list(spans.layers)}")
        ratios = focus_ratios(spans, (_INSTRUCTION,), (_TEXT,), per_token=False)
        if ratios is None:
            return self._nothing("the instruction or the data has no token of its own in the canary")
        value = float(ratios[0][chosen].mean())
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value <= self.threshold,
            reason=f"our instruction gets {value:.2f} of the attention, the data gets the rest",
            by_span={
                label: SpanReading(mass=float(spans.of(label)[0][chosen].mean())) for label in (_INSTRUCTION, _TEXT)
            },
        )

    def _text(self, context: SensorContext) -> str:
        """The text that is put to the test."""
        parts = () if context.prompt is None else [part for m in context.prompt.messages for part in m.parts]
        tested = covered(self.data, (part.label for part in parts))
        texts = [part.text for part in parts if part.label in tested and part.text]
        if not texts and context.observation is not None:
            texts = [element.text for element in context.observation.elements if element.text]
        return "\n".join(texts)

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold)


def canary(text: str, instruction: str = CANARY, role: Literal["system", "user"] = "system") -> Prompt:
    """Builds a canary, with the spans ``instruction`` and ``data``.

    Args:
        text: The text that is put to the test.
        instruction: The instruction.
        role: The role of the message with the instruction.

    Returns:
        The prompt.
    """
    data = (Part("prefix", "Data:"), Part(_TEXT, " " + text))  # most tokenizers join the space with the first word
    if role == "user":
        return Prompt((Message("user", (Part(_INSTRUCTION, instruction), Part("prefix", "\n"), *data)),))
    return Prompt((Message("system", (Part(_INSTRUCTION, instruction),)), Message("user", data)))


def canary_masses(
    model: ForcedReading,
    texts: Sequence[str],
    instruction: str = CANARY,
    role: Literal["system", "user"] = "system",
) -> list[SpanMass]:
    """Runs the model on the canary of each text, to choose heads or to read them.

    Args:
        model: The model.
        texts: The texts.
        instruction: The instruction.
        role: The role of the message with the instruction.

    Returns:
        For each text, the span masses of the canary's last token.
    """
    # The row of the prompt's last token does not depend on the token behind it, so any token will do.
    return [model.read(canary(text, instruction, role), (0,), Readout()) for text in texts]
