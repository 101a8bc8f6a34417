"""The loop's node that asks the user whether an action may be carried out."""

from __future__ import annotations

from langgraph.types import interrupt

from homeostat.agent.events import Asked, Decide
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.controlling import record_of
from homeostat.agent.loop.nodes import Updates
from homeostat.agent.loop.replies import said_yes
from homeostat.agent.loop.state import EpisodeState, Reply
from homeostat.controllers.decisions import Confirm, Proceed, Refuse

__all__ = ["confirm"]

_TOLD = "the user did not allow that. do something else, or tell the user why you can't go on."


def confirm(state: EpisodeState, context: RunContext) -> Updates:
    """Waits for the user's yes or no to the proposal's action, which the model is not asked for again.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The consent, or a refusal.
    """
    asked = state.decision
    assert isinstance(asked, Confirm)
    # When the answer comes, LangGraph runs this node again from its start: nothing may have an effect before this line.
    reply = interrupt(asked.question, response_schema=Reply)
    context.emit(Asked(step=state.step, attempt=state.now.attempt, question=asked.question, answer=reply.answer))
    if said_yes(reply.answer):
        return {"decision": Proceed(cause=asked.cause, by=asked.by), "now": state.now.with_(allowed=True)}
    said = reply.answer.strip()
    told = _TOLD if said_yes(said) is False or not said else f"{_TOLD} the user said: {said}"
    refused = Refuse(reason=told, cause=asked.cause, by=asked.by)
    at = state.now.attempt
    context.emit(Decide(step=state.step, attempt=at, phase=state.phase, controller=refused.by, decision=refused))
    return {"decision": refused, "decisions": (*state.decisions, record_of(refused, refused.by, state))}
