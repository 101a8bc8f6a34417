"""AttentionDrift: does the model attend to a span of its prompt less than earlier in the episode?

"Drift" here means a change of attention over time, against the same model's earlier readings. The reading is a log
ratio of *intensities*. The intensity of span S at generated token t is its attention mass per key, relative to
attention that is spread evenly over the visible keys. Attention sinks are excluded from both:

    I_t(S) = (mean over layers, heads of (mass_t(S) − sink_t(S)) / |S|) / (mean of (1 − sink_t) / visible_t)

An intensity of 1 means "as much as any other token". The raw mass falls whenever the prompt or the answer grows, even
if the model does not lose focus (a weakness of CyberV's drift, arXiv 2506.07971, and of Attention Tracker's focus
score, arXiv 2411.00348); the intensity does not. Attention mass is an indicator, not a proof: a model can use what it
hardly attends to.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.confidence import ACTION, answer_tokens
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, SpanReading, not_judged
from homeostat.sensors.spans import OUTPUT, covered

__all__ = ["AttentionDrift", "intensities"]

FLOOR = 1e-6
"""Smaller intensities are replaced by this value, because 0 has no logarithm."""

Tokens = Literal["all", "first", "last"]
"""The generated tokens that a reading averages over."""


class AttentionDrift:
    """Measures how the attention on a span has changed since earlier in the episode.

    ``value`` = log(intensity / baseline). The baseline is the mean of this sensor's earlier intensities in the present
    subtask, or the first one with ``base="first"``. The first reading has no baseline: it is not judged and its value
    is 0. The sensor alarms below the threshold.

    ``by_span`` holds the mass and the intensity of every span; ``detail`` holds the mass on sinks, if it was measured.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"
    answer: re.Pattern[str] | None = None

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
        answer: str | None = None,
        name: str = "attention_drift",
    ) -> None:
        """Creates the sensor.

        Args:
            span: A label, or several labels that count as one span. ``tool`` covers ``tool.search``, too.
            threshold: The value below which it alarms, below 0. The default, log ½, means "half of the baseline" and is
                **not calibrated**: calibrate it at a stated false-alarm rate on your own episodes.
            layers: The layers to average over; None means all probed layers, ``"last"`` the last one.
            heads: (layer, head) pairs to average over, instead of ``layers``.
            tokens: The attempt's tokens to average over: all, the first or the last.
            base: The baseline: the mean of the earlier readings, or the first one.
            measure: ``"intensity"``, or ``"mass"`` for the plain mass and ``value`` = mass − baseline. The mass is not
                corrected for length and serves only for comparison with the literature.
            answer: A regular expression. Instead of ``tokens``, the row that produced the first token of its last match
                is read (see :class:`~homeostat.sensors.Confidence`). None reads ``tokens``.
            name: The sensor's name.

        Raises:
            ConfigError: A setting is unknown, or two settings contradict each other.
        """
        if answer is not None:
            try:
                self.answer = re.compile(answer)
            except re.error as error:
                raise ConfigError(f"answer={answer!r} is not a regular expression: {error}") from None
        if not threshold < 0:
            raise ConfigError(f"threshold={threshold!r} is not below 0; the sensor alarms when attention falls")
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
            raise ConfigError(f"span={span!r} is not a label; pass one or more")
        self.span = "+".join(self.labels)
        self.threshold = threshold
        self.layers = layers if layers is None or layers == "last" else frozenset(layers)
        self.heads = None if heads is None else frozenset(heads)
        self.tokens: Tokens = tokens
        self.base = base
        self.measure = measure

    @classmethod
    def cyberv(cls, span: str | Sequence[str] = "screen", answer: str = ACTION) -> AttentionDrift:
        """Builds CyberV's sensor (arXiv 2506.07971, with the paper's constants).

        It measures the signed change of the evidence's mass and alarms below −0.1. It uses the last layer, all heads
        and the row that produced the answer token, compared with the first reading. With several spans (in the paper:
        32 segments of the video, and the lines of subtitles), the change is the sum of their changes. The paper's
        answer token is the letter of a multiple-choice question; here it is the first token of the action's last
        argument.

        Args:
            span: The labels of the evidence.
            answer: The regular expression of the answer.

        Returns:
            The sensor, named ``cyberv_drift``.
        """
        return cls(
            span, threshold=-0.1, layers="last", base="first", measure="mass", answer=answer, name="cyberv_drift"
        )

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without a baseline, the span, a token, or attention."""
        spans = attempt.spans
        if spans is None or not len(spans.mass):
            return self._nothing("no attention was read" if spans is None else "no token was generated")
        chosen = chosen_heads(spans, self.heads, self.layers)
        if not chosen.any():
            return self._nothing(f"none of the chosen layers or heads was probed; probed layers: {list(spans.layers)}")
        row = self._row(attempt, spans)
        if row is None:
            return self._nothing("there is no answer in the text, or its row was not read")
        mass, intensity = intensities(spans, chosen, row)
        found = {label: SpanReading(mass=mass[label], intensity=intensity[label]) for label in mass}
        detail = {} if spans.sink is None else {"sink": float(spans.sink[:, chosen].mean())}
        here = covered(self.labels, spans.labels)
        if not here:
            return self._nothing(f"no span {self.span!r} in this prompt", found, detail)
        if here != [self.span]:
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

    def _row(self, attempt: Attempt, spans: SpanMass) -> Tokens | int | None:
        """The rows to average over: those of ``tokens``, or the index of the answer's row; None if there is none."""
        if self.answer is None:
            return self.tokens
        at = answer_tokens(attempt.pieces, self.answer)
        found = np.flatnonzero(spans.position == at[0]) if at else np.zeros(0, int)
        return int(found[0]) if len(found) else None

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
    spans: SpanMass, chosen: NDArray[np.bool_] | None = None, tokens: Tokens | int = "all"
) -> tuple[dict[str, float], dict[str, float]]:
    """Averages every span's mass and intensity.

    The keys of "output" are counted row by row: row t sees t generated tokens, and rows that see none are left out. A
    span without keys has intensity 0. The few keys that are sinks still count in |S| and among the visible keys.

    Args:
        spans: The span masses.
        chosen: (L, H): the heads to average over; None means all.
        tokens: The tokens to average over, or the index of one row.

    Returns:
        The masses and the intensities, each by label.
    """
    if chosen is None:
        chosen = np.ones(spans.mass.shape[1:3], bool)
    named = {"all": slice(None), "first": slice(0, 1), "last": slice(-1, None)}
    rows = slice(tokens, tokens + 1) if isinstance(tokens, int) else named[tokens]
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
