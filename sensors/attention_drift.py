"""AttentionDrift: does the model still attend to a labelled part of its prompt as it did before?

The reading is a log ratio of *intensities*. The intensity of span S at generated token t is its attention mass per key,
relative to what attention spread evenly over the visible keys would give it, attention sinks left out of both:

    I_t(S) = (mean over layers, heads of (mass_t(S) − sink_t(S)) / |S|) / (mean of (1 − sink_t) / visible_t)

so 1 is "no more and no less than any token". Raw mass falls whenever the prompt or the answer grows, with no loss of
focus (the weakness of CyberV's drift, arXiv 2506.07971, and of Attention Tracker's focus score, arXiv 2411.00348); the
intensity does not. Mass is a monitor, not a proof: a model can use what it hardly attends to.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, SpanReading, not_judged
from homeostat.sensors.spans import OUTPUT

__all__ = ["AttentionDrift", "intensities"]

FLOOR = 1e-6
"""An intensity below this counts as this: a span that gets nothing has no logarithm."""

Tokens = Literal["all", "first", "last"]


class AttentionDrift:
    """How far the attention on ``span`` (a label, or several that count as one) has moved from earlier in the episode.

    ``value`` = log(intensity / baseline), baseline = the mean of this sensor's earlier intensities in the present
    subtask (or the first one, ``base="first"``); 0 and no alarm on the first reading. Alarm below ``threshold``. The
    default, log ½, says "half of what it was" and is **not calibrated**: choose one at a stated false-alarm rate on
    episodes of your own.

    ``layers``: the layers to average over (None: all that were probed; ``"last"``); ``heads``: pairs (layer, head)
    instead. ``tokens``: of the attempt, all, the first or the last. ``measure="mass"`` uses the plain mass and
    ``value`` = mass − baseline, uncorrected for length: for comparison with the literature only.

    ``by_span`` holds mass and intensity of every span; ``detail`` the mass on sinks, where it was measured.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"

    def __init__(
        self,
        span: str | Sequence[str] = "goal",
        *,
        threshold: float = -math.log(2),
        layers: Collection[int] | Literal["last"] | None = None,
        heads: Heads | None = None,
        tokens: Tokens = "all",
        base: Literal["mean", "first"] = "mean",
        measure: Literal["intensity", "mass"] = "intensity",
        name: str = "attention_drift",
    ) -> None:
        """Raises :class:`ConfigError` for settings that are unknown or contradict each other."""
        if not threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is not below 0; drift alarms when attention falls")
        if tokens not in ("all", "first", "last"):
            raise ConfigError(f"tokens={tokens!r} is unknown; use 'all', 'first' or 'last'")
        if base not in ("mean", "first"):
            raise ConfigError(f"base={base!r} is unknown; use 'mean' or 'first'")
        if measure not in ("intensity", "mass"):
            raise ConfigError(f"measure={measure!r} is unknown; use 'intensity' or 'mass'")
        if layers is not None and heads is not None:
            raise ConfigError(f"layers={layers!r} and heads={heads!r} contradict each other; give one")
        if isinstance(layers, str) and layers != "last":
            raise ConfigError(f"layers={layers!r} is unknown; use 'last' or layer indices")
        self.name = name
        self.labels = (span,) if isinstance(span, str) else tuple(span)
        if not self.labels:
            raise ConfigError(f"span={span!r} is no label; give one or more")
        self.span = "+".join(self.labels)
        self.threshold = threshold
        self.layers = layers if layers is None or layers == "last" else frozenset(layers)
        self.heads = None if heads is None else frozenset(heads)
        self.tokens: Tokens = tokens
        self.base = base
        self.measure = measure

    @classmethod
    def cyberv(cls, span: str | Sequence[str] = "screen") -> AttentionDrift:
        """CyberV's sensor (arXiv 2506.07971; constants theirs): signed change of the evidence's mass, alarm below −0.1.

        With several spans (theirs: 32 segments of the video, and the subtitles' lines) the change is the sum of theirs.
        Last layer, all heads, the last token's row, against the first reading. Theirs looks at the row that produced
        the answer's letter in a multiple-choice question; an agent has no such letter.
        """
        return cls(
            span, threshold=-0.1, layers="last", tokens="last", base="first", measure="mass", name="cyberv_drift"
        )

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt; without the span, or without a token, value 0 and the reason."""
        spans = attempt.spans
        if spans is None or not len(spans.mass):
            return self._nothing("no attention was read" if spans is None else "no token was generated")
        chosen = chosen_heads(spans, self.heads, self.layers)
        if not chosen.any():
            return self._nothing(f"none of the chosen layers or heads was probed; probed layers: {list(spans.layers)}")
        mass, intensity = intensities(spans, chosen, self.tokens)
        found = {label: SpanReading(mass=mass[label], intensity=intensity[label]) for label in mass}
        detail = {} if spans.sink is None else {"sink": float(spans.sink[:, chosen].mean())}
        here = [label for label in self.labels if label in spans.labels]
        if not here:
            return self._nothing(f"no span {self.span!r} in this prompt", found, detail)
        if len(self.labels) > 1:
            keys = {label: float(spans.lengths[spans.labels.index(label)]) for label in here}
            whole = sum(intensity[label] * keys[label] for label in here)
            found[self.span] = SpanReading(
                mass=sum(mass[label] for label in here), intensity=whole / max(sum(keys.values()), 1)
            )
        now = self._measured(found)
        before = [self._measured(r.by_span) for r in context.history if self.span in r.by_span]
        if not before:
            return self._reading(0.0, None, f"{self.measure} {now:.3g}, the first reading", found, detail)
        baseline = before[0] if self.base == "first" else sum(before) / len(before)
        value = now - baseline if self.measure == "mass" else math.log(max(now, FLOOR) / max(baseline, FLOOR))
        return self._reading(value, baseline, f"{self.measure} {now:.3g} against {baseline:.3g}", found, detail)

    def _measured(self, by_span: Mapping[str, SpanReading]) -> float:
        """The mass or the intensity of this sensor's span."""
        reading = by_span[self.span]
        value = reading.mass if self.measure == "mass" else reading.intensity
        assert value is not None  # this sensor measures both
        return value

    def _reading(
        self,
        value: float,
        baseline: float | None,
        reason: str,
        by_span: dict[str, SpanReading],
        detail: dict[str, float],
    ) -> Reading:
        alarm = baseline is not None and value < self.threshold
        return Reading(
            sensor=self.name,
            value=value,
            baseline=baseline,
            threshold=self.threshold,
            alarm=alarm,
            judged=baseline is not None,
            reason=f"{self.span}: {reason}",
            span=self.span,
            by_span=by_span,
            detail=detail,
        )

    def _nothing(
        self, reason: str, by_span: dict[str, SpanReading] | None = None, detail: dict[str, float] | None = None
    ) -> Reading:
        return not_judged(
            self.name, reason, threshold=self.threshold, span=self.span, by_span=by_span or {}, detail=detail or {}
        )


def intensities(
    spans: SpanMass, chosen: NDArray[np.bool_] | None = None, tokens: Tokens = "all"
) -> tuple[dict[str, float], dict[str, float]]:
    """Every span's mean mass and mean intensity over the attempt's ``tokens`` and the ``chosen`` (L, H) heads.

    Keys in "output" are counted row by row: row t sees t generated tokens, and rows that see none are left out. A span
    without keys has intensity 0. The few keys that are sinks stay in |S| and in the visible count.
    """
    if chosen is None:
        chosen = np.ones(spans.mass.shape[1:3], bool)
    rows = {"all": slice(None), "first": slice(0, 1), "last": slice(-1, None)}[tokens]
    mass = spans.mass[rows][:, chosen, :].mean(axis=1, dtype=np.float64)  # (t, S)
    clean, rest = mass, np.ones(len(mass))
    if spans.sink is not None and spans.sink_in_span is not None:
        clean = mass - spans.sink_in_span[rows][:, chosen, :].mean(axis=1, dtype=np.float64)
        rest = 1 - spans.sink[rows][:, chosen].mean(axis=1, dtype=np.float64)
    even = np.maximum(rest, FLOOR) / np.maximum(spans.visible[rows], 1)
    masses, levels = {}, {}
    for s, label in enumerate(spans.labels):
        keys = np.full(len(mass), float(spans.lengths[s]))
        if label == OUTPUT:
            keys = spans.position.astype(float)[rows]
        some = keys > 0
        level = np.maximum(clean[some, s], 0) / keys[some] / even[some]
        masses[label] = float(mass[:, s].mean())
        levels[label] = float(level.mean()) if some.any() else 0.0
    return masses, levels
