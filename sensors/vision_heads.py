"""VisionHeads: does the image, or another span, affect the present answer?

Vision-aware head divergence (He et al., arXiv 2412.13949) is the distance between a head's output with and without the
image in the prompt, for the same answer:

    VHD_{l,h} = ‖ o_{l,h}(with) − o_{l,h}(without) ‖₂

o is taken before the output projection. The *vision heads* are those above their layer's median, without those beyond
mean + 1 σ (outliers that respond to any change). The paper doubles their outputs. With another span in place of the
image, the divergence shows which heads use that span. Cost: a second forward over the prompt without the span.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Message, Prompt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import ForcedReading, Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["VisionHeads", "head_divergence", "vision_heads", "without"]

_READOUT = Readout(statistics=frozenset({"outputs"}))


class VisionHeads:
    """Measures how much a span changes the heads' outputs; alarms if the answer hardly depends on it.

    ``value`` = mean of ‖o − o′‖ / mean of ‖o‖ over tokens, averaged over heads; 0 means that the span has no effect.
    The sensor alarms below the threshold. The paper's distance is not relative; ``detail["vhd"]`` holds it, as the mean
    over heads. Relative distances can be compared between layers and models. ``by_layer`` holds the relative distance
    of every layer.

    The sensor needs a model that implements :class:`~homeostat.sensors.contracts.ForcedReading`.
    """

    needs: frozenset[Need] = frozenset({"attention", "model"})
    side: Literal["below"] = "below"
    reads = _READOUT

    def __init__(
        self, span: str = "screen", *, threshold: float = 0.1, heads: Heads | None = None, name: str = "vision_heads"
    ) -> None:
        """Creates the sensor.

        Args:
            span: The span's label.
            threshold: The relative distance below which it alarms. The default is **not calibrated**.
            heads: (layer, head) pairs, as :func:`vision_heads` chooses them; None means all probed heads.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is negative.
        """
        if threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is below 0, but distances never are")
        self.name = name
        self.span = span
        self.threshold = threshold
        self.heads = None if heads is None else frozenset(heads)

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt, and runs the model on the prompt without the span."""
        spans = attempt.spans
        if spans is None or spans.outputs is None or not len(spans.outputs):
            return self._nothing("the heads' outputs were not recorded: Readout(statistics={'outputs'})")
        if context.prompt is None or not isinstance(context.model, ForcedReading) or not attempt.tokens:
            return self._nothing("there is no prompt, or no model that reads a forced answer")
        bare = without(context.prompt, self.span)
        if bare == context.prompt or not any(message.parts for message in bare.messages):
            return self._nothing(f"the prompt has no span {self.span!r}, or no other span")
        chosen = chosen_heads(spans, self.heads)
        if not chosen.any():
            return self._nothing("none of the chosen heads was probed")
        other = context.model.read(bare, attempt.tokens, _READOUT)
        if other.outputs is None or other.outputs.shape != spans.outputs.shape:
            return self._nothing("the model read other tokens or heads without the span")
        apart = head_divergence(spans, other)
        size = np.linalg.norm(spans.outputs.astype(np.float64), axis=-1).mean(0)
        relative = apart / np.maximum(size, 1e-9)
        value = float(relative[chosen].mean())
        layers = {n: float(relative[k][chosen[k]].mean()) for k, n in enumerate(spans.layers) if chosen[k].any()}
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=f"without {self.span!r} the heads' outputs would change by {value:.0%} of their norm",
            span=self.span,
            by_layer=layers,
            detail={"vhd": float(apart[chosen].mean())},
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold, span=self.span)


def without(prompt: Prompt, span: str) -> Prompt:
    """Removes a span from a prompt.

    Args:
        prompt: The prompt.
        span: The label.

    Returns:
        The prompt without the parts of this label, and without messages that become empty.
    """
    messages = [
        Message(m.role, tuple(part for part in m.parts if part.label != span), m.extra) for m in prompt.messages
    ]
    return Prompt(tuple(m for m, old in zip(messages, prompt.messages, strict=True) if m.parts or not old.parts))


def head_divergence(with_span: SpanMass, without_span: SpanMass) -> NDArray[np.float64]:
    """Computes the vision-aware head divergence.

    Args:
        with_span: The reading of an answer to the prompt with the span.
        without_span: The reading of the same answer to the prompt without it.

    Returns:
        (L, H) divergences, averaged over the answer's tokens.

    Raises:
        ConfigError: Outputs were not recorded, or their shapes differ.
    """
    one, other = with_span.outputs, without_span.outputs
    if one is None or other is None:
        raise ConfigError("outputs=None: record them with Readout(statistics={'outputs'})")
    if one.shape != other.shape:
        raise ConfigError(f"outputs of shapes {one.shape} and {other.shape} do not match; force the same answer twice")
    apart: NDArray[np.float64] = np.linalg.norm(one.astype(np.float64) - other, axis=-1).mean(0)
    return apart


def vision_heads(divergence: NDArray[np.float64], layers: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Selects the vision heads.

    Args:
        divergence: (L, H) divergences.
        layers: The indices of the L layers.

    Returns:
        (layer, head) pairs above their layer's median, but not beyond the layer's mean + 1 σ.
    """
    found = []
    for row, layer in enumerate(layers):
        of = divergence[row]
        keep = (of > np.median(of)) & (of <= of.mean() + of.std())
        found += [(layer, int(head)) for head in np.flatnonzero(keep)]
    return tuple(found)
