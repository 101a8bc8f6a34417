"""``Decompose``: splits a long goal into subtasks and gives each a fresh context (AGENT-NEXUS, arXiv 2506.08972).

The paper's scheduler has three duties. It dispatches one self-contained subtask at a time, it transfers information
(the answer of one subtask becomes a literal in the instruction of a later one), and it manages the process (what is
done, failed and open). The executor never sees the whole goal or the old history. The paper's code and prompts are not
public; this scheduler follows its description. Where the paper says nothing, these rules apply:

- A goal with one subtask, or a plan that can't be read, is left to the executor as a whole.
- A subtask ends when the executor terminates. With ``success`` it is done and its last answer is kept; with
  ``failure`` it has failed. The terminate itself is carried out only if no subtask can follow. With a ``reporter``,
  values that the subtask should have found but did not answer are read from its last screen, and its check has to hold
  there.
- A subtask that reaches its step limit has failed. So has one whose steps had no effect for half its limit in a row.
  The last subtask has no limit of its own, because nothing waits for it: it may use the rest of the episode's steps.
- A subtask whose condition does not hold is skipped. A subtask that needs an unknown value fails without being tried;
  the plan then goes on with the next one (``on_missing="skip"``), or the episode stops (``"stop"``).
- Computations and answers to the user need no model call. They are made as soon as their turn comes.
- The planner is asked again after every subtask (``replan="always"``, as in the paper) or after one that failed. Its
  answer replaces the open subtasks; closed ones are kept. If it can't be read, the old plan stays in force.
- When no subtask is left to dispatch, the executor's terminate is carried out unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from homeostat.actions import Answer, Terminate
from homeostat.controllers.context import ControlContext
from homeostat.controllers.decisions import Decision, Dispatch, MakePlan, Perform, Proceed, Report, Stop
from homeostat.controllers.operations import compute
from homeostat.controllers.plan import Plan, Source, holds, needs_of, next_open, resolve
from homeostat.controllers.plan_updates import activate, close, learn
from homeostat.controllers.settings import Settings
from homeostat.errors import PlanError
from homeostat.sensors.readings import Reading

__all__ = ["Decompose"]


class Decompose(Settings):
    """Asks for a plan at the start, dispatches its subtasks in order, and replans if it is told to.

    Attributes:
        max_subtask_steps: The most steps that a subtask may take while others wait, unless the plan gives it a limit of
            its own. None gives it an equal share of the steps that were left when it began.
        patience: The share of its limit for which a subtask's steps may have no effect in a row.
        on_missing: What happens to a subtask that needs an unknown value: ``"skip"`` goes on with the next one,
            ``"stop"`` ends the episode.
        replan: When the planner is asked again: ``"never"``, after a ``"failed"`` subtask, or ``"always"`` after a
            subtask.
        replans: How often an episode may be replanned.
        conversations: Whether the request of a conversation is split, too. The general wording of the planner is about
            tasks on a phone, so give the planner a style of its own for that.
        reporter: Whether the planning model reads values and checks from a subtask's last screen.
    """

    plans: ClassVar[bool] = True
    name: str = Field(default="decompose", min_length=1)
    sensors: frozenset[str] = frozenset()
    max_subtask_steps: int | None = Field(default=None, ge=1)
    patience: float = Field(default=0.5, gt=0.0, le=1.0)
    on_missing: Literal["skip", "stop"] = "skip"
    replan: Literal["never", "failed", "always"] = "never"
    replans: int = Field(default=12, ge=0)
    conversations: bool = False
    reporter: bool = False

    @classmethod
    def agent_nexus(cls) -> Decompose:
        """The paper's scheduler: it replans after every subtask, and a reporter reads last screens."""
        return cls(name="agent-nexus", replan="always", reporter=True)

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """Returns :class:`MakePlan` at the start and :class:`Dispatch` whenever a subtask begins."""
        plan = context.plan
        if context.phase == "start" and context.conversing and not self.conversations:
            return Proceed()
        if context.phase == "start":
            return MakePlan(cause="start") if plan is None else Proceed()
        if plan is None:
            return Proceed()
        begun = any(subtask.status != "open" for subtask in plan.subtasks)
        if context.phase == "planned":
            few = 0 if plan.finish else 1 if self.replan == "always" else 2
            whole = not begun and (context.plan_error is not None or len(plan.subtasks) < few)
            return Proceed() if whole else self._next(plan, context, "planned")
        if not begun or context.phase == "candidates":
            return Proceed()
        if plan.active is None:
            return self._next(plan, context, "between subtasks")
        return self._manage(plan, plan.active, context)

    def _manage(self, plan: Plan, active: int, context: ControlContext) -> Decision:
        """Decides how the active subtask goes on after an attempt or a report."""
        number, subtask = active + 1, plan.subtasks[active]
        source: Source = "answer"
        answer = context.answers[-1] if context.answers else None
        if isinstance(context.action, Terminate):
            status: Literal["done", "failed"] = "done" if context.action.status == "success" else "failed"
            if context.phase == "reported" and context.report is not None:
                found = context.report.facts
                key = subtask.save or str(number)
                source = "answer" if answer is not None else "report"
                answer = answer if answer is not None else found.get(key)
                plan = learn(plan, active, {k: v for k, v in found.items() if k != key}, step=context.step)
                status = "failed" if context.report.check is False else status
            elif status == "done" and (asked := self._asks(plan, active, answer)):
                return Report(facts=asked, check=subtask.check, cause=f"subtask {number} ended")
            elif status == "done" and self.reporter and subtask.check:
                return Report(check=subtask.check, cause=f"subtask {number} ended")
            return self._returned(plan, active, status, answer, context, f"subtask {number} {status}", source)
        if context.phase != "attempt":
            return Proceed()
        if isinstance(context.action, Answer) and context.tools:  # in a conversation, an answer ends the subtask
            return self._returned(plan, active, "done", context.action.text, context, f"subtask {number} answered")
        limit = self._limit(plan, context)
        if context.failures and context.failures >= max(2, math.ceil(self.patience * min(limit, 10**6))):
            return self._returned(plan, active, "failed", answer, context, f"subtask {number} stuck")
        if context.subtask_steps >= limit:
            return self._returned(plan, active, "failed", answer, context, f"subtask {number} over its step limit")
        return Proceed()

    def _asks(self, plan: Plan, active: int, answer: str | None) -> tuple[str, ...]:
        """The facts to read from the screen: those that the plan names, and an answer that later subtasks need."""
        if not self.reporter:
            return ()
        subtask, key = plan.subtasks[active], str(active + 1)
        later = plan.subtasks[active + 1 :]
        needed = {name for one in later for text in one.texts for name in needs_of(text)}
        needed |= {one.condition for one in later}
        mine = () if answer is not None or not (subtask.save or key in needed) else (subtask.save or key,)
        return (*mine, *subtask.report)

    def _returned(
        self,
        plan: Plan,
        active: int,
        status: Literal["done", "failed"],
        answer: str | None,
        context: ControlContext,
        cause: str,
        source: Source = "answer",
    ) -> Decision:
        """Closes the active subtask, then replans or goes on."""
        spent = {"steps": context.subtask_steps, "step": context.step}
        closed = close(plan, active, status, answer=answer, source=source, **spent)
        made = sum(r.kind == "plan" and r.controller == self.name for r in context.decisions) - 1
        wanted = self.replan == "always" or (self.replan == "failed" and status == "failed")
        if wanted and made < self.replans:
            return MakePlan(plan=closed, cause=cause)
        return self._next(closed, context, cause)

    def _limit(self, plan: Plan, context: ControlContext) -> float:
        """The active subtask's step limit: its own, or its share of the steps that were left when it began."""
        assert plan.active is not None
        own = plan.subtasks[plan.active].max_steps or self.max_subtask_steps
        if own is not None:
            return own
        if not context.max_steps:
            return math.inf
        begun = context.step - context.subtask_steps
        unfinished = sum(subtask.status in ("open", "active") for subtask in plan.subtasks)
        return max(1, math.ceil((context.max_steps - begun) / unfinished))

    def _next(self, plan: Plan, context: ControlContext, cause: str) -> Decision:
        """Dispatches the next subtask that can be done; computes on the way what only has to be computed."""
        while plan.finish is None and (index := next_open(plan)) is not None:
            subtask = plan.subtasks[index]
            try:
                if not holds(plan, index):
                    plan = close(plan, index, "skipped")
                elif subtask.compute is not None:
                    value = compute(subtask.compute, [resolve(plan, index, text) for text in subtask.of])
                    plan = close(plan, index, "done", answer=value, step=context.step, source="compute")
                elif subtask.say:
                    answer = Answer(text=resolve(plan, index, subtask.say))
                    return Perform(action=answer, plan=close(plan, index, "done"), cause=cause)
                else:
                    return Dispatch(instruction=resolve(plan, index), plan=activate(plan, index), cause=cause)
            except PlanError as missing:
                if self.on_missing == "stop":
                    return Stop(reason=str(missing), cause=cause)
                plan = close(plan, index, "failed")
        return self._end(plan, context, cause)

    @staticmethod
    def _end(plan: Plan, context: ControlContext, cause: str) -> Decision:
        """Nothing is left to do: carries out the executor's terminate, or makes one for it."""
        if plan.finish is None and context.phase == "attempt" and context.plan and context.plan.active is not None:
            return Proceed()
        tried = [subtask.status for subtask in plan.subtasks if subtask.status in ("done", "failed")]
        status = plan.finish or ("failure" if tried and tried[-1] == "failed" else "success")
        return Perform(action=Terminate(status=status), plan=plan, cause=cause)
