"""Agreement: do several candidates for the same step give the same answer?

Self-consistency (Wang et al., arXiv 2203.11171) is the share of the most frequent of n answers to one question. The
weighted form is CyberV's vote V(y), the sum of the scores of the candidates that answer y (arXiv 2506.07971), as a
share of the sum of all. The user decides which answers count as equal, with ``key`` (a parsed action, a normalised
string).

Cost: generating the candidates, and nothing else. Limits: the candidates of a greedy decoder always agree, and a model
may be wrong unanimously.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Literal

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["Agreement", "Votes", "agreement"]


@dataclass(frozen=True)
class Votes:
    """The result of a vote.

    Attributes:
        answer: The answer with the most votes; the first of them in case of a tie.
        share: Its share of the votes, in (0, 1].
        entropy: The entropy of the votes over the distinct answers, divided by log n for n candidates (0: unanimous, 1:
            all differ).
        distinct: The number of distinct answers.
    """

    answer: Hashable
    share: float
    entropy: float
    distinct: int


def agreement(answers: Sequence[Hashable], weights: Sequence[float] | None = None) -> Votes:
    """Counts the votes.

    Args:
        answers: The candidates' answers.
        weights: One weight for each answer; None weighs all equally.

    Returns:
        The result.

    Raises:
        ConfigError: There is no answer, or the weights are negative, infinite, all 0, or not one for each answer.
    """
    if not answers:
        raise ConfigError("answers=() hold no vote; pass one or more")
    given = [1.0] * len(answers) if weights is None else [float(w) for w in weights]
    if len(given) != len(answers) or min(given) < 0 or not 0 < sum(given) < math.inf:
        raise ConfigError(f"weights={given!r} do not fit {len(answers)} answers; pass as many, none below 0, not all 0")
    votes: dict[Hashable, float] = defaultdict(float)
    for answer, weight in zip(answers, given, strict=True):
        votes[answer] += weight
    total = sum(given)
    shares = [v / total for v in votes.values() if v > 0]
    spread = -sum(p * math.log(p) for p in shares)
    best = max(votes, key=lambda answer: votes[answer])
    return Votes(best, votes[best] / total, spread / math.log(len(answers)) if len(answers) > 1 else 0.0, len(votes))


class Agreement:
    """Measures how many of the step's candidates give the same answer as this attempt.

    ``value`` in [0, 1] is their share. The candidates are ``context.candidates``, with the weights ``context.weights``.
    If this attempt is not among them, it is counted as the last. An attempt is not judged if there are fewer than two
    candidates, or if the weights do not fit them. The sensor alarms below the threshold.

    ``detail`` holds ``majority`` (the share of the most frequent answer), ``entropy``, ``distinct`` and ``candidates``.
    """

    needs: frozenset[Need] = frozenset({"text"})
    side: Literal["below"] = "below"

    def __init__(
        self,
        threshold: float = 0.5,
        *,
        key: Callable[[Attempt], Hashable] | None = None,
        name: str = "agreement",
    ) -> None:
        """Creates the sensor.

        Args:
            threshold: The share below which it alarms. The default ½ means "no majority" and is **not calibrated**.
            key: Returns an attempt's answer; None takes its text without white space at the ends.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is outside [0, 1].
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a share; pass a number from 0 to 1")
        self.name = name
        self.threshold = threshold
        self.key = key

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged with fewer than two candidates, or if their weights do not fit."""
        given = context.candidates
        candidates = given if any(one is attempt for one in given) else (*given, attempt)
        if len(candidates) < 2:
            return not_judged(self.name, "there is only one candidate", threshold=self.threshold)
        weights = context.weights
        answers = [self._answer(one) for one in candidates]
        try:
            votes = agreement(answers, weights)
        except ConfigError as error:
            return not_judged(self.name, str(error), threshold=self.threshold)
        own = self._answer(attempt)
        each = [1.0] * len(answers) if weights is None else list(weights)
        value = sum(w for answer, w in zip(answers, each, strict=True) if answer == own) / sum(each)
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=f"{value:.0%} of {len(answers)} candidates give this answer; {votes.distinct} different answers",
            detail={
                "majority": votes.share,
                "entropy": votes.entropy,
                "distinct": float(votes.distinct),
                "candidates": float(len(answers)),
            },
        )

    def _answer(self, attempt: Attempt) -> Hashable:
        return attempt.text.strip() if self.key is None else self.key(attempt)
