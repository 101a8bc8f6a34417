"""A sensor's result: the reading, and the reading of an attempt that a sensor cannot judge."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

__all__ = ["Reading", "SpanReading", "not_judged"]


class SpanReading(BaseModel):
    """What a sensor measured of one span of the prompt; None for what it did not measure.

    Attributes:
        mass: The span's attention mass, in [0, 1], averaged over the attempt's tokens and the chosen heads.
        intensity: The mass per key, relative to an even distribution over all visible keys: 1 means that the span gets
            as much attention as any other text of its length.
        copied: The share of the attempt's tokens that were copied from the span, in [0, 1].
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    mass: float | None = None
    intensity: float | None = None
    copied: float | None = None


class Reading(BaseModel):
    """A sensor's result for one attempt.

    All numbers are finite: a sensor that can't measure something leaves it out, or returns :func:`not_judged`. NaN and
    infinity raise an error here, which names the field.

    Attributes:
        sensor: The sensor's name.
        value: The measured value; each sensor documents its unit.
        baseline: The value of earlier readings that this one is compared with; None if there is none.
        threshold: The value beyond which the sensor alarms; None if it has none.
        alarm: Whether the value is beyond the threshold.
        judged: Whether the value was compared with the threshold at all. A first reading without a baseline is not
            judged, and calibration leaves it out.
        reason: One line for people.
        span: The label of the span that the reading is about; None if it is about none.
        by_span: What was measured of every span, by label.
        by_element: Shares of attention by the text of a user-interface element, in [0, 1].
        scanpath: The texts of the elements that the tokens looked at, in order, without immediate repeats.
        by_layer: The value of every probed layer, by layer index.
        sinks: The strength of every attention sink, by its slot in the prompt. For a sensor of an image: the sinks
            among the image's tokens.
        other_sinks: The sinks outside the image, if the sensor distinguishes the two.
        layer_sinks: The slots of the sinks of every probed layer, by layer index, if the sensor finds them by layer.
        broken_rules: The numbers of the rules that the attempt breaks, counted from 1 in the task's order.
        subtasks: For every subtask, whether it is done.
        detail: Further named numbers, for people and plots; nothing in the runtime depends on them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    sensor: str
    value: float
    baseline: float | None = None
    threshold: float | None = None
    alarm: bool = False
    judged: bool = True
    reason: str = ""
    span: str | None = None
    by_span: dict[str, SpanReading] = {}
    by_element: dict[str, float] = {}
    scanpath: tuple[str, ...] = ()
    by_layer: dict[int, float] = {}
    sinks: dict[int, float] = {}
    other_sinks: dict[int, float] = {}
    layer_sinks: dict[int, tuple[int, ...]] = {}
    broken_rules: tuple[int, ...] = ()
    subtasks: tuple[bool, ...] = ()
    detail: dict[str, float] = {}


def not_judged(
    sensor: str,
    reason: str,
    *,
    threshold: float | None = None,
    span: str | None = None,
    **more: Any,
) -> Reading:
    """Returns the reading of an attempt that cannot be judged: value 0, no alarm, and the reason.

    Args:
        sensor: The sensor's name.
        reason: Which input is missing, in one line.
        threshold: The sensor's threshold.
        span: The label of the span that the sensor is about.
        more: Further fields of the reading.

    Returns:
        A reading whose ``judged`` is False.
    """
    return Reading(sensor=sensor, value=0.0, threshold=threshold, judged=False, reason=reason, span=span, **more)
