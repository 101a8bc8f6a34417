"""The loop's node that decides: it asks the controllers, applies the loop's limits, and updates the state."""

from __future__ import annotations

from homeostat.actions import Action
from homeostat.agent.events import Decide
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.nodes import Updates
from homeostat.agent.loop.refusing import confirmation, refusal
from homeostat.agent.loop.state import EpisodeState, Proposal, StepState, SubtaskState
from homeostat.controllers.context import Record
from homeostat.controllers.decisions import (
    Ask,
    Choose,
    Decision,
    Dispatch,
    HoldAttention,
    MakePlan,
    Perform,
    Proceed,
    Refuse,
    Reminder,
    Report,
    Sample,
    SteerAttention,
    Stop,
)

__all__ = ["ACTING_PHASES", "control", "record_of"]

ACTING_PHASES = ("attempt", "candidates", "reported")
"""The phases in which ``Proceed`` means that the proposal's action is carried out."""


def control(state: EpisodeState, context: RunContext) -> Updates:
    """Lets the controllers decide, within the loop's own limits.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The decision and the state that follows from it.
    """
    readings = state.readings if state.phase in ACTING_PHASES else ()
    decision = context.cascade.decide(readings, state.context(context.observe(), context.elapsed()))
    decision, name = _bounded(decision, decision.by, state, context)
    refused = refusal(_about_to_act(decision, state), state, context)
    if refused is not None:
        if isinstance(refused, Refuse) and isinstance(decision, Choose):
            refused = refused.model_copy(update={"candidate": min(decision.index, len(state.now.candidates) - 1)})
        decision, name = refused, refused.by
    consent = confirmation(_about_to_act(decision, state), state, context) if refused is None else None
    taken = [(decision, name)] if consent is None or not isinstance(decision, Proceed) else []
    taken += [] if consent is None else [(consent, consent.by)]
    updates: Updates = {"decision": taken[-1][0]}
    for one, by in taken:
        context.emit(Decide(step=state.step, attempt=state.now.attempt, phase=state.phase, controller=by, decision=one))
        if not isinstance(one, Proceed):
            updates["decisions"] = (*updates.get("decisions", state.decisions), record_of(one, by, state))
    return updates | _consequences(decision, name, state)


def record_of(decision: Decision, name: str, state: EpisodeState) -> Record:
    """Records a decision for cool-downs and budgets.

    Args:
        decision: The decision.
        name: The name of the controller that took it.
        state: The episode's state.

    Returns:
        The record.
    """
    return Record(
        step=state.step,
        attempt=state.now.attempt,
        controller=name,
        kind=decision.kind,
        cause=decision.cause,
        memory=decision.memory if isinstance(decision, HoldAttention) else 0.0,
        phase=state.phase,
    )


def _about_to_act(decision: Decision, state: EpisodeState) -> Action | None:
    """The action that the decision would carry out; None if it carries out no action."""
    proposed = state.proposal.action if state.proposal is not None else None
    match decision:
        case Proceed():
            return proposed if state.phase in ACTING_PHASES else None
        case Perform(action=action):
            return action
        case Choose(index=index):
            return _candidate(index, state).action
    return None


def _candidate(index: int, state: EpisodeState) -> Proposal:
    chosen = state.now.candidates[min(index, len(state.now.candidates) - 1)]
    return Proposal(text=chosen.text, action=chosen.action, unparsable=chosen.unparsable)


def _consequences(decision: Decision, name: str, state: EpisodeState) -> Updates:
    """The fields that a decision changes, besides the decision itself."""
    again = state.now.attempt + 1 if state.phase in ("attempt", "candidates") else state.now.attempt
    match decision:
        case Reminder(text=text, show=show, temperature=heat, actuators=actuators):
            told = state.now.with_(reminder=text, shown=show, temperature=heat, attempt=again)
            return {"now": told.with_(steering=actuators) if actuators else told}
        case MakePlan(plan=plan):
            updates: Updates = {"now": state.now.with_(attempt=again), "rounds": state.rounds + 1}
            return updates if plan is None else updates | {"plan": plan, "now": state.now.with_(attempt=0)}
        case Perform(action=action, plan=plan):
            updates = {"proposal": Proposal(text="", action=action), "readings": ()}
            return updates if plan is None else updates | {"plan": plan}
        case Ask():
            return {"now": state.now.with_(attempt=again)}
        case SteerAttention(actuators=actuators):
            return {"now": state.now.with_(attempt=again, steering=actuators)}
        case HoldAttention(actuators=actuators):
            return {"holding": actuators}
        case Choose(index=index) | Refuse(candidate=int(index)):
            readings = state.now.candidates[min(index, len(state.now.candidates) - 1)].readings
            return {"proposal": _candidate(index, state), "readings": readings}
        case Dispatch(instruction=instruction, plan=plan):
            fresh = {"now": StepState(), "subtask": SubtaskState()}
            return {"instruction": instruction, "plan": plan, "rounds": state.rounds + 1, **fresh}
        case Stop(reason=reason):
            return {"ending": "budget" if name == "loop" else "stopped", "reason": reason}
    return {}


def _bounded(decision: Decision, name: str, state: EpisodeState, context: RunContext) -> tuple[Decision, str]:
    """The decision, or the loop's own one if it would break the loop's limits; and the name of who took it."""
    attempts, rounds = context.limits.attempts, max(state.task.max_steps, 1)
    acts = isinstance(decision, Perform | Choose | Refuse) or (
        isinstance(decision, Proceed) and state.phase in ACTING_PHASES
    )
    used_up = context.limits.exhausted(state.costs.tokens, context.elapsed())
    if used_up and not acts and not isinstance(decision, Stop):  # what is proposed already is still carried out
        return Stop(reason=used_up, cause=decision.cause), "loop"
    if isinstance(decision, Dispatch | MakePlan) and state.rounds >= rounds:
        return Stop(reason=f"{state.rounds} plans and dispatches without an end", cause=decision.cause), "loop"
    first_plan = isinstance(decision, MakePlan) and decision.plan is None
    spends = first_plan or isinstance(decision, Reminder | Ask | SteerAttention)
    if isinstance(decision, Report) and state.phase != "attempt":
        return Proceed(cause=f"{name} has a screen read where it can't"), "loop"
    if isinstance(decision, Sample) and state.phase != "attempt":
        return Proceed(cause=f"{name} samples where it can't"), "loop"
    if spends and state.phase in ("attempt", "candidates") and state.now.attempt + 1 >= attempts:
        return Proceed(cause=f"{name} wanted to {decision.kind}, but all {attempts} attempts are used"), "loop"
    return decision, name
