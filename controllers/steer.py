"""``Steer`` and ``SetPoint``: more attention for what is lost, instead of more words.

``Steer`` acts with fixed actuators, always or when a reading alarms. Presets with the papers' constants:

- *Spotlight* (arXiv 2505.12025): the emphasised span's mass is raised to a target of 0.2 where it has less, in all
  heads. Their rule adds log(target / mass), which falls short of the target; ours reaches it.
- *PASTA* (arXiv 2311.02262): all but the emphasised span scaled by 0.01, in profiled heads: a gain of 100 on the span.
- *InstABoost* (arXiv 2506.13734): the instructions' attention times 3, in all heads.
- *ZeroTuning* (arXiv 2505.11739): the first token's attention times g, in profiled heads; g > 1 flattens the rest, g
  below 1 sharpens it; the paper chooses g by validation.
- *VHR* (arXiv 2412.13949): the outputs of vision heads times 2.

What depends on where a prompt's sinks are (ACT, VAR, PAINT) is in ``recalibrate.py``; heads are found by ``homeostat
profile``.

``SetPoint`` closes the loop: a proportional-integral controller on the logarithm of a span's intensity, as
``AttentionDrift`` reads it at every attempt,

    e_t = log(set point / intensity_t),   I_t = I_{t-1} + k_i e_t,   log gain = k_p e_t + I_t

with I and the gain's logarithm held within ±``most``, so that a span that can't be raised does not wind the integral
up.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, HoldAttention, Proceed, SteerAttention
from homeostat.controllers.settings import Settings
from homeostat.sensors.contracts import Capability
from homeostat.sensors.readings import Reading
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["SetPoint", "Steer"]

Heads = frozenset[tuple[int, int]]


class Steer(Settings):
    """Steers the model's attention by fixed ``actuators``.

    - ``when``: ``"always"``, from the episode's first attempt on; or ``"alarm"``: a step is attempted again with them
      where a reading alarms.
    - ``sensors``: whose alarms count; empty: any sensor's.
    - ``cooldown``: steps from one steered step to the next; ``budget``: steered steps in an episode (``"alarm"`` only).
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({"steering"})
    name: str = Field(default="steer", min_length=1)
    actuators: tuple[Actuator, ...] = Field(min_length=1)
    when: Literal["always", "alarm"] = "alarm"
    sensors: frozenset[str] = frozenset()
    cooldown: int = Field(default=1, ge=1)
    budget: int = Field(default=8, ge=1)

    @classmethod
    def spotlight(cls, span: str = "rules", target: float = 0.2) -> Steer:
        """Spotlight's target of 0.2 for one span (arXiv 2505.12025; the target theirs)."""
        return cls(name="spotlight", actuators=(Actuator(span, target=target, raise_only=True),), when="always")

    @classmethod
    def pasta(cls, span: str = "rules", heads: Heads | None = None) -> Steer:
        """PASTA's 0.01 on everything else (arXiv 2311.02262); the paper's heads are profiled, None takes all."""
        return cls(name="pasta", actuators=(Actuator(span, gain=100.0, heads=heads),), when="always")

    @classmethod
    def instaboost(cls, spans: Sequence[str] = ("system", "rules", "goal")) -> Steer:
        """InstABoost's factor of 3 on the instructions (arXiv 2506.13734)."""
        return cls(name="instaboost", actuators=tuple(Actuator(span, gain=3.0) for span in spans), when="always")

    @classmethod
    def vhr(cls, heads: Heads, gain: float = 2.0) -> Steer:
        """VHR's factor of 2 on vision heads' outputs (arXiv 2412.13949); see ``sensors/vision_heads.py``."""
        return cls(name="vhr", actuators=(Actuator(None, output=gain, heads=heads),), when="always")

    @classmethod
    def zero_tuning(cls, gain: float, heads: Heads | None = None) -> Steer:
        """ZeroTuning's first token (arXiv 2505.11739); choose ``gain`` by validation. For prompts without padding."""
        return cls(name="zero-tuning", actuators=(Actuator(((0, 1),), gain=gain, heads=heads),), when="always")

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`HoldAttention` once in an episode, or :class:`SteerAttention` for an alarm."""
        mine = [r for r in context.decisions if r.controller == self.name and r.kind in ("steer", "hold")]
        if self.when == "always":
            return Proceed() if mine else HoldAttention(actuators=self.actuators, cause="always")
        if context.phase != "attempt" or len(mine) >= self.budget:
            return Proceed()
        if any(context.step - r.step < self.cooldown for r in mine):
            return Proceed()
        for reading in readings:
            if reading.alarm and (not self.sensors or reading.sensor in self.sensors):
                cause = f"{reading.sensor}:{reading.span}" if reading.span else reading.sensor
                return SteerAttention(actuators=self.actuators, cause=cause)
        return Proceed()


class SetPoint(Settings):
    """Holds a span's intensity at a set point, by a proportional-integral controller; see the module's text.

    - ``span``; ``set_point``: its intensity (1: as much as any token gets); ``sensor``: whose reading of the
    span's intensity is used.
    - ``k_p``, ``k_i``: the gains; ``most``: the bound of |log gain|; ``dead``: below this |log gain| nothing is
    steered.
    - ``heads``: (layer, head) pairs, None for all.

    It holds from the next attempt on and never asks again. Without a reading of the span it leaves things as they are.
    """

    needs: ClassVar[frozenset[Capability]] = frozenset({"steering"})
    name: str = Field(default="set-point", min_length=1)
    span: str = Field(default="goal", min_length=1)
    set_point: float = Field(gt=0.0)
    sensor: str = Field(default="attention_drift", min_length=1)
    k_p: float = Field(default=0.5, ge=0.0)
    k_i: float = Field(default=0.3, ge=0.0)
    most: float = Field(default=math.log(10), gt=0.0)
    dead: float = Field(default=0.05, ge=0.0)
    heads: Heads | None = None

    @property
    def sensors(self) -> frozenset[str]:
        """The one sensor that it reads."""
        return frozenset({self.sensor})

    @model_validator(mode="after")
    def _acts(self) -> Self:
        if not self.k_p and not self.k_i:
            raise ValueError("k_p=0 and k_i=0 never steer; give one of them")
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`HoldAttention` with the gain for the next attempts, once an attempt."""
        if context.phase != "attempt":
            return Proceed()
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "hold"]
        if mine and (mine[-1].step, mine[-1].attempt) == (context.step, context.attempt):
            return Proceed()
        found = (r.by_span[self.span].intensity for r in readings if r.sensor == self.sensor and self.span in r.by_span)
        intensity = next((value for value in found if value is not None), None)
        if intensity is None or not intensity > 0 or not math.isfinite(intensity):
            return Proceed()
        error = math.log(self.set_point / intensity)
        integral = _within((mine[-1].memory if mine else 0.0) + self.k_i * error, self.most)
        level = _within(self.k_p * error + integral, self.most)
        actuators: tuple[Actuator, ...] = ()
        if abs(level) > self.dead:
            actuators = (Actuator(self.span, gain=math.exp(level), heads=self.heads),)
        elif not mine:
            return Proceed()
        return HoldAttention(actuators=actuators, memory=integral, cause=f"{self.sensor}:{self.span}")


def _within(value: float, most: float) -> float:
    return max(-most, min(most, value))
