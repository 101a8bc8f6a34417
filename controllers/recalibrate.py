"""``Recalibrate``: redistributes the attention that sinks absorb.

Attention sinks are keys that receive attention whatever the query is. Which tokens they are depends on the prompt, so a
sensor finds them in the step's first attempt. The step is then attempted again, with a paper's rule on those tokens:

- *VAR* (arXiv 2503.03321): every layer has sinks of its own. In a layer that has one in the image, in the rows behind
  the image that attend to it, all sinks keep 0.6 of their mass, and the image's other tokens share the rest, from
  layer 2 to the last but one.
- *var-union*, our variant of it: the sinks of all layers together, in all layers from 2 on, and in all rows.
- *act-mean*, our variant of ACT (arXiv 2406.15765; ``Steer.act`` is the paper's rule): sinks are the tokens that
  receive more than 0.1 of the attention of all heads and layers. All but the first token keep 0.4 of their mass, and
  all other tokens share the rest, from layer 2 on.
- *paint-sinks*, our variant of PAINT (arXiv 2501.12206; ``sensors/steering/informed_tokens.py`` has the paper's rule):
  the logits of the image's tokens are stretched by 0.7 and those of its sinks by 0.35, in the rows that generate
  tokens, from layer 2 on. The paper's tokens come from the class token of the vision tower, which not every model has.

If the prompt has no sinks, all but paint-sinks do nothing and the first attempt counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, Proceed, SteerAttention
from homeostat.controllers.profiles import Heads
from homeostat.controllers.settings import Settings
from homeostat.sensors.contracts import Capability
from homeostat.sensors.readings import Reading
from homeostat.sensors.steering.actuators import Actuator, Centric

__all__ = ["Recalibrate"]

_SUMMARY = 0.5  # the summary tokens' stretch as a share of the local tokens': the paper has β = 0.3 to 0.4, α = 0.7


class Recalibrate(Settings):
    """Attempts a step again with a rule on the sinks that its first attempt shows.

    Attributes:
        rule: The rule: act-mean, var, var-union or paint-sinks.
        strength: The share of their mass that sinks keep, or the stretch α of the logits (paint-sinks).
        sensor: The sensor that finds the sinks.
        span: The label of the image's span.
        when: ``"always"`` acts at every step, ``"alarm"`` at a step at which a reading alarms.
        alarms: The sensors whose alarms count; empty for ``sensor`` alone.
        heads: The heads to steer, as (layer, head) pairs; None for all.
        from_layer: The first layer that is steered, from 0.
        budget: The most steps that are attempted again in an episode.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({"steering"})
    name: str = Field(min_length=1)
    rule: Literal["act-mean", "var", "var-union", "paint-sinks"]
    strength: float = Field(ge=0.0)
    sensor: str = Field(min_length=1)
    span: str = "screen"
    when: Literal["always", "alarm"] = "always"
    alarms: frozenset[str] = frozenset()
    heads: Heads | None = None
    from_layer: int = Field(default=2, ge=0)
    budget: int = Field(default=30, ge=1)

    @classmethod
    def act_mean(cls, heads: Heads | None = None) -> Recalibrate:
        """ACT's constant 0.4 on the sinks that all heads share.

        Args:
            heads: The heads to steer; None for all.

        Returns:
            The controller.
        """
        return cls(name="act-mean", rule="act-mean", strength=0.4, sensor="sink_rate", heads=heads)

    @classmethod
    def var(cls, span: str = "screen") -> Recalibrate:
        """VAR with the paper's constant 0.6.

        Args:
            span: The label of the image's span.

        Returns:
            The controller.
        """
        return cls(name="var", rule="var", strength=0.6, sensor="visual_sinks", span=span)

    @classmethod
    def var_union(cls, span: str = "screen") -> Recalibrate:
        """VAR's constant 0.6 on the sinks of all layers together, in all rows.

        Args:
            span: The label of the image's span.

        Returns:
            The controller.
        """
        return cls(name="var-union", rule="var-union", strength=0.6, sensor="visual_sinks", span=span)

    @classmethod
    def paint_sinks(cls, span: str = "screen") -> Recalibrate:
        """PAINT's constant 0.7 on the whole image, and half of it on the image's sinks.

        Args:
            span: The label of the image's span.

        Returns:
            The controller.
        """
        return cls(name="paint-sinks", rule="paint-sinks", strength=0.7, sensor="visual_sinks", span=span)

    @property
    def sensors(self) -> frozenset[str]:
        """The sensor that finds sinks, and those whose alarms count."""
        return frozenset({self.sensor}) | self.alarms

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`SteerAttention` once in a step."""
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
        if self.rule == "paint-sinks":
            local = Actuator(self.span, stretch=self.strength, rows="output", heads=heads, from_layer=first)
            if not inside:
                return (local,)
            less = -self.strength * (1 - _SUMMARY)
            return (local, Actuator(_ranges(inside), stretch=less, rows="output", heads=heads, from_layer=first))
        if self.rule == "var":
            return self._by_layer(reading)
        slots = sorted(slot for slot in (*inside, *outside) if slot or self.rule == "var-union")
        if not slots:
            return ()
        where = Centric(self.span) if self.rule == "var-union" else None
        to = self.span if self.rule == "var-union" else None
        return (Actuator(_ranges(slots), scale=self.strength, to=to, where=where, heads=heads, from_layer=first),)

    def _by_layer(self, reading: Reading) -> tuple[Actuator, ...]:
        """One rule for all layers that have the same sinks, one of them in the image."""
        layers: dict[tuple[int, ...], list[int]] = {}
        for layer, slots in sorted(reading.layer_sinks.items()):
            if layer >= self.from_layer and any(slot in reading.sinks for slot in slots):
                layers.setdefault(tuple(sorted(slots)), []).append(layer)
        return tuple(
            Actuator(
                _ranges(slots),
                scale=self.strength,
                to=self.span,
                where=Centric(self.span),
                heads=self.heads,
                layers=frozenset(found),
                to_layer=-1,
                after=self.span,
            )
            for slots, found in layers.items()
        )


def _ranges(slots: Sequence[int]) -> tuple[tuple[int, int], ...]:
    """Joins slots, in ascending order, to ranges."""
    ranges: list[tuple[int, int]] = []
    for slot in slots:
        if ranges and ranges[-1][1] == slot:
            ranges[-1] = (ranges[-1][0], slot + 1)
        else:
            ranges.append((slot, slot + 1))
    return tuple(ranges)
