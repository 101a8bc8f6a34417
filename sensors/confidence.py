"""Confidence: how probable the model itself found the tokens it wrote."""

from __future__ import annotations

import math
from typing import Literal

from homeostat.envs.errors import ConfigError
from homeostat.sensors.core import Attempt, Need, Reading, SensorContext

__all__ = ["Confidence"]


class Confidence:
    """``value`` = the geometric mean of the generated tokens' probabilities, exp(mean log p), in [0, 1].

    That is 1 / perplexity, so it does not fall with length as the product of the probabilities does. Alarm below
    ``threshold`` (the default is **not calibrated**). ``baseline`` is the mean of the earlier readings; it is shown and
    does not decide. ``detail``: ``min_probability`` (the least probable token), ``mean_entropy`` in nats and
    ``mean_margin`` where the model tells them, ``tokens``.
    """

    needs: frozenset[Need] = frozenset({"logprobs"})
    side: Literal["below"] = "below"

    def __init__(self, threshold: float = 0.5, *, name: str = "confidence") -> None:
        """Raises :class:`ConfigError` for a threshold outside [0, 1]."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is no probability; give a number from 0 to 1")
        self.name = name
        self.threshold = threshold

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt; value 0 and no alarm where nothing was generated."""
        before = [r.value for r in context.history if r.detail.get("tokens")]
        baseline = sum(before) / len(before) if before else None
        logprobs = attempt.logprobs
        if not logprobs:
            return Reading(
                sensor=self.name,
                value=0.0,
                baseline=baseline,
                threshold=self.threshold,
                judged=False,
                reason="no token with a probability",
                detail={"tokens": 0.0},
            )
        value = math.exp(_mean(logprobs))
        detail = {"tokens": float(len(logprobs)), "min_probability": math.exp(min(logprobs))}
        if attempt.entropy:
            detail["mean_entropy"] = _mean(attempt.entropy)
        if attempt.margin:
            detail["mean_margin"] = _mean(attempt.margin)
        return Reading(
            sensor=self.name,
            value=value,
            baseline=baseline,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=f"tokens are {value:.2f} probable on average, the least {detail['min_probability']:.2f}",
            detail=detail,
        )


def _mean(numbers: tuple[float, ...]) -> float:
    return sum(numbers) / len(numbers)
