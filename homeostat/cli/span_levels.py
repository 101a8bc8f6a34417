"""Compares the attention on every span of a prompt with what is usual for that span in the same run.

Spans differ by orders of magnitude: ``output`` gets most of the attention, one rule of many next to nothing. Neither
says anything by itself; a change does. A span's *usual* value is the median of its earlier values in this run, and its
level is the ratio of the present value to that. A ratio beyond a factor of two, after at least three values, is called
a departure. An alarm is only what a sensor says, by its own, calibrated threshold.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal

from homeostat.agent.events import Sense
from homeostat.cli.event_text import are_intensities, spans_of
from homeostat.sensors.spans import covered

__all__ = ["FACTOR", "SpanHistory", "SpanLevel"]

FACTOR = 2.0
"""The ratio to the usual value, or its inverse, beyond which a span departs from it."""
_ENOUGH = 3  # earlier values without which nothing is called a departure
_KEPT = 200  # values of a span
_FLOOR = 1e-6  # smaller values have no meaningful ratio


@dataclass(frozen=True)
class SpanLevel:
    """The attention on one span.

    Attributes:
        label: The span's label.
        value: The present value.
        usual: The median of the earlier values; None where there are none.
        alarm: Whether a sensor alarms about this span.
        departs: Whether the value is beyond a factor of two of the usual one.
    """

    label: str
    value: float
    usual: float | None = None
    alarm: bool = False
    departs: bool = False

    @property
    def ratio(self) -> float | None:
        """The present value by the usual one; None without a usual one."""
        return None if self.usual is None else max(self.value, _FLOOR) / max(self.usual, _FLOOR)

    @property
    def direction(self) -> Literal["", "above", "below"]:
        """On which side of the usual value a departure lies; "" without one."""
        if not self.departs or self.ratio is None:
            return ""
        return "above" if self.ratio > 1 else "below"


class SpanHistory:
    """Remembers the values of every span in a run.

    Intensities and shares of the attention are kept apart, because some attempts have only one of them.
    """

    def __init__(self) -> None:
        """Begins without values."""
        self._values: dict[tuple[bool, str], deque[float]] = {}

    def see(self, event: Sense) -> tuple[SpanLevel, ...]:
        """Takes an attempt in.

        Args:
            event: The attempt. A further candidate to the same prompt is compared, but not remembered.

        Returns:
            The level of each span, compared with the attempts before.
        """
        alarming = [reading.span for reading in event.readings if reading.alarm and reading.span]
        spans, kind = spans_of(event), are_intensities(event)
        alarms = set(covered((name for span in alarming for name in span.split("+")), spans))
        levels = tuple(self._level(kind, label, value, label in alarms) for label, value in spans.items())
        if event.candidate is None:
            for label, value in spans.items():
                self._values.setdefault((kind, label), deque(maxlen=_KEPT)).append(value)
        return levels

    def _level(self, kind: bool, label: str, value: float, alarm: bool) -> SpanLevel:
        before = self._values.get((kind, label), ())
        if not before:
            return SpanLevel(label, value, alarm=alarm)
        level = SpanLevel(label, value, median(before), alarm)
        ratio = level.ratio
        assert ratio is not None
        departs = len(before) >= _ENOUGH and not 1 / FACTOR <= ratio <= FACTOR
        return SpanLevel(label, value, level.usual, alarm, departs)
