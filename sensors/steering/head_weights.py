"""Head weights: steers each head by a weight of its own, instead of all chosen heads by one gain.

Mixture-of-Head attention (MoH, arXiv 2410.11842, section 3.2) replaces the sum of the heads' outputs by a weighted sum,
Σ_h g_h H_h W_O_h, where a trained router gives the weights g. Here the weights are given, and no training is needed:

- *With a span*, head h multiplies its unnormalised attention on the span by w_h. A mass m on the span becomes
  w_h m / (1 + (w_h − 1) m); a weight of 0 leaves none. The row still sums to 1.
- *Without a span*, head h's whole output is multiplied by w_h, as in MoH.

MoH learns its weights. :meth:`HeadWeights.from_effects` derives them from a measurement instead (ours): the effect e_h
on the right answer of steering head h alone. To first order, the effects are the gradient of the answer's
log-probability by the heads' log weights, so the weights go along it,

    log w_h = log(most) · e_h / max |e|
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from homeostat.errors import ConfigError
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["HeadWeights"]

Head = tuple[int, int]
"""(layer, head), from 0."""


@dataclass(frozen=True)
class HeadWeights:
    """A weight for each of some heads; a head without a weight has 1, which changes nothing.

    Attributes:
        weights: The weights, at least 0, by (layer, head).
    """

    weights: Mapping[Head, float]

    def __post_init__(self) -> None:
        """Checks the weights.

        Raises:
            ConfigError: There is no weight, a weight is negative or not finite, or a head has no valid number.
        """
        if not self.weights:
            raise ConfigError("weights={} steer nothing; give a weight for at least one (layer, head)")
        for (layer, head), weight in self.weights.items():
            if layer < 0 or head < 0:
                raise ConfigError(f"head {(layer, head)!r} does not exist; layers and heads count from 0")
            if not 0 <= weight < math.inf:
                raise ConfigError(f"weight {weight!r} of head {(layer, head)!r} is not a factor; give 0 or more")

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[int, int, float]]) -> HeadWeights:
        """Reads weights from rows.

        Args:
            rows: (layer, head, weight) of each head.

        Returns:
            The weights.

        Raises:
            ConfigError: A head occurs twice, or a weight is not valid.
        """
        found: dict[Head, float] = {}
        for layer, head, weight in rows:
            if (layer, head) in found:
                raise ConfigError(f"head {(layer, head)!r} has two weights; give one")
            found[layer, head] = weight
        return cls(found)

    @classmethod
    def from_effects(
        cls, effects: Mapping[Head, float], errors: Mapping[Head, float] | None = None, most: float = 3.0
    ) -> HeadWeights:
        """Derives weights from each head's effect on the right answer (see the module's docstring for the formula).

        Args:
            effects: The mean gain in the right answer's log-probability when the head alone attends more to the span,
                in nats per token.
            errors: The standard errors of the effects. A head whose effect is at most its error has weight 1. None
                counts every effect.
            most: The weight of the head with the largest effect; the most harmful head has at least 1 / ``most``.

        Returns:
            The weights.

        Raises:
            ConfigError: ``most`` is not above 1, or there are no effects.
        """
        if not 1 < most < math.inf:
            raise ConfigError(f"most={most!r} is not above 1; it is the weight of the most helpful head")
        kept = {h: e if errors is None or abs(e) > errors[h] else 0.0 for h, e in effects.items()}
        largest = max(map(abs, kept.values()), default=0.0)
        scale = math.log(most) / largest if largest else 0.0
        return cls({head: math.exp(scale * effect) for head, effect in kept.items()})

    def rows(self) -> list[tuple[int, int, float]]:
        """Returns (layer, head, weight) of each head, in ascending order of the heads."""
        return [(layer, head, self.weights[layer, head]) for layer, head in sorted(self.weights)]

    def actuators(self, span: str | None, rows: Literal["all", "output"] = "all") -> tuple[Actuator, ...]:
        """Makes the steering rules: one for each distinct weight other than 1.

        Args:
            span: The label of the span on which the heads' attention is weighted; None weights their whole outputs.
            rows: All rows, or only those that produce a token.

        Returns:
            The rules, by ascending weight; no rules if all weights are 1.
        """
        heads: dict[float, set[Head]] = {}
        for head, weight in self.weights.items():
            if weight != 1:
                heads.setdefault(weight, set()).add(head)
        return tuple(_rule(span, weight, frozenset(heads[weight]), rows) for weight in sorted(heads))


def _rule(span: str | None, weight: float, heads: frozenset[Head], rows: Literal["all", "output"]) -> Actuator:
    if span is None:
        return Actuator(None, output=weight, heads=heads, rows=rows)
    if weight == 0:  # a gain of 0 has no logarithm; moving the whole mass away is its limit
        return Actuator(span, scale=0.0, heads=heads, rows=rows)
    return Actuator(span, gain=weight, heads=heads, rows=rows)
