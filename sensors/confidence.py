"""Confidence: how probable were the generated tokens, or only those of the answer, according to the model itself?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Literal

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["ACTION", "Confidence", "answer_tokens"]

ACTION = r'"(?:action|coordinate2?|text|button|status)"\s*:\s*\[?\s*"?([^\s"\],}])'
"""The first character of an action's last argument, which stands for CyberV's answer letter in a tool call."""

Measure = Literal["probability", "entropy", "margin", "stability"]
_DEFAULT = {"probability": 0.5, "entropy": 2.0, "margin": 0.1, "stability": -0.5}


class Confidence:
    """Measures how certain the model was of its tokens. ``value`` depends on ``measure``:

    - ``"probability"`` (default): the geometric mean probability of the tokens, exp(mean log p), in [0, 1]. This is 1 /
      perplexity, so it does not fall with length as the product of the probabilities does. Alarm below the threshold.
    - ``"entropy"``: the mean entropy of the distributions that the tokens were drawn from, in nats. Alarm above.
    - ``"margin"``: the mean of the most probable token's probability minus that of the second. Alarm below.
    - ``"stability"``: (p − p₀) / p₀, where p is the probability and p₀ that of the episode's first reading; the first
      reading is not judged. Alarm below (CyberV's *stab*, arXiv 2506.07971, with −0.5).

    The default thresholds are **not calibrated**. The ``baseline`` is the mean of the earlier readings; it is shown but
    does not affect the alarm.

    ``detail`` holds ``tokens`` (their number), ``probability``, ``min_probability`` (of the least probable token),
    ``mean_entropy`` and ``mean_margin`` if the model reports them, and ``stability`` if there is an earlier reading.
    """

    needs: frozenset[Need] = frozenset({"logprobs"})

    def __init__(
        self,
        threshold: float | None = None,
        *,
        measure: Measure = "probability",
        answer: str | None = None,
        name: str = "confidence",
    ) -> None:
        """Creates the sensor.

        Args:
            threshold: The value beyond which it alarms; None takes the measure's default.
            measure: What ``value`` is.
            answer: A regular expression. Only the tokens that its last match in the text overlaps are read; if it has
                a group, those that its first group overlaps. CyberV reads the answer's letter, ``([A-J])`` between word
                boundaries; a phone agent may read the point that it taps. This needs ``Attempt.pieces``; an attempt
                without a match is not judged. None reads all tokens.
            name: The sensor's name.

        Raises:
            ConfigError: The measure is unknown, or the threshold or the pattern is invalid.
        """
        if measure not in _DEFAULT:
            raise ConfigError(f"measure={measure!r} is unknown; use {', '.join(map(repr, _DEFAULT))}")
        level = _DEFAULT[measure] if threshold is None else threshold
        if measure in ("probability", "margin") and not 0 <= level <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a probability; pass a number from 0 to 1")
        if measure == "entropy" and level < 0:
            raise ConfigError(f"threshold={threshold!r} is not an entropy; pass 0 nats or more")
        try:
            self.answer = None if answer is None else re.compile(answer)
        except re.error as error:
            raise ConfigError(f"answer={answer!r} is not a regular expression: {error}") from None
        self.name = name
        self.threshold = level
        self.measure = measure
        self.side: Literal["below", "above"] = "above" if measure == "entropy" else "below"

    @classmethod
    def cyberv(cls, answer: str = r"\b([A-J])\b") -> Confidence:
        """Builds CyberV's stability of the answer letter's probability (arXiv 2506.07971, with the paper's constants).

        The paper compares with another candidate's answer to the same question; this sensor compares with the episode's
        first reading. It reads the last letter that is a word of its own, which may also be the word "A" or "I".

        Args:
            answer: The regular expression of the answer.

        Returns:
            The sensor, named ``cyberv_stability``.
        """
        return cls(-0.5, measure="stability", answer=answer, name="cyberv_stability")

    @classmethod
    def cyberv_probability(cls, answer: str = ACTION) -> Confidence:
        """Builds CyberV's probability of the answer token (arXiv 2506.07971).

        In the paper it is the token of the last occurrence of the answer's letter. Here it is the first token of the
        action's last argument: the point's x, the text, the button.

        Args:
            answer: The regular expression of the answer.

        Returns:
            The sensor, named ``cyberv_probability``.
        """
        return cls(answer=answer, name="cyberv_probability")

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without log-probabilities or an answer."""
        at = self._tokens(attempt)
        if isinstance(at, str):
            return not_judged(self.name, at, threshold=self.threshold, detail={"tokens": 0.0})
        logprobs = [attempt.logprobs[i] for i in at]
        detail = {
            "tokens": float(len(at)),
            "probability": math.exp(_mean(logprobs)),
            "min_probability": math.exp(min(logprobs)),
        }
        if attempt.entropy:
            detail["mean_entropy"] = _mean([attempt.entropy[i] for i in at])
        if attempt.margin:
            detail["mean_margin"] = _mean([attempt.margin[i] for i in at])
        earlier = [r for r in context.history if r.detail.get("tokens")]
        if earlier:
            first = max(earlier[0].detail["probability"], 1e-12)
            detail["stability"] = (detail["probability"] - first) / first
        of = "tokens are" if self.answer is None else "the answer is"
        reason = f"{of} {detail['probability']:.2f} probable on average, the least {detail['min_probability']:.2f}"
        key = {"entropy": "mean_entropy", "margin": "mean_margin"}.get(self.measure, self.measure)
        if key not in detail:
            what = "no earlier reading" if key == "stability" else f"the model reports no {self.measure}"
            return not_judged(self.name, f"{reason}; {what}", threshold=self.threshold, detail=detail)
        value = detail[key]
        if self.measure != "probability":
            reason = f"{self.measure} {value:.2f}; {reason}"
        before = [r.value for r in earlier if r.judged]
        return Reading(
            sensor=self.name,
            value=value,
            baseline=_mean(before) if before else None,
            threshold=self.threshold,
            alarm=value > self.threshold if self.side == "above" else value < self.threshold,
            reason=reason,
            detail=detail,
        )

    def _tokens(self, attempt: Attempt) -> Sequence[int] | str:
        if not attempt.logprobs:
            return "no token has a probability"
        if self.answer is None:
            return range(len(attempt.logprobs))
        if len(attempt.pieces) < len(attempt.logprobs):
            return "the model does not report the text of each token"
        found = answer_tokens(attempt.pieces[: len(attempt.logprobs)], self.answer)
        return found or f"no answer {self.answer.pattern!r} in the text"


def answer_tokens(pieces: Sequence[str], answer: re.Pattern[str]) -> tuple[int, ...]:
    """Finds the tokens of an answer.

    Args:
        pieces: The text of each token.
        answer: The pattern of the answer.

    Returns:
        The indices of the tokens that the pattern's last match overlaps, or its first group if it has one; () if
        nothing matches.
    """
    match = None
    for match in answer.finditer("".join(pieces)):  # noqa: B007 - the last one
        pass
    if match is None:
        return ()
    start, stop = match.span(1 if answer.groups and match.group(1) is not None else 0)
    found, end = [], 0
    for i, piece in enumerate(pieces):
        begin, end = end, end + len(piece)
        if begin < stop and end > start:
            found.append(i)
    return tuple(found)


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)
