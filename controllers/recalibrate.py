"""``Recalibrate``: attention that sinks swallow is given back, in the attempt after the one that shows where they are.

Sinks are keys that draw attention whatever is asked. Which they are depends on the prompt, so a sensor finds them in
the step's first attempt, and the step is attempted again with the papers' rules on just those slots:

- *ACT* (arXiv 2406.15765): sinks other than the first token keep 0.4 of their mass, all else gets the rest, from layer
  2 on (their heads are profiled; ``heads``).
- *VAR* (arXiv 2503.03321): in rows that look at the image, all sinks keep 0.6 of their mass, and the image's other
  tokens get the rest, from layer 2 on (they leave the last layer out, which is not known here).
- *PAINT* (arXiv 2501.12206), two streams: the logits of the image's local tokens are stretched by 0.7, those of its
  summary tokens (the sinks) by 0.35, in the rows that produce tokens, from layer 2 on. Knife-edge by its own account.

Without a sink in the prompt ACT and VAR have nothing to do, and the attempt stands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, Proceed, SteerAttention
from homeostat.controllers.settings import Settings
from homeostat.sensors.contracts import Capability
from homeostat.sensors.readings import Reading
from homeostat.sensors.steering.actuators import Actuator, Centric

__all__ = ["Recalibrate"]

Heads = frozenset[tuple[int, int]]
_SUMMARY = 0.5  # of the local tokens' stretch: the paper's β of 0.3 to 0.4 against α of 0.7


class Recalibrate(Settings):
    """Attempts a step again with a paper's rule on the sinks that its first attempt shows.

    - ``rule``: act, var or paint; ``strength``: the share of their mass that sinks keep, or the stretch α.
    - ``sensor``: whose ``sink.SLOT`` (and ``other_sink.SLOT``) it reads; ``span``: the image.
    - ``when``: at every step, or at one whose reading of ``alarms`` alarms (empty: of any sensor it hears).
    - ``heads``: (layer, head) pairs, None for all; ``budget``: steps in an episode.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({"steering"})
    name: str = Field(min_length=1)
    rule: Literal["act", "var", "paint"]
    strength: float = Field(ge=0.0)
    sensor: str = Field(min_length=1)
    span: str = "screen"
    when: Literal["always", "alarm"] = "always"
    alarms: frozenset[str] = frozenset()
    heads: Heads | None = None
    from_layer: int = Field(default=2, ge=0)
    budget: int = Field(default=30, ge=1)

    @classmethod
    def act(cls, heads: Heads | None = None) -> Recalibrate:
        """ACT's 0.4 (the constant theirs)."""
        return cls(name="act", rule="act", strength=0.4, sensor="sink_rate", heads=heads)

    @classmethod
    def var(cls, span: str = "screen") -> Recalibrate:
        """VAR's 0.6 (the constant theirs)."""
        return cls(name="var", rule="var", strength=0.6, sensor="visual_sinks", span=span)

    @classmethod
    def paint(cls, span: str = "screen") -> Recalibrate:
        """PAINT's 0.7 and 0.35 (constants theirs)."""
        return cls(name="paint", rule="paint", strength=0.7, sensor="visual_sinks", span=span)

    @property
    def sensors(self) -> frozenset[str]:
        """The one that finds sinks, and those whose alarms count."""
        return frozenset({self.sensor}) | self.alarms

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`SteerAttention` once a step."""
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "steer"]
        if context.phase != "attempt" or len(mine) >= self.budget or any(r.step == context.step for r in mine):
            return Proceed()
        heard = [r for r in readings if not self.alarms or r.sensor in self.alarms]
        if self.when == "alarm" and not any(r.alarm for r in heard):
            return Proceed()
        found = next((r for r in readings if r.sensor == self.sensor), None)
        actuators = () if found is None else self._actuators(found)
        return SteerAttention(actuators=actuators, cause=f"{self.sensor}:{self.span}") if actuators else Proceed()

    def _actuators(self, reading: Reading) -> tuple[Actuator, ...]:
        inside, outside = sorted(reading.sinks), sorted(reading.other_sinks)
        heads, first = self.heads, self.from_layer
        if self.rule == "paint":
            local = Actuator(self.span, stretch=self.strength, rows="output", heads=heads, from_layer=first)
            if not inside:
                return (local,)
            less = -self.strength * (1 - _SUMMARY)
            return (local, Actuator(_ranges(inside), stretch=less, rows="output", heads=heads, from_layer=first))
        slots = [slot for slot in (*inside, *outside) if slot or self.rule == "var"]
        if not slots:
            return ()
        where = Centric(self.span) if self.rule == "var" else None
        to = self.span if self.rule == "var" else None
        span = _ranges(sorted(slots))
        return (Actuator(span, scale=self.strength, to=to, where=where, heads=heads, from_layer=first),)


def _ranges(slots: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Slots in ascending order as ranges."""
    ranges: list[tuple[int, int]] = []
    for slot in slots:
        if ranges and ranges[-1][1] == slot:
            ranges[-1] = (ranges[-1][0], slot + 1)
        else:
            ranges.append((slot, slot + 1))
    return tuple(ranges)
