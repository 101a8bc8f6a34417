"""Agreement: do several candidates for the same step say the same?

Self-consistency (Wang et al., arXiv 2203.11171): of n answers drawn for one question, the share of the most frequent
one; weighted, CyberV's vote V(y) = Σ of the scores of the candidates that answer y (arXiv 2506.07971), as a share of
all. Answers are compared after ``key``: what counts as the same is the user's to say (a parsed action, a normalised
string). Cost: the candidates, which somebody has to generate; nothing besides. Candidates of one greedy decoder agree
whatever they are worth, and a model may be wrong unanimously.
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
    """``share`` in (0, 1] of the vote for ``answer``, the first of the best; ``entropy`` of the votes over the distinct
    answers, divided by log n of the candidates (0: unanimous, 1: all differ).
    """

    answer: Hashable
    share: float
    entropy: float
    distinct: int


def agreement(answers: Sequence[Hashable], weights: Sequence[float] | None = None) -> Votes:
    """Count the votes; ``weights`` None: one each.

    Raises :class:`ConfigError` for no answers, or weights that are negative, endless, of another number, or all 0.
    """
    if not answers:
        raise ConfigError("answers=() hold no vote; give one or more")
    given = [1.0] * len(answers) if weights is None else [float(w) for w in weights]
    if len(given) != len(answers) or min(given) < 0 or not 0 < sum(given) < math.inf:
        raise ConfigError(f"weights={given!r} don't fit {len(answers)} answers; give as many, none below 0, not all 0")
    votes: dict[Hashable, float] = defaultdict(float)
    for answer, weight in zip(answers, given, strict=True):
        votes[answer] += weight
    total = sum(given)
    shares = [v / total for v in votes.values() if v > 0]
    spread = -sum(p * math.log(p) for p in shares)
    best = max(votes, key=lambda answer: votes[answer])
    return Votes(best, votes[best] / total, spread / math.log(len(answers)) if len(answers) > 1 else 0.0, len(votes))


class Agreement:
    """The share of the step's candidates that say what this attempt says: ``value`` in [0, 1].

    The candidates are ``context.candidates`` (this attempt is counted with them, as the last, where it is not among
    them), and may have ``context.weights``. Not
    judged without, with fewer than two in all, or where the weights don't fit them. ``key``: an attempt's answer (None:
    its text without white space at the ends).
    Alarm below ``threshold`` (½: no majority; **not calibrated**). ``detail``: ``majority`` (the best answer's share),
    ``entropy``, ``distinct``, ``candidates``.
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
        """Raises :class:`ConfigError` for a threshold outside [0, 1]."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is no share; give a number from 0 to 1")
        self.name = name
        self.threshold = threshold
        self.key = key

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt among its step's candidates."""
        given = context.candidates
        candidates = given if any(one is attempt for one in given) else (*given, attempt)
        if len(candidates) < 2:
            return not_judged(self.name, "there is one candidate: nothing to agree with", threshold=self.threshold)
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
            reason=f"{value:.0%} of {len(answers)} candidates say so, {votes.distinct} different answers",
            detail={
                "majority": votes.share,
                "entropy": votes.entropy,
                "distinct": float(votes.distinct),
                "candidates": float(len(answers)),
            },
        )

    def _answer(self, attempt: Attempt) -> Hashable:
        return attempt.text.strip() if self.key is None else self.key(attempt)
