"""EvictedMass: how much attention would lie on what the model's memory has evicted from its cache?

A model with a memory (:class:`~homeostat.agent.memory.SpanMemory`) holds the keys of a part of the prompt only. It
estimates how much of the attention of the prompt's last rows would go to the evicted keys, were they still there. Where
it brought spans back before it answered, these no longer count. A large value says that the answer was given without
something that the model looked for.
"""

from __future__ import annotations

from typing import Literal

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, SpanReading, not_judged

__all__ = ["EvictedMass"]


class EvictedMass:
    """Measures the estimated share of the attention that evicted keys would get, and alarms above the threshold.

    ``value`` lies in [0, 1]. ``by_span`` holds the estimated mass of every label of which something is evicted.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["above"] = "above"

    def __init__(self, threshold: float = 0.1, *, name: str = "evicted_mass") -> None:
        """Creates the sensor.

        Args:
            threshold: The share above which it alarms. The default is **not calibrated**.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is no share.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is no share of the attention; pass a number from 0 to 1")
        self.name = name
        self.threshold = threshold

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without attention, or where the model has no memory."""
        evicted = None if attempt.spans is None else attempt.spans.evicted
        if evicted is None:
            why = "no attention was read" if attempt.spans is None else "the model has no memory that evicts"
            return not_judged(self.name, why, threshold=self.threshold)
        value = sum(evicted.values())
        most = max(evicted, key=lambda label: evicted[label], default="")
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=f"evicted: {value:.1%}, most of it {most}" if most else "nothing is evicted",
            span=most or None,
            by_span={label: SpanReading(mass=mass) for label, mass in evicted.items()},
        )
