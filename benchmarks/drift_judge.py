"""Role adherence of recorded turns by a judge, for ``evidence_drift.py``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from journal import Journal
from tau_bench import Trajectory

from homeostat import TransformersModel
from homeostat.sensors import Attempt, Prompt, RoleAdherence, SensorContext

__all__ = ["HeldToScores", "judged"]

SCORED = {
    "type": "object",
    "properties": {
        name: {
            "type": "object",
            "properties": {"score": {"type": "number", "minimum": 1, "maximum": 5}},
            "required": ["score"],
            "additionalProperties": False,
        }
        for name in ("GA", "RC", "KBA", "CC")
    },
    "required": ["GA", "RC", "KBA", "CC"],
    "additionalProperties": False,
}
"""The shape that a judge's answer is held to."""


class HeldToScores:
    """A judge whose answers are held to four scores."""

    def __init__(self, model: TransformersModel):
        self.model = model

    def generate(
        self, prompt: Prompt, *, temperature: float, max_new_tokens: int, watch: bool, seed: int | None
    ) -> list[Attempt]:
        """Answers as the model does, in the shape of :data:`SCORED`."""
        return self.model.generate(
            prompt, temperature=temperature, max_new_tokens=64, watch=watch, seed=seed, schema=SCORED
        )


def judged(judge: TransformersModel, trajectories: Sequence[Trajectory], turns: int, journal: Journal) -> None:
    """Scores an early and a late turn in words of each conversation, and of another conversation's in their places."""
    for number, one in enumerate(trajectories):
        if journal.has(name=one.name):
            continue
        other = trajectories[(number + 1) % len(trajectories)]
        sensor = RoleAdherence(HeldToScores(judge), role=one.policy)
        row: dict[str, Any] = {"name": one.name}
        for moment, place in (("early", 0), ("late", -1)):
            own, foreign = (_in_words(each, turns)[place] for each in (one, other))
            said = [turn.text for turn in (*one.turns[: own[0]],) if turn.role == "user"]
            context = SensorContext(goal=said[-1] if said else one.goal)
            for whose, text in (("own", own[1]), ("foreign", foreign[1])):
                reading = sensor.read(Attempt(text=text), context)
                row[f"{moment} {whose}"] = reading.value if reading.judged else None
        journal.add(row)


def _in_words(trajectory: Trajectory, turns: int) -> list[tuple[int, str]]:
    """The position and the text of the assistant's turns that are words alone."""
    places = trajectory.answers[:turns]
    return [(n, trajectory.turns[n].text) for n in places if not trajectory.turns[n].calls]
