"""The loop's nodes that carry an action out and that end the episode."""

from __future__ import annotations

from typing import Any, Literal

from homeostat.actions import Action, Answer, Terminate
from homeostat.agent.events import Act, Decide, Ending, Finish
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.controlling import record_of
from homeostat.agent.loop.nodes import Updates
from homeostat.agent.loop.performing import Outcome, perform, settle
from homeostat.agent.loop.refusing import confirmation, refusal
from homeostat.agent.loop.state import EpisodeState, StepState
from homeostat.agent.prompts import past_action
from homeostat.controllers.decisions import Refuse, Stop
from homeostat.controllers.forest import same_action
from homeostat.envs.core import NotingRefusals

__all__ = ["act", "finish"]


def act(state: EpisodeState, context: RunContext) -> Updates:
    """Executes the proposal's action, or records why it was not executed. Every call is one environment step.

    Immediately before the environment acts, the controllers that may refuse actions are asked about this one, whoever
    proposed or chose it, also after a resume.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The next step's state, and the ending where the episode is over.
    """
    assert state.proposal is not None
    updates: Updates = {
        "step": state.step + 1,
        "now": StepState(),
        "costs": state.costs.with_(seconds=context.elapsed()),
        "subtask": state.subtask.with_(steps=state.subtask.steps + 1, screens=_screens(state, context)),
    }
    if state.proposal.action is None:
        updates |= _unparsable(state, updates["subtask"], context)
    else:
        updates |= _carried_out(state.proposal.action, state, updates["subtask"], context)
    used_up = context.limits.exhausted(state.costs.tokens, context.elapsed())
    if state.step + 1 >= state.task.max_steps:
        used_up = f"all {state.task.max_steps} steps were used"
    if updates.get("ending") is None and used_up:
        updates |= {"ending": "budget", "reason": used_up}
    return updates


def finish(state: EpisodeState, context: RunContext) -> Updates:
    """Ends the episode.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The success and the seconds.
    """
    assert state.ending is not None
    success = state.success if state.success is not None else (False if state.judged else None)
    seconds = context.elapsed()
    context.emit(
        Finish(
            step=state.step,
            ended=state.ending,
            success=success,
            reason=state.reason,
            steps=state.step,
            optimal_steps=state.task.optimal_steps,
            tokens=state.costs.tokens,
            seconds=seconds,
        )
    )
    return {"success": success, "costs": state.costs.with_(seconds=seconds)}


def _screens(state: EpisodeState, context: RunContext) -> tuple[str, ...]:
    """The earlier screenshots that the next prompt shows."""
    before = context.calls.model.style.screens - 1
    if before <= 0 or not context.observe().has_screen:
        return state.subtask.screens
    return (*state.subtask.screens, context.keep(context.observe().screenshot))[-before:]


def _unparsable(state: EpisodeState, subtask: Any, context: RunContext) -> Updates:
    """The updates after an answer that held no action."""
    assert state.proposal is not None
    why, said = state.proposal.unparsable or "", state.proposal.text
    context.emit(Act(step=state.step, outcome="unparsable", error=why, said=said, snapshot=state.snapshot))
    garbled = state.subtask.garbled + 1
    updates: Updates = {"subtask": subtask.with_(garbled=garbled, failures=state.subtask.failures + 1)}
    if context.observe().conversation is not None:
        updates["now"] = StepState(reminder=why)  # in a conversation, what was wrong with a call is told at once
    if garbled >= context.limits.garbled:
        updates |= {"ending": "collapse", "reason": f"{garbled} answers in a row held no action: {why}"}
    return updates


def _carried_out(action: Action, state: EpisodeState, subtask: Any, context: RunContext) -> Updates:
    """The updates after an action that was executed or refused."""
    assert state.proposal is not None
    seen = context.observe()
    updates: Updates = {}
    known = settle(state, context)
    if known is not None and known.uncertain:
        return {"ending": "uncertain", "reason": known.uncertain}
    refused: Refuse | Stop | None = state.decision if isinstance(state.decision, Refuse) else None
    if refused is None and known is None:
        refused = refusal(action, state, context)
        if refused is None and (unasked := confirmation(action, state, context)) is not None:
            told = f"the user has not been asked: {unasked.question}"
            refused = Refuse(reason=told, cause=unasked.cause, by=unasked.by)
        if refused is not None:  # for example in a resumed run whose controllers have changed
            updates["decisions"] = (*state.decisions, record_of(refused, refused.by, state))
            context.emit(Decide(step=state.step, phase=state.phase, controller=refused.by, decision=refused))
    if isinstance(refused, Stop):
        return {**updates, "decision": refused, "ending": "stopped", "reason": refused.reason}
    if refused is not None:
        updates["now"] = StepState(reminder=refused.reason)
        known = Outcome(error=refused.reason)
    result = known or perform(action, state, context)
    error = result.error
    noting = context.env.env if refused is not None and seen.conversation is not None else None
    if isinstance(noting, NotingRefusals):
        noting.note_refusal(action)
    snapshot = state.snapshot if error and seen.conversation is None else context.snapshot()
    outcome: Literal["refused", "done"] = "refused" if error else "done"
    said = state.proposal.text
    context.emit(
        Act(
            step=state.step,
            action=action,
            outcome=outcome,
            error=error,
            said=said,
            snapshot=snapshot,
            settled=result.settled,
        )
    )
    answers = (action.text,) if isinstance(action, Answer) and not error else ()
    updates |= {
        "snapshot": snapshot,
        "subtask": subtask.with_(
            garbled=0,
            failures=state.subtask.failures + 1 if error else 0,
            # The history holds a refused action too: a greedy model that saw the same prompt would try it for ever.
            history=(*state.subtask.history, past_action(context.calls.model.style, action, seen, said, error)),
            acted=(*state.subtask.acted, *state.readings),
            tried=(*state.subtask.tried, (seen.fingerprint, same_action(action, seen.elements))),
            answers=(*state.subtask.answers, *answers),
        ),
    }
    if isinstance(action, Terminate) and not error:
        updates |= _terminated(action, state, context)
    elif ended := context.env.ended:
        updates |= _ended(ended, state, context)
    return updates


def _judged(state: EpisodeState, context: RunContext) -> bool | None:
    """Whether the task's check holds; None where nothing judges it."""
    if not state.judged:
        return None
    return context.env.success()


def _terminated(action: Terminate, state: EpisodeState, context: RunContext) -> Updates:
    success = _judged(state, context)
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
    success = _judged(state, context)
    ending: Ending = "finished" if success is None else "success" if success else "premature"
    return {"ending": ending, "reason": why, "success": success}
