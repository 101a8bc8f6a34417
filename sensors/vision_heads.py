"""VisionHeads: does the image, or any other span, matter for what is written now?

Vision-aware head divergence (He et al., arXiv 2412.13949): the distance between a head's output with and without the
image in the prompt, after the same answer,

    VHD_{l,h} = ‖ o_{l,h}(with) − o_{l,h}(without) ‖₂

o before the output projection. Heads above their layer's median, less those beyond mean + 1 σ (outliers that respond to
anything), are the *vision heads*; the paper doubles their outputs. Any span can stand where the image does: then it
says which heads use it. Cost: a second forward over the prompt without the span.
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
    """How much ``span`` moves the heads: ``value`` = mean of ‖o − o′‖ / ‖o‖ over tokens and heads, 0 where it does
    nothing.

    The paper's distance is not relative (``detail["vhd"]`` is theirs, the mean over heads): relative ones can be
    compared between layers and models. ``heads``: as :func:`vision_heads` chooses them; None for all. Alarm below
    ``threshold`` (**not calibrated**): what is written now does not depend on the span. Needs a model that reads a
    forced answer (:class:`~homeostat.sensors.contracts.WhiteBox`). ``detail``: ``vhd``; ``by_layer``:
    the relative distance of every layer.
    """

    needs: frozenset[Need] = frozenset({"attention", "model"})
    side: Literal["below"] = "below"
    reads = _READOUT

    def __init__(
        self, span: str = "screen", *, threshold: float = 0.1, heads: Heads | None = None, name: str = "vision_heads"
    ) -> None:
        """Raises :class:`ConfigError` for a negative threshold."""
        if threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is below 0: a distance never is")
        self.name = name
        self.span = span
        self.threshold = threshold
        self.heads = None if heads is None else frozenset(heads)

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt."""
        spans = attempt.spans
        if spans is None or spans.outputs is None or not len(spans.outputs):
            return self._nothing("no head outputs were read: Readout(statistics={'outputs'})")
        if context.prompt is None or not isinstance(context.model, ForcedReading) or not attempt.tokens:
            return self._nothing("no prompt, or no model that reads a forced answer")
        bare = without(context.prompt, self.span)
        if bare == context.prompt or not any(message.parts for message in bare.messages):
            return self._nothing(f"the prompt has no span {self.span!r}, or nothing else")
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
            reason=f"without {self.span!r} the heads' outputs would be {value:.0%} of their length away",
            span=self.span,
            by_layer=layers,
            detail={"vhd": float(apart[chosen].mean())},
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold, span=self.span)


def without(prompt: Prompt, span: str) -> Prompt:
    """The prompt less every part with this label; messages that are empty then are left out."""
    messages = [
        Message(m.role, tuple(part for part in m.parts if part.label != span), m.extra) for m in prompt.messages
    ]
    return Prompt(tuple(m for m, old in zip(messages, prompt.messages, strict=True) if m.parts or not old.parts))


def head_divergence(with_span: SpanMass, without_span: SpanMass) -> NDArray[np.float64]:
    """(L, H) VHD, averaged over the answer's tokens. Raises :class:`ConfigError` where outputs don't match."""
    one, other = with_span.outputs, without_span.outputs
    if one is None or other is None:
        raise ConfigError("outputs=None: read them with Readout(statistics={'outputs'})")
    if one.shape != other.shape:
        raise ConfigError(f"outputs of shapes {one.shape} and {other.shape} don't match; force the same answer twice")
    apart: NDArray[np.float64] = np.linalg.norm(one.astype(np.float64) - other, axis=-1).mean(0)
    return apart


def vision_heads(divergence: NDArray[np.float64], layers: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """(layer, head) pairs above their layer's median, those beyond the layer's mean + 1 σ left out."""
    found = []
    for row, layer in enumerate(layers):
        of = divergence[row]
        keep = (of > np.median(of)) & (of <= of.mean() + of.std())
        found += [(layer, int(head)) for head in np.flatnonzero(keep)]
    return tuple(found)
