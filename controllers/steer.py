"""``Steer`` and ``SetPoint``: steer the model's attention instead of adding a reminder to the prompt.

``Steer`` applies fixed actuators, always or when a reading alarms. A preset under a paper's name does what the
authors' code does; ``docs/design/presets.md`` compares them line by line:

- *Spotlight* (arXiv 2505.12025): if the emphasised span's mass, averaged over all heads and rows of a layer, is below a
  target of 0.2, log(target / mass) is added to the span's logits in all of them. This falls short of the target.
- *PASTA* (arXiv 2311.02262) scales what is outside of the emphasised span in the prompt by 0.01, in profiled heads. The
  answer's own tokens keep their logits.
- *InstABoost* (arXiv 2506.13734) multiplies the attention on everything up to the end of the instructions, the first
  token included, in all heads. The paper chooses the factor by validation; ``homeostat profile`` does, too.
- *ACT* (arXiv 2406.15765): the attention sinks of a head, those tokens whose mean weight exceeds 0.1, all but the first
  of them, keep 0.4 of their mass, and all other tokens share the rest, in profiled heads, from layer 2 to the last but
  one.
- *ZeroTuning* (arXiv 2505.11739) multiplies the attention on the first token by g, in profiled heads. g > 1 flattens
  the attention on the other tokens, g < 1 sharpens it. The paper chooses g by validation.
- *VHR* (arXiv 2412.13949) multiplies the outputs of vision heads by 2.
- *Head weights* (after MoH, arXiv 2410.11842) scale each head's attention on a span by a weight of its own.

Our variants of the first three are *spotlight-exact* (every head and row reaches the target), *pasta-gain* (a gain of
100 on the span) and *instaboost-spans* (the instructions' own spans alone).

Rules on sinks that a first attempt has to show (VAR and our variants) are in ``recalibrate.py``. ``homeostat profile``
finds the heads.

``SetPoint`` closes the loop. It is a proportional-integral controller on the logarithm of a span's attention intensity,
which ``AttentionDrift`` measures at every attempt:

    e_t = log(set point / intensity_t),   I_t = I_{t-1} + k_i e_t,   log gain = k_p e_t + I_t

I and the gain's logarithm are clipped to ±``most`` (anti-windup: the integral does not grow without bound if the span's
intensity can't be raised).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from homeostat.controllers.alarms import alarms_of, cause_of
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, HoldAttention, Proceed, SteerAttention
from homeostat.controllers.profiles import Heads
from homeostat.controllers.settings import Settings
from homeostat.sensors.contracts import Capability
from homeostat.sensors.readings import Reading
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.head_weights import HeadWeights

__all__ = ["SetPoint", "Steer"]


class Steer(Settings):
    """Steers the model's attention by fixed actuators.

    Attributes:
        actuators: How attention is steered.
        when: ``"always"`` steers from the episode's first attempt on; ``"alarm"`` attempts a step again with steering
            when a reading alarms.
        sensors: The sensors whose alarms count; empty for all.
        cooldown: The least number of steps from one steered step to the next (for ``"alarm"`` only).
        budget: The most steered steps in an episode (for ``"alarm"`` only).
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
        """Spotlight: raises a span's mean attention mass towards a target (arXiv 2505.12025).

        Args:
            span: The span's label.
            target: The mean mass below which a layer is steered; the paper's is 0.2.

        Returns:
            The controller.
        """
        return cls(name="spotlight", actuators=(Actuator(span, floor=target),), when="always")

    @classmethod
    def spotlight_exact(cls, span: str = "rules", target: float = 0.2) -> Steer:
        """Raises a span's attention mass to a target in every head and row.

        Args:
            span: The span's label.
            target: The least mass.

        Returns:
            The controller.
        """
        return cls(name="spotlight-exact", actuators=(Actuator(span, target=target, raise_only=True),), when="always")

    @classmethod
    def pasta(cls, span: str = "rules", heads: Heads | None = None) -> Steer:
        """PASTA: scales the prompt outside of a span by 0.01 (arXiv 2311.02262).

        Args:
            span: The span's label.
            heads: The heads to steer, which the paper profiles; None for all.

        Returns:
            The controller.
        """
        rule = Actuator(span, gain=0.01, reach="outside", heads=heads)
        return cls(name="pasta", actuators=(rule,), when="always")

    @classmethod
    def pasta_gain(cls, span: str = "rules", heads: Heads | None = None) -> Steer:
        """Scales everything but a span by 0.01, the answer's own tokens included.

        Args:
            span: The span's label.
            heads: The heads to steer; None for all.

        Returns:
            The controller.
        """
        return cls(name="pasta-gain", actuators=(Actuator(span, gain=100.0, heads=heads),), when="always")

    @classmethod
    def instaboost(cls, gain: float = 3.0, span: str = "goal") -> Steer:
        """InstABoost: multiplies the attention on the prompt up to the end of the instructions (arXiv 2506.13734).

        Args:
            gain: The factor. The paper chooses it from 1, 3, …, 19 by validation; 3 is its code's default.
            span: The label of the last instruction. What precedes it in the prompt counts as instructions, too.

        Returns:
            The controller.
        """
        return cls(name="instaboost", actuators=(Actuator(span, gain=gain, reach="prefix"),), when="always")

    @classmethod
    def instaboost_spans(cls, spans: Sequence[str] = ("system", "rules", "goal")) -> Steer:
        """Triples the attention on the instructions' own spans.

        Args:
            spans: The labels of the instructions' spans.

        Returns:
            The controller.
        """
        rules = tuple(Actuator(span, gain=3.0) for span in spans)
        return cls(name="instaboost-spans", actuators=rules, when="always")

    @classmethod
    def act(cls, heads: Heads | None = None) -> Steer:
        """ACT: takes attention from the sinks of each head (arXiv 2406.15765).

        Args:
            heads: The heads to steer, which the paper profiles; None for all.

        Returns:
            The controller.
        """
        rule = Actuator(None, scale=0.4, sinks=0.1, heads=heads, from_layer=2, to_layer=-1)
        return cls(name="act", actuators=(rule,), when="always")

    @classmethod
    def vhr(cls, heads: Heads, gain: float = 2.0) -> Steer:
        """VHR: scales the outputs of vision heads (arXiv 2412.13949; ``sensors/vision_heads.py``).

        Args:
            heads: The vision heads.
            gain: The factor; the paper's is 2.

        Returns:
            The controller.
        """
        return cls(name="vhr", actuators=(Actuator(None, output=gain, heads=heads),), when="always")

    @classmethod
    def zero_tuning(cls, gain: float, heads: Heads | None = None) -> Steer:
        """ZeroTuning: scales the attention on the first token (arXiv 2505.11739). The prompt must not be padded.

        Args:
            gain: The factor. Choose it by validation.
            heads: The heads to steer; None for all.

        Returns:
            The controller.
        """
        return cls(name="zero-tuning", actuators=(Actuator(((0, 1),), gain=gain, heads=heads),), when="always")

    @classmethod
    def by_head(cls, weights: HeadWeights, span: str | None = "goal") -> Steer:
        """Scales each head's attention on a span by a weight of its own (``sensors/steering/head_weights.py``).

        Args:
            weights: The weights; at least one of them is not 1.
            span: The span's label; None weights the heads' whole outputs, as MoH does (arXiv 2410.11842).

        Returns:
            The controller.

        Raises:
            ConfigError: All weights are 1, which steers nothing.
        """
        return cls(name="head-weights", actuators=weights.actuators(span), when="always")

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`HoldAttention` once in an episode, or :class:`SteerAttention` for an alarm."""
        mine = [r for r in context.decisions if r.controller == self.name and r.kind in ("steer", "hold")]
        if self.when == "always":
            return Proceed() if mine else HoldAttention(actuators=self.actuators, cause="always")
        if context.phase != "attempt" or len(mine) >= self.budget:
            return Proceed()
        if any(context.step - r.step < self.cooldown for r in mine):
            return Proceed()
        alarms = alarms_of(readings, self.sensors)
        return SteerAttention(actuators=self.actuators, cause=cause_of(alarms[0])) if alarms else Proceed()


class SetPoint(Settings):
    """Holds a span's attention intensity at a set point (see the module's docstring for the formula).

    It steers from the next attempt on and never asks the model again. Without a reading of the span it changes nothing.

    Attributes:
        span: The span's label.
        set_point: The intensity to hold. 1 is the intensity of an average token.
        sensor: The sensor that measures the span's intensity.
        k_p: The proportional gain.
        k_i: The integral gain.
        most: The bound of the integral and of |log gain|.
        dead: The dead band: nothing is steered while |log gain| is at most this.
        heads: The heads to steer, as (layer, head) pairs; None for all.
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
        """The sensor that measures the span's intensity."""
        return frozenset({self.sensor})

    @model_validator(mode="after")
    def _acts(self) -> Self:
        if not self.k_p and not self.k_i:
            raise ValueError("k_p=0 and k_i=0 never steer; set one of them above 0")
        return self

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`HoldAttention` with the gain for the next attempts, once after every attempt."""
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
