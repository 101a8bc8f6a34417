"""``Tabu``: never the same action twice on the same screen.

A greedy model that sees the same screen does the same thing: once it is back where it was, it is in a loop until its
steps are used up. Tabu search's first rule (Glover 1989, "Tabu Search, Part I", ORSA Journal on Computing 1(3)) is to
forbid what was just done there. So where the attempt's action was done on this very screen before, further answers are
drawn to the same prompt, and the one that most of them give among those not yet tried is carried out. What was tried
is kept screen by screen, so that coming back once more leads further.

It acts on no reading: that an action is repeated is a fact, not an alarm. Waiting is never held against anybody.
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
    """Draws ``n`` − 1 further answers at ``temperature`` where an action is repeated, and takes one that is new.

    ``budget``: so many repeated actions are looked into in an episode. ``unparsable``: an answer that holds no action,
    after a first correction of the step, is a cause too.
    """

    name: str = Field(default="tabu", min_length=1)
    sensors: frozenset[str] = frozenset()
    n: int = Field(default=8, ge=2)
    temperature: float = Field(default=1.0, gt=0.0)
    budget: int = Field(default=8, ge=1)
    unparsable: bool = True

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`Sample` for a repeated action, then :class:`Choose` where some answer is new."""
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
        return Sample(n=self.n - 1, temperature=self.temperature, cause=f"tried here before: {said}")

    @staticmethod
    def _new(context: ControlContext) -> Decision:
        said = [answer_of(c, context.elements) for c in context.candidates]
        votes = Counter(s for s in said if s is not None and s not in context.tried)
        if not votes:
            return Proceed(cause="nothing new was said")
        best, count = votes.most_common(1)[0]
        return Choose(index=said.index(best), cause=f"new here, {count} of {len(said)}: {best}")
