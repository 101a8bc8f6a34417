"""What a stage of training shows: how many questions of each kind, and the shares of special episodes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Mix"]


@dataclass(frozen=True)
class Mix:
    """The composition of training screens. Shares are probabilities in [0, 1].

    Attributes:
        phrasings: Questions about the episode's own goal for each screen, each in another phrasing. A joined goal is
            asked once. The last step of an episode is asked in up to four phrasings.
        other_goals: Questions about other goals for each screen.
        away: Share kept of the other goals whose next action leaves the screen (another app, or back). They are many
            and easy.
        where: Questions for each screen that ask where a label is.
        what: Questions for each screen that ask which label is at a place.
        noise: Share of steps that take a stray action instead of the oracle's.
        joined: Share of episodes whose goal joins several tasks.
        forbidden: Share of episodes with a rule that forbids the task. They end after one step, so the share is larger
            than in an evaluation suite.
        ruled: Share of episodes with a rule that does not forbid the task.
        whole: Share of phones on which every app is installed.
        conditional: Share of goals that are worded as one side of a condition.
        invented: Share of phones with three invented apps. Three quarters of the tasks on these phones are about them.
        loose: Share of goals that are worded loosely (``homeostat.nano.data.rewording.loosely``).
        adverts: Share of episodes in which an advert pops up.
        reminders: Share of questions whose prompt carries a reminder.
    """

    phrasings: int = 1
    other_goals: int = 2
    away: float = 1.0
    where: int = 2
    what: int = 1
    noise: float = 0.1
    joined: float = 0.06
    forbidden: float = 0.3
    ruled: float = 0.3
    whole: float = 0.75
    conditional: float = 0.05
    invented: float = 0.35
    loose: float = 0.25
    adverts: float = 0.2
    reminders: float = 0.08
