"""``Pull``: lifts the attention on an instruction by as much as a reading says that it is needed.

``Steer`` pulls with one strength or not at all. ``Pull`` answers the step again on an alarm, with a gain that grows
with the alarm:

    gain = min(most, base · exp(slope · (value − threshold)))

With ``slope`` 0 the gain is ``base``, a switch. The span is the one that the reading is about, unless one is named.
``Remind(pull=Pull(…))`` reminds and lifts the attention in one attempt.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from homeostat.controllers.alarms import alarms_of, cause_of
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, Proceed, SteerAttention
from homeostat.controllers.profiles import Heads
from homeostat.controllers.settings import Settings
from homeostat.sensors.contracts import Capability
from homeostat.sensors.readings import Reading
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["Pull"]


class Pull(Settings):
    """Attempts a step again with more attention on an instruction, on a sensor's alarm.

    Attributes:
        sensor: The sensor whose alarm counts. It alarms above its threshold.
        base: The gain at the threshold.
        slope: How fast the gain grows with the value; 0 always takes ``base``.
        most: The largest gain.
        span: The span's label; "" takes the reading's.
        heads: The heads to steer, as (layer, head) pairs; None for all.
        budget: The most steered steps in an episode.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({"steering"})
    name: str = Field(default="pull", min_length=1)
    sensor: str = Field(default="conflict_probe", min_length=1)
    base: float = Field(default=3.0, gt=0.0)
    slope: float = Field(default=0.0, ge=0.0)
    most: float = Field(default=30.0, gt=0.0)
    span: str = ""
    heads: Heads | None = None
    budget: int = Field(default=8, ge=1)

    @property
    def sensors(self) -> frozenset[str]:
        """The sensor whose alarm counts."""
        return frozenset({self.sensor})

    def gain(self, value: float, threshold: float) -> float:
        """Computes the gain.

        Args:
            value: The reading's value.
            threshold: Its threshold.

        Returns:
            The factor on the span's unnormalised attention.
        """
        growth = min(self.slope * max(value - threshold, 0.0), math.log(self.most / self.base) if self.base else 0.0)
        return min(self.most, self.base * math.exp(max(growth, 0.0)))

    def actuators(self, reading: Reading) -> tuple[Actuator, ...]:
        """Says how an alarm is answered.

        Args:
            reading: The reading.

        Returns:
            The rule that lifts the attention; empty for another sensor's reading, and for one without a threshold or,
            where ``span`` is "", without a span.
        """
        span = self.span or reading.span
        if reading.sensor != self.sensor or not span or reading.threshold is None:
            return ()
        return (Actuator(span, gain=self.gain(reading.value, reading.threshold), heads=self.heads),)

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`SteerAttention` for an alarm, once in a step."""
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "steer"]
        if context.phase != "attempt" or len(mine) >= self.budget or any(r.step == context.step for r in mine):
            return Proceed()
        for alarm in alarms_of(readings, self.sensors):
            if rules := self.actuators(alarm):
                return SteerAttention(actuators=rules, cause=cause_of(alarm))
        return Proceed()
