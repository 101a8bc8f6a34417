"""CyberV's score forest: scores candidates by several weak indicators ("trees") and lets them vote.

CyberV (arXiv 2506.07971, authors' code) scores candidate i of n with equal weights:

    score_i = 0.2 · (p_i + stab_i + rep_i + drift_i + rank_i)

- p: the answer's probability.
- stab: 0 if (p_i − p_0) / p_0 < −0.5, else 1.
- rep: 0 if the text repeats itself, else 1.
- drift: 0 if the attention on the evidence is more than 0.1 lower than candidate 0's, else 1.
- rank: the ascending rank of p, divided by n.

An answer without a probability has p = 1e-4. Candidate 0 does not drift; another candidate does if its attention or
candidate 0's is unknown. Equal probabilities rank in the candidates' order.

The vote for an answer y is V(y) = Σ score over the candidates with that answer. The best answer is accepted if
V(y) > n · θ.

Limits: three of the five trees depend on p alone, and the drift is confounded with the answer's length. Other weights,
fitted to held-out episodes (``forest_fit.py``), may replace the paper's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from homeostat import actions as a
from homeostat.controllers.context import Candidate
from homeostat.observation import Element, element_at

__all__ = ["CYBERV", "Forest", "Verdict", "answer_of", "same_action"]

CYBERV: Mapping[str, float] = {"p": 0.2, "stab": 0.2, "rep": 0.2, "drift": 0.2, "rank": 0.2}
"""The paper's weights by tree."""


@dataclass(frozen=True)
class Verdict:
    """The result of a vote.

    Attributes:
        scores: Every candidate's score.
        trees: Every candidate's trees by name.
        votes: The votes by answer.
        answer: The answer with the most votes.
        index: The index of the candidate with the highest score among those with that answer.
    """

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
    """Scores candidates by their readings.

    By default, the drift is 1 for all if candidate 0 has no mass, and equal probabilities share their mean rank.

    Attributes:
        weights: The weights by tree.
        confidence: The sensor whose ``probability`` is p.
        missing: The p of a candidate without that reading.
        strict: Whether missing masses and equal ranks are treated as in the authors' code (see the module's docstring).
        repetition: The sensor whose alarm means that the text repeats itself.
        drift: The sensor whose span masses measure the attention on the evidence.
        evidence: The labels of the evidence's spans; their masses are added.
        fall: The largest loss of mass against candidate 0 that is no drift.
        unstable: The relative change of p against candidate 0 below which a candidate is unstable.
    """

    weights: Mapping[str, float]
    confidence: str = "confidence"
    repetition: str = "cyberv_repetition"
    drift: str = "attention_drift"
    evidence: tuple[str, ...] = ("screen",)
    fall: float = 0.1
    unstable: float = -0.5
    missing: float = 0.0
    strict: bool = False

    @classmethod
    def cyberv(cls, evidence: tuple[str, ...] = ("screen",)) -> Forest:
        """Builds the authors' forest, which reads the answer token alone.

        Args:
            evidence: The labels of the evidence's spans.

        Returns:
            The forest.
        """
        return cls(
            CYBERV,
            confidence="cyberv_probability",
            drift="cyberv_drift",
            evidence=evidence,
            missing=1e-4,
            strict=True,
        )

    def judge(self, candidates: Sequence[Candidate], elements: Sequence[Element] = ()) -> Verdict:
        """Scores candidates and counts the votes.

        Args:
            candidates: The candidates. Those without an action don't vote; at least one has to have one.
            elements: The elements of the screen, which tell whether two taps are the same answer.

        Returns:
            The verdict.
        """
        p = [self._of(c, self.confidence, "probability") for c in candidates]
        known = [self.missing if value is None else value for value in p]
        ranks = _places(known) if self.strict else _ranks(known)
        masses = [self._mass(c) for c in candidates]
        trees, scores = [], []
        for i, candidate in enumerate(candidates):
            stable = not known[0] or (known[i] - known[0]) / known[0] >= self.unstable
            repeats = any(r.alarm for r in candidate.readings if r.sensor == self.repetition)
            mine, base = masses[i], masses[0]
            unknown = mine is None if base is not None else self.strict and i > 0
            drifts = unknown or (base is not None and mine is not None and mine - base < -self.fall)
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
    """Writes a candidate's action so that equal answers have equal texts.

    Args:
        candidate: The candidate.
        elements: The elements of the screen.

    Returns:
        The text, as :func:`same_action` writes it; None if the candidate contains no action.
    """
    return None if candidate.action is None else same_action(candidate.action, elements)


def same_action(action: a.Action, elements: Sequence[Element] = ()) -> str:
    """Writes an action so that actions which count as the same have equal texts.

    Taps on the same element are the same action. So are texts that differ in case or white space only, swipes in the
    same direction, and tool calls that differ in their ids or in the order of their arguments only.

    Args:
        action: The action.
        elements: The elements of the screen.

    Returns:
        The text.
    """
    match action:
        case a.Click(point=point) | a.LongPress(point=point):
            at = element_at(elements, point)
            where = f"{point[0]:.2f},{point[1]:.2f}" if at is None else f"element {at}"
            return f"{action.kind} {where}"
        case a.Call() | a.Calls():
            calls = [[call.tool, call.arguments] for call in a.calls_of(action)]
            return f"call {json.dumps(calls, sort_keys=True, ensure_ascii=False)}"
        case a.Type(text=text) | a.Answer(text=text) | a.Question(text=text):
            return f"{action.kind} {' '.join(text.lower().split())}"
        case a.Swipe(point=(x, y), to=(x2, y2)):
            across = abs(x2 - x) > abs(y2 - y)
            return "swipe " + (("right" if x2 > x else "left") if across else ("down" if y2 > y else "up"))
    return action.model_dump_json()


def _places(values: Sequence[float]) -> list[float]:
    """Ascending ranks from 1; of equal values, the earlier one has the lower rank."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    return [float(order.index(i) + 1) for i in range(len(values))]


def _ranks(values: Sequence[float]) -> list[float]:
    """Ascending ranks from 1; equal values share their mean rank."""
    order = sorted(values)
    return [order.index(v) + 1 + (order.count(v) - 1) / 2 for v in values]
