"""The stages of training from scratch, and what each of them shows."""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.nano.data.mix import Mix

__all__ = ["LATE", "STAGES", "Stage", "stage_at"]

EARLY = Mix(phrasings=1, other_goals=3, where=4, what=2)
MIDDLE = Mix(phrasings=2, other_goals=7, where=2, what=1)
LATE = Mix(phrasings=3, other_goals=7, away=0.25, where=1, what=2)
"""The last stage's questions, which fine-tuning uses too."""


@dataclass(frozen=True)
class Stage:
    """A stretch of a run.

    Attributes:
        name: The stage's name in the training log.
        begin: The share of the time budget after which it begins.
        mix: What its screens ask.
        reads_only: Whether the model only learns to read patches.
    """

    name: str
    begin: float
    mix: Mix
    reads_only: bool = False


STAGES = (
    Stage("read", 0.0, EARLY, reads_only=True),
    Stage("early", 0.015, EARLY),
    Stage("middle", 0.075, MIDDLE),
    Stage("late", 0.25, LATE),
)
"""In order of time."""


def stage_at(share: float) -> Stage:
    """Finds the stage that a run is in.

    Args:
        share: The share of the time budget that is used up.

    Returns:
        The stage.
    """
    return [stage for stage in STAGES if stage.begin <= max(share, 0.0)][-1]
