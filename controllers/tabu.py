"""``Tabu``: avoids the same action twice on the same screen.

A model that decodes greedily does the same thing when it sees the same screen. Once it returns to a screen, it repeats
a loop until its steps are used up. The first rule of tabu search is to forbid what was just done (Glover 1989, "Tabu
Search, Part I", ORSA Journal on Computing 1(3)). So if the attempt's action was taken before on this very screen,
further answers are sampled to the same prompt, and the most frequent one that was not tried here yet is carried out.
Tried actions are remembered for each screen, so every return to a screen leads to a new action.

The controller uses no readings: a repeated action is a fact that needs no sensor. Waiting may be repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from homeostat.actions import Wait
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Choose, Decision, Proceed, Sample
from homeostat.controllers.forest import answer_of, same_action
from homeostat.controllers.settings import Settings
from homeostat.sensors.readings import Reading

__all__ = ["Tabu"]


class Tabu(Settings):
    """Samples further answers when an action is repeated, and takes one that is new on this screen.

    Attributes:
        n: The number of candidates, the attempt included.
        temperature: The sampling temperature.
        budget: The most times that answers are sampled in an episode.
        unparsable: Whether answers are sampled, too, when an answer contains no action although the step was attempted
            again.
    """

    name: str = Field(default="tabu", min_length=1)
    sensors: frozenset[str] = frozenset()
    n: int = Field(default=8, ge=2)
    temperature: float = Field(default=1.0, gt=0.0)
    budget: int = Field(default=8, ge=1)
    unparsable: bool = True

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`Sample` for a repeated action, then :class:`Choose` if an answer is new."""
        mine = [r for r in context.decisions if r.controller == self.name and r.kind == "sample"]
        here = any((r.step, r.attempt) == (context.step, context.attempt) for r in mine)
        if context.phase == "candidates":
            return self._new(context) if context.sampled_by(self.name) else Proceed()
        if context.phase != "attempt" or here or len(mine) >= self.budget:
            return Proceed()
        if context.action is None:
            again = self.unparsable and context.attempt > 0
            return Sample(n=self.n - 1, temperature=self.temperature, cause="unparsable again") if again else Proceed()
        said = same_action(context.action, context.elements)
        if said not in context.tried or isinstance(context.action, Wait):
            return Proceed()
        return Sample(n=self.n - 1, temperature=self.temperature, cause=f"already tried on this screen: {said}")

    @staticmethod
    def _new(context: ControlContext) -> Decision:
        said = [answer_of(c, context.elements) for c in context.candidates]
        votes = Counter(s for s in said if s is not None and s not in context.tried)
        if not votes:
            return Proceed(cause="no answer is new on this screen")
        best, count = votes.most_common(1)[0]
        return Choose(index=said.index(best), cause=f"new on this screen, {count} of {len(said)} answers: {best}")
