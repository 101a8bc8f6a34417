"""The loop's nodes: each takes the episode's state, does one thing, and returns the fields that changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from langgraph.types import interrupt

from homeostat.agent.events import Asked, Decide, Observe, Sense
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState, Proposal, Reply
from homeostat.agent.prompts import act_prompt
from homeostat.controllers.core import (
    Ask,
    Candidate,
    Choose,
    Decision,
    Dispatch,
    HoldAttention,
    MakePlan,
    Perform,
    Proceed,
    Record,
    Refuse,
    Reminder,
    Report,
    Sample,
    SteerAttention,
    Stop,
)
from homeostat.envs.mobile_use import parse_action
from homeostat.errors import UnparsableAction
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.core import Attempt, Reading

__all__ = ["ask", "control", "observe", "propose", "sample", "sense"]

Updates = dict[str, Any]


def observe(state: EpisodeState, context: RunContext) -> Updates:
    """Look at the screen."""
    context.observation = None
    seen = context.observe()
    save = context.trace.screen if context.trace is not None else lambda image: ""
    context.emit(
        Observe(
            step=state.step,
            app=seen.app,
            screen=save(seen.screenshot),
            elements=seen.elements,
            frames=tuple(save(frame) for frame in seen.frames) if context.trace is not None else (),
            screenshot=seen.screenshot,
        )
    )
    return {}


def propose(state: EpisodeState, context: RunContext) -> Updates:
    """Ask the model for an action."""
    attempt = _attempt(state, context)
    context.attempt = attempt
    return {
        "phase": "attempt",
        "proposal": _parsed(attempt.text, context),
        "calls": state.calls + 1,
        "tokens": state.tokens + len(attempt.tokens),
        "prompt_tokens": state.prompt_tokens + attempt.prompt_tokens - attempt.cached_tokens,
    }


def sense(state: EpisodeState, context: RunContext) -> Updates:
    """Let every sensor read the attempt."""
    attempt, proposal = context.attempt, state.proposal
    if attempt is None or proposal is None:
        # Resumed between propose and sense: the attempt's arrays are gone, so it is made again.
        attempt = _attempt(state, context)
        proposal = _parsed(attempt.text, context)
    context.attempt = None
    return {"proposal": proposal, "readings": _read(attempt, proposal, state, context)}


def _read(
    attempt: Attempt,
    proposal: Proposal,
    state: EpisodeState,
    context: RunContext,
    candidate: int | None = None,
    candidates: Sequence[Attempt] = (),
) -> tuple[Reading, ...]:
    """Every sensor's reading of an attempt, told as an event."""
    readings = context.read(attempt, state, _prompt(state, context), proposal.action, candidates)
    mass = attempt.spans.mass.mean(axis=(0, 1, 2)) if attempt.spans is not None and len(attempt.spans.mass) else ()
    context.emit(
        Sense(
            step=state.step,
            attempt=state.attempt,
            instruction=state.instruction,
            reminder=state.reminder,
            text=proposal.text,
            action=proposal.action,
            unparsable=proposal.unparsable,
            readings=readings,
            mass=dict(zip(attempt.spans.labels if attempt.spans else (), map(float, mass), strict=False)),
            tokens=attempt.tokens,
            logprobs=attempt.logprobs,
            prompt_tokens=attempt.prompt_tokens,
            cached_tokens=attempt.cached_tokens,
            seconds=attempt.seconds,
            finish=attempt.finish,
            candidate=candidate,
        )
    )
    return readings


def sample(state: EpisodeState, context: RunContext) -> Updates:
    """Ask for further answers to the same prompt, and read each; the attempt itself is the first candidate."""
    assert isinstance(state.decision, Sample)
    assert state.proposal is not None
    attempts = context.sample(_prompt(state, context), state, state.decision.n, state.decision.temperature)
    every = (Attempt(text=state.proposal.text), *attempts)
    first = Candidate(**state.proposal.model_dump(), readings=state.readings)
    found = [first]
    for number, attempt in enumerate(attempts, start=1):
        proposal = _parsed(attempt.text, context)
        readings = _read(attempt, proposal, state, context, number, every)
        found.append(Candidate(**proposal.model_dump(), readings=readings))
    return {
        "phase": "candidates",
        "candidates": tuple(found),
        "calls": state.calls + 1,
        "tokens": state.tokens + sum(len(a.tokens) for a in attempts),
        "prompt_tokens": state.prompt_tokens + attempts[0].prompt_tokens - attempts[0].cached_tokens,
    }


def control(state: EpisodeState, context: RunContext) -> Updates:
    """Let the controllers decide, within the loop's own bounds."""
    readings = state.readings if state.phase in ("attempt", "candidates", "reported") else ()
    seen = context.observe()
    known = state.context(app=seen.app, elements=seen.elements, screen=seen.fingerprint, seconds=context.elapsed())
    name, decision = context.decide(readings, known)
    decision, name = _bounded(decision, name, state, context)
    context.emit(Decide(step=state.step, attempt=state.attempt, phase=state.phase, controller=name, decision=decision))
    updates: Updates = {"decision": decision}
    if not isinstance(decision, Proceed):
        record = Record(
            step=state.step,
            attempt=state.attempt,
            controller=name,
            kind=decision.kind,
            cause=decision.cause,
            memory=decision.memory if isinstance(decision, HoldAttention) else 0.0,
            phase=state.phase,
        )
        updates["decisions"] = (*state.decisions, record)
    again = state.attempt + 1 if state.phase in ("attempt", "candidates") else state.attempt
    match decision:
        case Reminder(text=text, show=show):
            updates |= {"reminder": text, "shown": show, "attempt": again}
        case MakePlan(plan=agenda):
            updates |= {"attempt": again, "rounds": state.rounds + 1}
            if agenda is not None:
                updates |= {"agenda": agenda, "attempt": 0}
        case Perform(action=action, plan=agenda):
            updates |= {"proposal": Proposal(text="", action=action), "readings": ()}
            updates |= {"agenda": agenda} if agenda is not None else {}
        case Ask():
            updates |= {"attempt": again}
        case SteerAttention(actuators=actuators):
            updates |= {"attempt": again, "steering": actuators}
        case HoldAttention(actuators=actuators):
            updates |= {"holding": actuators}
        case Choose(index=index) | Refuse(candidate=int(index)):
            chosen = state.candidates[min(index, len(state.candidates) - 1)]
            proposal = Proposal(text=chosen.text, action=chosen.action, unparsable=chosen.unparsable)
            updates |= {"proposal": proposal, "readings": chosen.readings}
        case Dispatch(instruction=instruction, plan=agenda):
            updates |= {
                "instruction": instruction,
                "agenda": agenda,
                "rounds": state.rounds + 1,
                "attempt": 0,
                "subtask_steps": 0,
                "history": (),
                "answers": (),
                "acted": (),
                "tried": (),
                "screens": (),
                "reminder": "",
                "shown": (),
                "steering": (),
                "candidates": (),
                "garbled": 0,
                "failures": 0,
            }
        case Stop(reason=reason):
            updates |= {"ending": "budget" if name == "loop" else "stopped", "reason": reason}
    return updates


def ask(state: EpisodeState, context: RunContext) -> Updates:
    """Wait for the user's answer; it goes into the next attempt's prompt as its reminder."""
    assert isinstance(state.decision, Ask)
    # LangGraph runs this node again from here when the answer comes, so nothing may happen before this line.
    reply = interrupt(state.decision.question, response_schema=Reply)
    context.emit(Asked(step=state.step, attempt=state.attempt, question=state.decision.question, answer=reply.answer))
    return {"reminder": f"The user answered: {reply.answer}"}


def _prompt(state: EpisodeState, context: RunContext) -> Prompt:
    return act_prompt(
        context.model.style,
        goal=state.instruction,
        rules=state.task.rules,
        history=state.history,
        observation=context.observe(),
        earlier=[context.image(name) for name in state.screens],
        reminder=state.reminder,
        shown=state.shown,
    )


def _attempt(state: EpisodeState, context: RunContext) -> Attempt:
    return context.generate(_prompt(state, context), state)


def _parsed(text: str, context: RunContext) -> Proposal:
    try:
        action = parse_action(text, context.model.style.grid(context.observe()))
    except UnparsableAction as error:
        return Proposal(text=text, unparsable=str(error))
    return Proposal(text=text, action=action)


def _bounded(decision: Decision, name: str, state: EpisodeState, context: RunContext) -> tuple[Decision, str]:
    """The decision, unless it would break the loop's own bounds."""
    attempts, rounds = context.config.attempts, max(state.task.max_steps, 1)
    if isinstance(decision, Dispatch | MakePlan) and state.rounds >= rounds:
        return Stop(reason=f"{state.rounds} plans and dispatches without an end", cause=decision.cause), "loop"
    held = [r for r in state.decisions if r.kind == "hold" and (r.step, r.attempt) == (state.step, state.attempt)]
    if isinstance(decision, HoldAttention) and any((r.controller, r.phase) == (name, state.phase) for r in held):
        return Proceed(cause=f"{name} holds a second time at one attempt"), "loop"
    first_plan = isinstance(decision, MakePlan) and decision.plan is None
    spends = first_plan or isinstance(decision, Reminder | Ask | SteerAttention)
    if isinstance(decision, Report) and state.phase != "attempt":
        return Proceed(cause=f"{name} has a screen read where it can't"), "loop"
    if isinstance(decision, Sample) and state.phase != "attempt":
        return Proceed(cause=f"{name} samples where it can't"), "loop"
    if spends and state.phase in ("attempt", "candidates") and state.attempt + 1 >= attempts:
        return Proceed(cause=f"{name} wanted to {decision.kind}, but all {attempts} attempts are used"), "loop"
    return decision, name
