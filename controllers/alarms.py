"""Which readings count for a controller, and the cause that a decision names."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from homeostat.sensors.readings import Reading

__all__ = ["alarms_of", "cause_of"]


def alarms_of(readings: Iterable[Reading], sensors: Collection[str]) -> list[Reading]:
    """Selects the readings that alarm.

    Args:
        readings: The readings.
        sensors: The names of the sensors whose alarms count; empty for all.

    Returns:
        The readings of these sensors that alarm, in order.
    """
    return [reading for reading in readings if reading.alarm and (not sensors or reading.sensor in sensors)]


def cause_of(reading: Reading) -> str:
    """Names a reading as the cause of a decision.

    Args:
        reading: The reading.

    Returns:
        The sensor and the span, such as ``"attention_drift:goal"``; the sensor alone if the reading is about no span.
    """
    return f"{reading.sensor}:{reading.span}" if reading.span else reading.sensor
