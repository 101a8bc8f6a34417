"""``Decompose``: a long goal becomes atomic parts, each done in a fresh context (AGENT-NEXUS, arXiv 2506.08972).

The paper's three duties: dispatch (one self-contained part at a time), information transfer (an answer of one part
becomes a literal in a later part's instruction) and process management (what is done, failed, left). The executor
never sees the whole goal nor the old history. The scheduler's code and prompts are not public: this one is written
from the paper's description.

The rules, where the paper says nothing:

- A goal of one part, or a plan that can't be read, is left to the executor whole.
- A part ends when the executor terminates. With success it is done and its last answer is kept; with failure it is
  failed. The terminate itself is not carried out while a part can follow.
- A part over its step cap is failed, and the next one starts. The last part has no cap of its own: nothing waits behind
  it, so it may use what is left of the episode's budget.
- A part that needs an answer which never came is failed without being tried, and the plan goes on with the parts behind
  it (``on_missing="skip"``), or the episode stops (``"stop"``).
- When no part is left to dispatch, the executor's terminate is carried out as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from homeostat.controllers.core import ControlContext, Decision, Dispatch, MakePlan, Plan, Proceed, Stop
from homeostat.controllers.plan import activate, close, next_open, resolve
from homeostat.controllers.settings import Settings
from homeostat.envs.actions import Terminate
from homeostat.envs.errors import PlanError
from homeostat.sensors.core import Reading

__all__ = ["Decompose"]


class Decompose(Settings):
    """Asks for a plan at the start and dispatches its parts in order.

    ``part_steps``: the steps a part may take while others wait; None: an equal share of the episode's steps that were
    left when it began. ``on_missing``: see the module's text.
    """

    name: str = Field(default="decompose", min_length=1)
    sensors: frozenset[str] = frozenset()
    part_steps: int | None = Field(default=None, ge=1)
    on_missing: Literal["skip", "stop"] = "skip"

    def decide(self, readings: Sequence[Reading], context: ControlContext) -> Decision:
        """:class:`MakePlan` at the start, :class:`Dispatch` whenever a part begins, :class:`Proceed` otherwise."""
        plan = context.plan
        if context.phase == "start":
            return MakePlan(cause="start") if plan is None else Proceed()
        if plan is None:
            return Proceed()
        if context.phase == "planned":
            whole = context.plan_error is not None or len(plan.parts) < 2
            return Proceed() if whole else self._dispatch(plan, "planned")
        if plan.active is None:
            return Proceed()
        return self._manage(plan, plan.active, context)

    def _manage(self, plan: Plan, active: int, context: ControlContext) -> Decision:
        """What becomes of the active part after an attempt at it."""
        number = active + 1
        if isinstance(context.action, Terminate):
            answer = context.answers[-1] if context.answers else None
            status: Literal["done", "failed"] = "done" if context.action.status == "success" else "failed"
            closed = close(plan, active, status, answer=answer, steps=context.subtask_steps)
            return self._dispatch(closed, f"part {number} {status}")
        if context.subtask_steps >= self._cap(plan, context):
            answer = context.answers[-1] if context.answers else None
            closed = close(plan, active, "failed", answer=answer, steps=context.subtask_steps)
            return self._dispatch(closed, f"part {number} over its steps")
        return Proceed()

    def _cap(self, plan: Plan, context: ControlContext) -> float:
        """Steps that the active part may take: its own cap, or its share of what was left when it began."""
        if self.part_steps is not None:
            return self.part_steps
        if not context.max_steps:
            return math.inf
        begun = context.step - context.subtask_steps
        unfinished = sum(part.status in ("open", "active") for part in plan.parts)
        return max(1, math.ceil((context.max_steps - begun) / unfinished))

    def _dispatch(self, plan: Plan, cause: str) -> Decision:
        """The next part that can be resolved, or Proceed where none is left."""
        while (index := next_open(plan)) is not None:
            try:
                instruction = resolve(plan, index)
            except PlanError as missing:
                if self.on_missing == "stop":
                    return Stop(reason=str(missing), cause=cause)
                plan = close(plan, index, "failed")
                continue
            return Dispatch(instruction=instruction, plan=activate(plan, index), cause=cause)
        return Proceed()
