"""What a step comes to: the action carried out, and the episode's end."""

from __future__ import annotations

from typing import Any, Literal

from homeostat.actions import Answer, Terminate
from homeostat.agent.events import Act, Ending, Finish
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.prompts import describe
from homeostat.controllers.core import Refuse
from homeostat.controllers.forest import same_action
from homeostat.envs.core import SelfEnding
from homeostat.errors import ActionError

__all__ = ["act", "finish"]

Updates = dict[str, Any]


def act(state: EpisodeState, context: RunContext) -> Updates:
    """Carry the action out, or record why not. Every call is one step."""
    assert state.proposal is not None
    action, said = state.proposal.action, state.proposal.text
    updates: Updates = {
        "step": state.step + 1,
        "subtask_steps": state.subtask_steps + 1,
        "attempt": 0,
        "reminder": "",
        "shown": (),
        "steering": (),
        "candidates": (),
        "seconds": context.elapsed(),
    }
    if (before := context.model.style.screens - 1) > 0:
        updates["screens"] = (*state.screens, context.keep(context.observe().screenshot))[-before:]
    if action is None:
        context.emit(
            Act(
                step=state.step,
                outcome="unparsable",
                error=state.proposal.unparsable or "",
                said=said,
                snapshot=state.snapshot,
            )
        )
        updates |= {"garbled": state.garbled + 1, "failures": state.failures + 1}
        if state.garbled + 1 >= context.config.garbled:
            updates |= {
                "ending": "collapse",
                "reason": f"{state.garbled + 1} answers in a row held no action: {state.proposal.unparsable}",
            }
    else:
        seen = context.observe()
        grid = context.model.style.grid(seen)
        error = ""
        if isinstance(state.decision, Refuse):
            error = updates["reminder"] = state.decision.reason
        else:
            try:
                context.env.act(action)
            except ActionError as refused:
                error = str(refused)
        snapshot = state.snapshot if error else context.snapshot()
        outcome: Literal["refused", "done"] = "refused" if error else "done"
        context.emit(Act(step=state.step, action=action, outcome=outcome, error=error, said=said, snapshot=snapshot))
        updates |= {
            "garbled": 0,
            "failures": state.failures + 1 if error else 0,
            "snapshot": snapshot,
            # A refused action is told too: a greedy model that saw the same prompt would try it for ever.
            "history": (*state.history, describe(action, grid)),
            "acted": (*state.acted, *state.readings),
            "tried": (*state.tried, (seen.fingerprint, same_action(action, seen.elements))),
        }
        if isinstance(action, Answer) and not error:
            updates["answers"] = (*state.answers, action.text)
        if isinstance(action, Terminate) and not error:
            updates |= _terminated(action, state, context)
        elif isinstance(context.env, SelfEnding) and context.env.ended:
            updates |= _ended(context.env.ended, state, context)
    if updates.get("ending") is None and state.step + 1 >= state.task.max_steps:
        updates |= {"ending": "budget", "reason": f"all {state.task.max_steps} steps were used"}
    return updates


def finish(state: EpisodeState, context: RunContext) -> Updates:
    """Close the episode."""
    assert state.ending is not None
    success = state.success if state.success is not None else (False if state.judged else None)
    context.emit(
        Finish(
            step=state.step,
            ended=state.ending,
            success=success,
            reason=state.reason,
            steps=state.step,
            optimal_steps=state.task.optimal_steps,
            tokens=state.tokens,
            seconds=context.elapsed(),
        )
    )
    return {"success": success, "seconds": context.elapsed()}


def _terminated(action: Terminate, state: EpisodeState, context: RunContext) -> Updates:
    success = context.env.success() if state.judged else None
    ending: Ending
    if action.status == "failure":
        ending, reason = "impossible", "the agent judged the task impossible or forbidden"
    elif success is None:
        ending, reason = "finished", "the agent called the task done; there is no check for a goal in free words"
    elif success:
        ending, reason = "success", "the task's check holds"
    else:
        ending, reason = "premature", "the agent called the task done, but its check does not hold"
    return {"ending": ending, "reason": reason, "success": success}


def _ended(why: str, state: EpisodeState, context: RunContext) -> Updates:
    """The environment ended the episode by itself."""
    success = context.env.success() if state.judged else None
    ending: Ending = "finished" if success is None else "success" if success else "premature"
    return {"ending": ending, "reason": why, "success": success}
