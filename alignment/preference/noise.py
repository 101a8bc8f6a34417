"""Finds feedback in a trace that is probably noise, so that no preference pair is made of it.

PHG-DIF (Liu et al., arXiv 2508.07178) cleans a user's clicks in two stages before it learns interests from them: clicks
on pages that were left after a short time, and clicks in abnormal bursts. Taken from it are the two stages; an agent's
feedback stands for the clicks:

- *Brief*: the chosen action was taken back. Within ``dwell`` further steps the screen is the one from before, so that
  nothing says the action was preferred. An action without any effect is brief, too. An answer to the user and the end
  of an episode leave no screen and are never brief.
- *Burst*: more than ``burst`` attempts were rejected within ``window`` steps around a step. A sensor that alarms at
  every attempt says nothing about any one of them.

Not taken are PHG-DIF's models of a user's interests over time, which an agent's feedback does not have, and its
thresholds, which are seconds and clicks. Ours are counts and not calibrated. ``benchmarks/mined_noise.py`` measures
what each stage does to the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from homeostat.actions import Answer, Terminate
from homeostat.alignment.preference.steps import Step
from homeostat.errors import ConfigError

__all__ = ["NoiseFilter", "rejected_attempts"]


@dataclass(frozen=True)
class NoiseFilter:
    """The two stages of the filter.

    Attributes:
        dwell: Within so many further steps a return to the screen from before marks an action as brief; None turns the
            stage off.
        burst: The most attempts that may be rejected within the window; None turns the stage off.
        window: The number of steps, an odd one, in whose middle the judged step lies.
    """

    dwell: int | None = 1
    burst: int | None = 4
    window: int = 3

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
            ConfigError: A count is negative, or the window is no odd number.
        """
        for name in ("dwell", "burst"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ConfigError(f"{name}={value!r} is not a count; give 0 or more, or None to turn the stage off")
        if self.window < 1 or self.window % 2 == 0:
            raise ConfigError(f"window={self.window!r} has no middle; give an odd number of steps")

    def brief(self, steps: Sequence[Step]) -> tuple[bool, ...]:
        """Tells which actions were taken back or had no effect.

        Args:
            steps: The steps of a trace.

        Returns:
            One value for each step; False for a step whose action was not carried out.
        """
        if self.dwell is None:
            return (False,) * len(steps)
        screens = [step.seen.fingerprint for step in steps]

        def is_brief(at: int) -> bool:
            act = steps[at].act
            if act is None or act.outcome != "done" or isinstance(act.action, Answer | Terminate):
                return False
            return screens[at] in screens[at + 1 : at + 2 + (self.dwell or 0)]

        return tuple(map(is_brief, range(len(steps))))

    def bursts(self, steps: Sequence[Step]) -> tuple[bool, ...]:
        """Tells which steps lie in a burst of rejected attempts.

        Args:
            steps: The steps of a trace.

        Returns:
            One value for each step.
        """
        if self.burst is None:
            return (False,) * len(steps)
        counts, half = [len(rejected_attempts(step)) for step in steps], self.window // 2
        return tuple(sum(counts[max(at - half, 0) : at + half + 1]) > self.burst for at in range(len(steps)))


def rejected_attempts(step: Step) -> tuple[int, ...]:
    """Finds the attempts of a step that drew feedback: an alarm, a complaint, or that no action could be read.

    Args:
        step: The step.

    Returns:
        Their places in the step's attempts.
    """
    return tuple(
        place
        for place, attempt in enumerate(step.attempts)
        if place in step.complaints or attempt.unparsable is not None or any(r.alarm for r in attempt.readings)
    )
