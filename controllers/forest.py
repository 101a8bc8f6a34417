"""CyberV's score forest: several weak signs of a candidate's worth, and the vote over what candidates say.

CyberV (arXiv 2506.07971, authors' code), for candidate i of n, all weights 0.2:

    score_i = 0.2 · (p_i + stab_i + rep_i + drift_i + rank_i)

p the answer's probability; stab 0 where (p_i − p_0) / p_0 < −0.5, else 1; rep 0 where the text repeats itself; drift 0
where the evidence's attention fell by more than 0.1 against candidate 0, else 1; rank the ascending rank of p, divided
by n. Per answer y, V(y) = Σ score over the candidates that say y; the best is accepted where V(y) > n · θ.

Three of the five are one number (p), and the drift is confounded with length. ``TREES`` are the signs by name, so that
other weights, fitted on held-out episodes, may stand in for the paper's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeostat import actions as a
from homeostat.controllers.context import Candidate
from homeostat.observation import Element, element_at

__all__ = ["CYBERV", "Forest", "Verdict", "answer_of", "same_action"]

CYBERV: Mapping[str, float] = {"p": 0.2, "stab": 0.2, "rep": 0.2, "drift": 0.2, "rank": 0.2}


@dataclass(frozen=True)
class Verdict:
    """Every candidate's ``scores``, the ``votes`` by answer, and the best answer's first and best-scored candidate."""

    scores: tuple[float, ...]
    trees: tuple[Mapping[str, float], ...]
    votes: Mapping[str, float]
    answer: str
    index: int

    @property
    def vote(self) -> float:
        """The best answer's vote."""
        return self.votes[self.answer]


@dataclass(frozen=True)
class Forest:
    """Scores candidates by the readings that they bear.

    ``weights`` by tree; ``confidence``: whose ``probability`` is p (a candidate without it has p = 0); ``repetition``:
    whose alarm is a repetition; ``drift``: whose span masses are the evidence, summed over ``evidence``, and flagged
    where it is lower than candidate 0's by more than ``fall``. A sign that no candidate has a reading for counts 1 for
    all (drift: as in the paper 0 for a candidate that lacks what candidate 0 has).
    """

    weights: Mapping[str, float]
    confidence: str = "confidence"
    repetition: str = "cyberv_repetition"
    drift: str = "attention_drift"
    evidence: tuple[str, ...] = ("screen",)
    fall: float = 0.1
    unstable: float = -0.5

    def judge(self, candidates: Sequence[Candidate], elements: Sequence[Element] = ()) -> Verdict:
        """Score them and count the votes. Candidates without an action don't vote; at least one has to hold one."""
        p = [self._of(c, self.confidence, "probability") for c in candidates]
        known = [value or 0.0 for value in p]
        ranks = _ranks(known)
        masses = [self._mass(c) for c in candidates]
        trees, scores = [], []
        for i, candidate in enumerate(candidates):
            stable = not known[0] or (known[i] - known[0]) / known[0] >= self.unstable
            repeats = any(r.alarm for r in candidate.readings if r.sensor == self.repetition)
            mine, base = masses[i], masses[0]
            drifts = base is not None and (mine is None or mine - base < -self.fall)
            tree = {
                "p": known[i],
                "stab": float(stable),
                "rep": float(not repeats),
                "drift": float(not drifts),
                "rank": ranks[i] / len(candidates),
            }
            trees.append(tree)
            scores.append(sum(self.weights.get(name, 0.0) * value for name, value in tree.items()))
        votes: dict[str, float] = {}
        for candidate, score in zip(candidates, scores, strict=True):
            answer = answer_of(candidate, elements)
            if answer is not None:
                votes[answer] = votes.get(answer, 0.0) + score
        best = max(votes, key=lambda answer: votes[answer])
        saying = [i for i, c in enumerate(candidates) if answer_of(c, elements) == best]
        index = max(saying, key=lambda i: (scores[i], -i))
        return Verdict(tuple(scores), tuple(trees), votes, best, index)

    def _mass(self, candidate: Candidate) -> float | None:
        readings = [r for r in candidate.readings if r.sensor == self.drift]
        found = [next((r.by_span[s].mass for r in readings if s in r.by_span), None) for s in self.evidence]
        given = [value for value in found if value is not None]
        return sum(given) if given else None

    @staticmethod
    def _of(candidate: Candidate, sensor: str, key: str) -> float | None:
        return next((r.detail[key] for r in candidate.readings if r.sensor == sensor and key in r.detail), None)


def answer_of(candidate: Candidate, elements: Sequence[Element] = ()) -> str | None:
    """What a candidate says, as :func:`same_action` tells it; None where it holds no action."""
    return None if candidate.action is None else same_action(candidate.action, elements)


def same_action(action: a.Action, elements: Sequence[Element] = ()) -> str:
    """What counts as the same action: taps on one element; texts without their case and white space."""
    match action:
        case a.Click(point=point) | a.LongPress(point=point):
            at = element_at(elements, point)
            where = f"{point[0]:.2f},{point[1]:.2f}" if at is None else f"element {at}"
            return f"{action.kind} {where}"
        case a.Type(text=text) | a.Answer(text=text):
            return f"{action.kind} {' '.join(text.lower().split())}"
        case a.Swipe(point=(x, y), to=(x2, y2)):
            across = abs(x2 - x) > abs(y2 - y)
            return "swipe " + (("right" if x2 > x else "left") if across else ("down" if y2 > y else "up"))
    return action.model_dump_json()


def _ranks(values: Sequence[float]) -> list[float]:
    """Ascending ranks from 1, ties sharing the mean."""
    order = sorted(values)
    return [order.index(v) + 1 + (order.count(v) - 1) / 2 for v in values]
