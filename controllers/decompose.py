"""``Decompose``: a long goal becomes atomic parts, each done in a fresh context (AGENT-NEXUS, arXiv 2506.08972).

The paper's three duties: dispatch (one self-contained part at a time), information transfer (what a part found out
becomes a literal in a later part's instruction) and process management (what is done, failed, left). The executor
never sees the whole goal nor the old history. The scheduler's code and prompts are not public: this one is written
from the paper's description.

The rules, where the paper says nothing:

- A goal of one part, or a plan that can't be read, is left to the executor whole.
- A part ends when the executor terminates. With success it is done and its last answer is kept; with failure it is
  failed. The terminate itself is not carried out while a part can follow. With a ``reporter``, what the part should
  have brought and did not is read off its last screen, and its check has to hold there.
- A part over its step cap is failed, and so is one whose steps came to nothing for half its cap in a row. The last part
  has no cap of its own: nothing waits behind it, so it may use what is left of the episode's budget.
- A part whose condition is not met is skipped. One that needs a value which never came is failed without being tried,
  and the plan goes on with the parts behind it (``on_missing="skip"``), or the episode stops (``"stop"``).
- Computations and answers to the user cost no model call: they are made as soon as they are next.
- A new plan is asked for after every part (``replan="always"``, the paper's way), or after one that failed. It replaces
  the open parts; what is done stays done. A planner that can't be read leaves the old plan in force.
- When no part is left to dispatch, the executor's terminate is carried out as it stands.
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
from homeostat.controllers.plan import Plan, activate, close, holds, learn, needs_of, next_open, resolve
from homeostat.controllers.settings import Settings
from homeostat.errors import PlanError
from homeostat.sensors.readings import Reading

__all__ = ["Decompose"]


class Decompose(Settings):
    """Asks for a plan at the start, dispatches its parts in order, and plans anew where it is told to.

    - ``part_steps``: the steps a part may take while others wait, where its plan gives it no cap; None: an equal share
      of the episode's steps that were left when it began.
    - ``patience``: the share of its cap for which a part's steps may come to nothing in a row.
    - ``on_missing``, ``replan``: see the module's text; ``replans``: how many further plans an episode may have.
    - ``reporter``: whether last screens are read for what a part did not answer.
    """

    plans: ClassVar[bool] = True
    name: str = Field(default="decompose", min_length=1)
    sensors: frozenset[str] = frozenset()
    part_steps: int | None = Field(default=None, ge=1)
    patience: float = Field(default=0.5, gt=0.0, le=1.0)
    on_missing: Literal["skip", "stop"] = "skip"
    replan: Literal["never", "failed", "always"] = "never"
    replans: int = Field(default=12, ge=0)
    reporter: bool = False

    @classmethod
    def agent_nexus(cls) -> Decompose:
        """The paper's scheduler: a new plan after every part, and a reporter that reads last screens."""
        return cls(name="agent-nexus", replan="always", reporter=True)

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`MakePlan` at the start, :class:`Dispatch` whenever a part begins, :class:`Proceed` otherwise."""
        plan = context.plan
        if context.phase == "start":
            return MakePlan(cause="start") if plan is None else Proceed()
        if plan is None:
            return Proceed()
        begun = any(part.status != "open" for part in plan.parts)
        if context.phase == "planned":
            few = 0 if plan.finish else 1 if self.replan == "always" else 2
            whole = not begun and (context.plan_error is not None or len(plan.parts) < few)
            return Proceed() if whole else self._next(plan, context, "planned")
        if not begun or context.phase == "candidates":
            return Proceed()
        if plan.active is None:
            return self._next(plan, context, "between parts")
        return self._manage(plan, plan.active, context)

    def _manage(self, plan: Plan, active: int, context: ControlContext) -> Decision:
        """What becomes of the active part after an attempt at it, or after a report on it."""
        number, part = active + 1, plan.parts[active]
        source: Literal["answer", "report"] = "answer"
        answer = context.answers[-1] if context.answers else None
        if isinstance(context.action, Terminate):
            status: Literal["done", "failed"] = "done" if context.action.status == "success" else "failed"
            if context.phase == "reported" and context.report is not None:
                found = context.report.facts
                key = part.save or str(number)
                source = "answer" if answer is not None else "report"
                answer = answer if answer is not None else found.get(key)
                plan = learn(plan, active, {k: v for k, v in found.items() if k != key}, step=context.step)
                status = "failed" if context.report.check is False else status
            elif status == "done" and (asked := self._asks(plan, active, answer)):
                return Report(facts=asked, check=part.check, cause=f"part {number} ended")
            elif status == "done" and self.reporter and part.check:
                return Report(check=part.check, cause=f"part {number} ended")
            return self._returned(plan, active, status, answer, context, f"part {number} {status}", source)
        if context.phase != "attempt":
            return Proceed()
        cap = self._cap(plan, context)
        if context.failures and context.failures >= max(2, math.ceil(self.patience * min(cap, 10**6))):
            return self._returned(plan, active, "failed", answer, context, f"part {number} stuck")
        if context.subtask_steps >= cap:
            return self._returned(plan, active, "failed", answer, context, f"part {number} over its steps")
        return Proceed()

    def _asks(self, plan: Plan, active: int, answer: str | None) -> tuple[str, ...]:
        """What the reporter should read: what the plan says, and what later parts need and was not answered."""
        if not self.reporter:
            return ()
        part, key = plan.parts[active], str(active + 1)
        needed = {name for later in plan.parts[active + 1 :] for text in later.texts for name in needs_of(text)}
        needed |= {later.when.removeprefix("not ").strip("{} ") for later in plan.parts[active + 1 :]}
        mine = () if answer is not None or not (part.save or key in needed) else (part.save or key,)
        return (*mine, *part.report)

    def _returned(
        self,
        plan: Plan,
        active: int,
        status: Literal["done", "failed"],
        answer: str | None,
        context: ControlContext,
        cause: str,
        source: Literal["answer", "report"] = "answer",
    ) -> Decision:
        """The active part is closed: plan anew, or go on."""
        spent = {"steps": context.subtask_steps, "step": context.step}
        closed = close(plan, active, status, answer=answer, source=source, **spent)
        made = sum(r.kind == "plan" and r.controller == self.name for r in context.decisions) - 1
        wanted = self.replan == "always" or (self.replan == "failed" and status == "failed")
        if wanted and made < self.replans:
            return MakePlan(plan=closed, cause=cause)
        return self._next(closed, context, cause)

    def _cap(self, plan: Plan, context: ControlContext) -> float:
        """Steps that the active part may take: its own cap, or its share of what was left when it began."""
        assert plan.active is not None
        own = plan.parts[plan.active].max_steps or self.part_steps
        if own is not None:
            return own
        if not context.max_steps:
            return math.inf
        begun = context.step - context.subtask_steps
        unfinished = sum(part.status in ("open", "active") for part in plan.parts)
        return max(1, math.ceil((context.max_steps - begun) / unfinished))

    def _next(self, plan: Plan, context: ControlContext, cause: str) -> Decision:
        """The next part that can be done; what is only to be computed is computed on the way."""
        while plan.finish is None and (index := next_open(plan)) is not None:
            part = plan.parts[index]
            try:
                if not holds(plan, index):
                    plan = close(plan, index, "skipped")
                elif part.compute is not None:
                    value = compute(part.compute, [resolve(plan, index, text) for text in part.of])
                    plan = close(plan, index, "done", answer=value, step=context.step, source="compute")
                elif part.say:
                    answer = Answer(text=resolve(plan, index, part.say))
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
        """Nothing is left to do: the executor's own terminate stands, or one is made for it."""
        if plan.finish is None and context.phase == "attempt" and context.plan and context.plan.active is not None:
            return Proceed()
        tried = [part.status for part in plan.parts if part.status in ("done", "failed")]
        status = plan.finish or ("failure" if tried and tried[-1] == "failed" else "success")
        return Perform(action=Terminate(status=status), plan=plan, cause=cause)
