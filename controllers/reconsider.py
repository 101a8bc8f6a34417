"""``Reconsider``: samples several answers to one step, lets them vote, and looks again if the vote is weak.

The method is CyberV (arXiv 2506.07971), which answers multiple-choice questions about videos, generalised to actions.
Candidate 0 is the attempt itself; ``n`` − 1 more answers are sampled to the same prompt, from one prefill. In the
paper's own setting (:meth:`Reconsider.cyberv`) only these further answers are asked to reason first. The score forest
(``controllers/forest.py``) weighs the candidates. If the best answer's vote exceeds n · θ, it is carried out. Otherwise
the model is asked once more, with a reminder of the evidence that lost most attention against candidate 0: elements of
the screen, earlier screenshots, or the frames of a recording. Evidence that is an image is shown once more. For n > 2
this second answer counts only if it is one of the candidates' answers; otherwise the best answer of the vote is carried
out (the paper's acceptance guard).

Notable choices: the method starts when a reading alarms, or at every step (``when="always"``, as in the paper). The
second look costs one attempt of the step, so the loop's bound on attempts holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from homeostat.controllers.alarms import alarms_of, cause_of
from homeostat.controllers.context import Candidate, ControlContext
from homeostat.controllers.decisions import Choose, Decision, Proceed, Reminder, Sample
from homeostat.controllers.forest import CYBERV, Forest, answer_of
from homeostat.controllers.settings import Settings
from homeostat.sensors.readings import Reading

__all__ = ["Reconsider"]

_DRIFT = Forest.cyberv().drift
_THINK = "think step by step before you answer."


class Reconsider(Settings):
    """Samples candidates, votes, and looks again if the vote is weak.

    Attributes:
        when: ``"alarm"`` starts it when a reading alarms or an answer contains no action, ``"always"`` at every step.
        sensors: The sensors whose alarms count; empty for all.
        n: The number of candidates, the attempt included.
        temperature: The sampling temperature.
        theta: The threshold θ: the best answer's vote has to exceed n · θ.
        weights: The weights of the forest's trees, as in ``forest.CYBERV``.
        rounds: The most second looks in a step; with 0 the vote decides.
        strict: Whether the forest is the authors' (:meth:`Forest.cyberv <homeostat.controllers.Forest.cyberv>`), with
            these weights.
        think: The reminder in the prompt of the further answers; "" samples them to the attempt's own prompt.
        look_temperature: The sampling temperature of the second look; None keeps the loop's.
        segment: How many adjacent frames of a recording count as one piece of evidence.
        budget: The most steps that are reconsidered in an episode.
        evidence: The labels of the spans whose mass counts as attention on the evidence. ``frame-*`` stands for
            ``frame-1``, ``frame-2`` and so on. ``screen-1`` is the previous step's screenshot, if the prompt shows it.
        text: The reminder of the second look, with ``{evidence}``. It names up to five pieces of evidence, and up to
            five lines of subtitles (spans ``subtitle-1`` and so on).
    """

    name: str = Field(default="reconsider", min_length=1)
    when: Literal["alarm", "always"] = "alarm"
    sensors: frozenset[str] = frozenset()
    n: int = Field(default=4, ge=2)
    temperature: float = Field(default=0.7, ge=0.0)
    theta: float = Field(default=0.3, ge=0.0, le=1.0)
    weights: dict[str, float] = Field(default_factory=lambda: dict(CYBERV))
    rounds: int = Field(default=1, ge=0)
    strict: bool = False
    think: str = ""
    look_temperature: float | None = Field(default=None, ge=0.0)
    segment: int = Field(default=1, ge=1)
    budget: int = Field(default=8, ge=1)
    evidence: tuple[str, ...] = ("screen", "screen-*", "frame-*")
    text: str = "look again at {evidence} before you answer."

    @classmethod
    def cyberv(cls, benchmark: Literal["videommmu", "videomme", "worldsense"] = "videommmu") -> Reconsider:
        """CyberV as its authors' code runs it, at every step.

        The attempt answers directly; the further candidates reason first. The forest reads the answer token alone. The
        second look reasons, too, and is sampled at a temperature of 0.01. The paper's top_p of 0.5 and top_k of 5 are
        not available here.

        Args:
            benchmark: The paper's benchmark whose constants are used.

        Returns:
            The controller.
        """
        n, theta, temperature = {"videommmu": (8, 0.3, 1.0), "videomme": (2, 0.5, 0.0), "worldsense": (16, 0.7, 1.0)}[
            benchmark
        ]
        return cls(
            name="cyberv",
            when="always",
            n=n,
            theta=theta,
            temperature=temperature,
            strict=True,
            think=_THINK,
            look_temperature=0.01,
            segment=2,
            evidence=("screen", "screen-*", "frame-*", "subtitle-*"),
            text="look again at {evidence}; " + _THINK,
        )

    @classmethod
    def one_prompt(cls) -> Reconsider:
        """CyberV's eight candidates, weights and θ, with all candidates drawn to one prompt, at every step.

        Returns:
            The controller.
        """
        return cls(name="cyberv-one-prompt", when="always", n=8, theta=0.3, temperature=1.0)

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`Sample`, then :class:`Choose` or a reminder for a second look."""
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
        if not cause and (alarms := alarms_of(readings, self.sensors)):
            cause = cause_of(alarms[0])
        if not cause:
            return Proceed()
        return Sample(n=self.n - 1, temperature=self.temperature, reminder=self.think, cause=cause)

    def _vote(self, context: ControlContext) -> Decision:
        candidates = context.candidates
        if all(c.action is None for c in candidates):
            return Proceed()
        verdict = self._forest(candidates).judge(candidates, context.elements)
        said = f"{len(verdict.votes)} answers in {len(candidates)} candidates"
        if verdict.vote > len(candidates) * self.theta or self._looks(context) >= self.rounds:
            return Choose(index=verdict.index, cause=f"{said}, a vote of {verdict.vote:.2f} for the best")
        lost = self._lost(candidates)
        text = self.text.replace("{evidence}", ", ".join(name for name, _ in lost) or "the screen")
        show = tuple(label for _, labels in lost for label in labels)
        return Reminder(text=text, show=show, temperature=self.look_temperature, cause=f"weak vote: {said}")

    def _guarded(self, context: ControlContext) -> Decision:
        """Decides after a second look: its answer counts if a candidate gave it, or if there are two at most."""
        before = context.candidates
        if not self._looks(context) or len(before) <= 2 or all(c.action is None for c in before):
            return Proceed()
        new = answer_of(Candidate(text="", action=context.action), context.elements)
        if new is not None and new in {answer_of(c, context.elements) for c in before}:
            return Proceed()
        verdict = self._forest(before).judge(before, context.elements)
        return Choose(index=verdict.index, cause="the second look gave an answer that no candidate gave")

    def _forest(self, candidates: Sequence[Candidate]) -> Forest:
        evidence = self._spans(candidates)
        if not self.strict:
            return Forest(self.weights, evidence=evidence)
        return replace(Forest.cyberv(evidence), weights=self.weights)

    def _looks(self, context: ControlContext) -> int:
        mine = (r for r in context.decisions if r.controller == self.name and r.kind == "remind")
        return sum(r.step == context.step for r in mine)

    def _spans(self, candidates: Sequence[Candidate]) -> tuple[str, ...]:
        """The labels of the evidence's spans for which a reading has a mass."""
        masses = {s for c in candidates for r in c.readings for s, found in r.by_span.items() if found.mass is not None}
        found = []
        for wanted in self.evidence:
            found += [label for label in sorted(masses) if label == wanted or _matches(label, wanted)]
        return tuple(dict.fromkeys(found))

    def _lost(self, candidates: Sequence[Candidate], most: int = 5) -> list[tuple[str, tuple[str, ...]]]:
        """Finds the evidence whose attention fell most against candidate 0, summed over the candidates.

        Each is described in words, with the labels of its images; there are none if it is no image. Lines of subtitles
        are counted apart; as in the paper, the lowest are taken whether they fell or not.
        """
        if self.strict:  # the masses of the answer's row alone
            candidates = [
                c.model_copy(update={"readings": tuple(r for r in c.readings if r.sensor == _DRIFT or r.by_element)})
                for c in candidates
            ]
        found = _falls(candidates, _gazes, "", "{}")
        for words, prefix, size in (("frame {}", "frame-", self.segment), ("the screen {} steps back", "screen-", 1)):
            found |= _falls(candidates, _masses, prefix, words, size)
        lost = sorted((named for named, fall in found.items() if fall < 0), key=lambda named: found[named])[:most]
        said = _falls(candidates, _masses, "subtitle-", "subtitle {}")
        return lost + [(words, ()) for words, _ in sorted(said, key=lambda named: said[named])[:most]]


def _falls(
    candidates: Sequence[Candidate],
    of: Callable[[Candidate, str], dict[str, float]],
    prefix: str,
    words: str,
    size: int = 1,
) -> dict[tuple[str, tuple[str, ...]], float]:
    """The change of every piece of evidence against candidate 0, by its words and its images' labels."""
    base = of(candidates[0], prefix)
    changes: dict[str, float] = {}
    for candidate in candidates[1:]:
        for key, value in of(candidate, prefix).items():
            changes[key] = changes.get(key, 0.0) + value - base.get(key, 0.0)
    if size == 1:
        return {(words.format(key), (prefix + key,) if prefix else ()): change for key, change in changes.items()}
    groups: dict[int, list[str]] = {}
    for key in sorted(changes, key=int):
        groups.setdefault((int(key) - 1) // size, []).append(key)
    return {
        (", ".join(words.format(key) for key in keys), tuple(prefix + key for key in keys)): sum(
            changes[key] for key in keys
        )
        for keys in groups.values()
    }


def _matches(label: str, wanted: str) -> bool:
    return wanted.endswith("*") and label.startswith(wanted[:-1])


def _gazes(candidate: Candidate, prefix: str) -> dict[str, float]:
    """Every element's share of the attention, as far as the candidate's readings have it."""
    return {text: share for reading in candidate.readings for text, share in reading.by_element.items()}


def _masses(candidate: Candidate, prefix: str) -> dict[str, float]:
    """The mass of every span whose label begins with the prefix, by the rest of its label."""
    return {
        label.removeprefix(prefix): found.mass
        for reading in candidate.readings
        for label, found in reading.by_span.items()
        if label.startswith(prefix) and found.mass is not None
    }
