"""``Reconsider``: several answers to one step, a vote over them, and another look where the vote is weak.

CyberV (arXiv 2506.07971) for multiple-choice questions about videos, generalised to actions. Candidate 0 is the attempt
itself; ``n`` − 1 others are drawn to the same prompt, from one prefill. The score forest (``controllers/forest.py``)
weighs them; if the best answer's vote exceeds n · θ, it is carried out. Else the model is asked once more, with a
reminder of the evidence that lost attention: the elements of the screen, earlier screenshots, or the frames of a
recording, that candidates looked at least in comparison with candidate 0; those that are images are shown once more.
For n > 2 that second answer counts only if some candidate had said it; else the best of the vote is carried out after
all (the paper's acceptance guard).

Notable choices: it is a reading that sets it off, or every step (``when="always"``, the paper's way); a second look
costs an attempt of the step, so the loop's own bound holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from homeostat.controllers.context import Candidate, ControlContext
from homeostat.controllers.decisions import Choose, Decision, Proceed, Reminder, Sample
from homeostat.controllers.forest import CYBERV, Forest, answer_of
from homeostat.controllers.settings import Settings
from homeostat.sensors.readings import Reading

__all__ = ["Reconsider"]


class Reconsider(Settings):
    """Draws candidates, votes, and looks again where the vote is weak.

    - ``when``: ``"alarm"`` of one of ``sensors`` (empty: any), or ``"always"``. An answer that holds no action is a
    cause too.
    - ``n`` candidates in all, at ``temperature``; ``theta``: θ.
    - ``weights``: the forest's, by tree (see ``forest.CYBERV``).
    - ``rounds``: second looks in a step (0: the vote decides); ``budget``: steps reconsidered in an episode.
    - ``evidence``: the spans whose mass counts for drift; a prefix with ``*`` stands for ``frame-1``, ``frame-2``, …
      (``screen-1`` is the screenshot of the step before, where the prompt holds it)
    - ``text``: the second look's reminder, with ``{evidence}``.
    """

    name: str = Field(default="reconsider", min_length=1)
    when: Literal["alarm", "always"] = "alarm"
    sensors: frozenset[str] = frozenset()
    n: int = Field(default=4, ge=2)
    temperature: float = Field(default=0.7, gt=0.0)
    theta: float = Field(default=0.3, ge=0.0, le=1.0)
    weights: dict[str, float] = Field(default_factory=lambda: dict(CYBERV))
    rounds: int = Field(default=1, ge=0)
    budget: int = Field(default=8, ge=1)
    evidence: tuple[str, ...] = ("screen", "screen-*", "frame-*")
    text: str = "look again at {evidence} before you answer."

    @classmethod
    def cyberv(cls, benchmark: Literal["videommmu", "videomme", "worldsense"] = "videommmu") -> Reconsider:
        """The paper's (n, θ) for a benchmark, its weights, at every step (constants theirs).

        Their sampling (top_p 0.5, top_k 5) is not offered here: temperature 1 of VideoMMMU and WorldSense is taken as
        it is, and VideoMME's 0 as 0.1, since candidates at 0 are all the same.
        """
        n, theta, temperature = {"videommmu": (8, 0.3, 1.0), "videomme": (2, 0.5, 0.1), "worldsense": (16, 0.7, 1.0)}[
            benchmark
        ]
        return cls(name="cyberv", when="always", n=n, theta=theta, temperature=temperature)

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`Sample`, then :class:`Choose` or a second look."""
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "sample"]
        if context.phase == "candidates":
            return self._vote(context) if context.sampled_by(self.name) else Proceed()
        if context.phase != "attempt":
            return Proceed()
        if any(r.step == context.step for r in mine):
            return self._guarded(context)
        if len(mine) >= self.budget:
            return Proceed()
        cause = "always" if self.when == "always" else "unparsable" if context.unparsable is not None else ""
        for reading in readings:
            if not cause and reading.alarm and (not self.sensors or reading.sensor in self.sensors):
                cause = f"{reading.sensor}:{reading.span}" if reading.span else reading.sensor
        return Sample(n=self.n - 1, temperature=self.temperature, cause=cause) if cause else Proceed()

    def _vote(self, context: ControlContext) -> Decision:
        candidates = context.candidates
        if all(c.action is None for c in candidates):
            return Proceed()
        forest = Forest(self.weights, evidence=self._spans(candidates))
        verdict = forest.judge(candidates, context.elements)
        said = f"{len(candidates)} candidates, {len(verdict.votes)} answers"
        if verdict.vote > len(candidates) * self.theta or self._looks(context) >= self.rounds:
            return Choose(index=verdict.index, cause=f"{said}, {verdict.vote:.2f} for the best")
        lost = self._lost(candidates)
        text = self.text.replace("{evidence}", ", ".join(name for name, _ in lost) or "the screen")
        return Reminder(text=text, show=tuple(s for _, s in lost if s), cause=f"weak vote: {said}")

    def _guarded(self, context: ControlContext) -> Decision:
        """After a second look: its answer counts if some candidate had said it, or there were two at most."""
        before = context.candidates
        if not self._looks(context) or len(before) <= 2 or all(c.action is None for c in before):
            return Proceed()
        new = answer_of(Candidate(text="", action=context.action), context.elements)
        if new is not None and new in {answer_of(c, context.elements) for c in before}:
            return Proceed()
        verdict = Forest(self.weights, evidence=self._spans(before)).judge(before, context.elements)
        return Choose(index=verdict.index, cause="the second look says what no candidate did")

    def _looks(self, context: ControlContext) -> int:
        mine = (r for r in context.decisions if r.controller == self.name and r.kind == "remind")
        return sum(r.step == context.step for r in mine)

    def _spans(self, candidates: Sequence[Candidate]) -> tuple[str, ...]:
        """The evidence's spans that some reading knows."""
        masses = {s for c in candidates for r in c.readings for s, found in r.by_span.items() if found.mass is not None}
        found = []
        for wanted in self.evidence:
            found += [label for label in sorted(masses) if label == wanted or _matches(label, wanted)]
        return tuple(dict.fromkeys(found))

    @staticmethod
    def _lost(candidates: Sequence[Candidate], most: int = 5) -> list[tuple[str, str]]:
        """The evidence whose attention fell most against candidate 0, summed over candidates: in words, and the label
        of its image where it has one.
        """
        falls: dict[tuple[str, str], float] = {}
        for of, words, prefix in (
            (_gazes, "{}", ""),
            (_masses, "frame {}", "frame-"),
            (_masses, "the screen {} steps back", "screen-"),
        ):
            base = of(candidates[0], prefix)
            for candidate in candidates[1:]:
                for key, value in of(candidate, prefix).items():
                    named = (words.format(key), prefix and prefix + key)
                    falls[named] = falls.get(named, 0.0) + value - base.get(key, 0.0)
        return sorted((named for named, fall in falls.items() if fall < 0), key=lambda named: falls[named])[:most]


def _matches(label: str, wanted: str) -> bool:
    return wanted.endswith("*") and label.startswith(wanted[:-1])


def _gazes(candidate: Candidate, prefix: str) -> dict[str, float]:
    """The share of attention of every element that some reading of the candidate knows."""
    return {text: share for reading in candidate.readings for text, share in reading.by_element.items()}


def _masses(candidate: Candidate, prefix: str) -> dict[str, float]:
    """The mass of every span whose label begins with the prefix, by the rest of its label."""
    return {
        label.removeprefix(prefix): found.mass
        for reading in candidate.readings
        for label, found in reading.by_span.items()
        if label.startswith(prefix) and found.mass is not None
    }
