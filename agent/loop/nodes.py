"""The loop's nodes that observe, call the model, read sensors and ask the user.

A node takes the episode's state and returns the fields that it changes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from langgraph.types import interrupt

from homeostat.actions import Action
from homeostat.agent.attention_record import AttentionRecord
from homeostat.agent.events import Asked, Observe, Sampled, Sense
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.fitting import Fitted, fitted_prompt, held_to_tools
from homeostat.agent.loop.state import EpisodeState, Proposal, Reply
from homeostat.agent.models.protocol import ParsingAnswers
from homeostat.agent.prompts import answer_schema, read_action
from homeostat.agent.tool_calls import calls_schema, read_message, read_turn
from homeostat.controllers.context import Candidate
from homeostat.controllers.decisions import Ask, Sample
from homeostat.conversation import Conversation
from homeostat.errors import UnparsableAction
from homeostat.sensors.attempts import Attempt
from homeostat.sensors.readings import Reading

__all__ = ["Updates", "ask", "attempt", "observe", "sample"]

Updates = dict[str, Any]
"""The fields of the state that a node changed."""


def observe(state: EpisodeState, context: RunContext) -> Updates:
    """Looks at the screen.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        What the trace holds of a conversation; no change on a screen.
    """
    context.observation = None
    seen = context.observe()
    save = context.trace.screen if context.trace is not None and seen.has_screen else lambda image: ""
    turns = seen.conversation.turns if seen.conversation is not None else ()
    frame = seen.conversation.frame if seen.conversation is not None else None
    digest = hashlib.sha256(repr(frame.model_dump()).encode()).hexdigest()[:16] if frame is not None else ""
    context.emit(
        Observe(
            step=state.step,
            app=seen.app,
            screen=save(seen.screenshot),
            elements=seen.elements,
            frames=tuple(save(frame) for frame in seen.frames) if context.trace is not None else (),
            screenshot=seen.screenshot if seen.has_screen else None,
            problem=seen.problem,
            turns=turns[state.told :],
            conversation=frame if digest != state.frame else None,
        )
    )
    return ({"told": len(turns)} if turns else {}) | ({"frame": digest} if digest != state.frame else {})


def attempt(state: EpisodeState, context: RunContext) -> Updates:
    """Asks the model for an action, and lets every sensor read the answer.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The proposal, its readings and the costs.
    """
    fitted = fitted_prompt(state, context)
    answer = context.calls.propose(fitted.prompt, state, _schema(context))
    proposal = _parsed(answer, state, context)
    return {
        "phase": "attempt",
        "proposal": proposal,
        "readings": _read(answer, proposal, fitted, state, context),
        "costs": state.costs.plus([answer]),
    }


def sample(state: EpisodeState, context: RunContext) -> Updates:
    """Draws further answers and reads each; the attempt itself is the first candidate.

    Where memory or time does not suffice for all, there are fewer candidates, and an event says so.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The candidates and the costs.
    """
    assert isinstance(state.decision, Sample)
    assert state.proposal is not None
    asked, other = state.decision.n, state
    if state.decision.reminder:
        other = state.model_copy(update={"now": state.now.with_(reminder=state.decision.reminder)})
    fitted = fitted_prompt(other, context)
    attempts = context.calls.sample(fitted.prompt, state, asked, state.decision.temperature, _schema(context))
    batch = max((attempt.batch for attempt in attempts), default=0)
    if len(attempts) < asked or 0 < batch < asked:
        at = state.now.attempt
        context.emit(Sampled(step=state.step, attempt=at, asked=asked, drawn=len(attempts), batch=batch))
    every = (Attempt(text=state.proposal.text), *attempts)
    found = [Candidate(**state.proposal.model_dump(), readings=state.readings)]
    for number, attempt in enumerate(attempts, start=1):
        proposal = _parsed(attempt, state, context)
        readings = _read(attempt, proposal, fitted, other, context, number, every)
        found.append(Candidate(**proposal.model_dump(), readings=readings))
    return {
        "phase": "candidates",
        "now": state.now.with_(candidates=tuple(found)),
        "costs": state.costs.plus(attempts),
    }


def ask(state: EpisodeState, context: RunContext) -> Updates:
    """Waits for the user's answer, which becomes the next attempt's reminder.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The reminder.
    """
    assert isinstance(state.decision, Ask)
    # When the answer comes, LangGraph runs this node again from its start: nothing may have an effect before this line.
    reply = interrupt(state.decision.question, response_schema=Reply)
    question = state.decision.question
    context.emit(Asked(step=state.step, attempt=state.now.attempt, question=question, answer=reply.answer))
    return {"now": state.now.with_(reminder=f"The user answered: {reply.answer}")}


def _schema(context: RunContext) -> dict[str, Any] | None:
    """The schema that the answer is held to."""
    conversation = context.observe().conversation
    if conversation is not None and held_to_tools(conversation, context):
        return calls_schema(conversation.tools)
    return answer_schema(context.calls.model.style, context.observe())


def _read(
    attempt: Attempt,
    proposal: Proposal,
    fitted: Fitted,
    state: EpisodeState,
    context: RunContext,
    candidate: int | None = None,
    candidates: Sequence[Attempt] = (),
) -> tuple[Reading, ...]:
    """Reads an attempt with every sensor and emits the event."""
    readings = context.sensing.read(
        attempt,
        state,
        prompt=fitted.prompt,
        observation=context.observation,
        action=proposal.action,
        candidates=candidates,
    )
    mass = attempt.spans.mass.mean(axis=(0, 1, 2)) if attempt.spans is not None and len(attempt.spans.mass) else ()
    context.emit(
        Sense(
            step=state.step,
            attempt=state.now.attempt,
            instruction=state.instruction,
            reminder=state.now.reminder,
            text=proposal.text,
            action=proposal.action,
            unparsable=proposal.unparsable,
            readings=readings,
            mass=dict(zip(attempt.spans.labels if attempt.spans else (), map(float, mass), strict=False)),
            tokens=attempt.tokens,
            logprobs=attempt.logprobs,
            prompt_tokens=attempt.prompt_tokens,
            cached_tokens=attempt.cached_tokens,
            generated_tokens=attempt.generated_tokens,
            seconds=attempt.seconds,
            finish=attempt.finish,
            candidate=candidate,
            dropped=fitted.dropped,
            attention=_kept_attention(attempt, state, context, candidate),
        )
    )
    return readings


def _kept_attention(attempt: Attempt, state: EpisodeState, context: RunContext, candidate: int | None) -> str:
    """The name of the file with the attention on every token of the prompt; "" where it is not kept."""
    if not context.record_attention or context.trace is None:
        return ""
    record = AttentionRecord.of(attempt)
    if record is None:
        return ""
    number = "" if candidate is None else f"-{candidate}"
    return context.trace.attention(f"{state.step}-{state.now.attempt}{number}", record)


def _parsed(attempt: Attempt, state: EpisodeState, context: RunContext) -> Proposal:
    seen, style, text = context.observe(), context.calls.model.style, attempt.text
    try:
        if seen.conversation is not None:
            return Proposal(text=text, action=_turn(attempt, seen.conversation, context))
        action = read_action(style, text, seen, state.subtask.answers)
    except UnparsableAction as error:
        return Proposal(text=text, unparsable=str(error))
    return Proposal(text=text, action=action)


def _turn(attempt: Attempt, conversation: Conversation, context: RunContext) -> Action:
    """The action of an assistant's turn: as the model itself reads it, where it can, else by the known forms."""
    model, tools = context.calls.model, conversation.tools
    thinks = model.style.conversation.thinks
    if held_to_tools(conversation, context):
        if attempt.finish == "length":
            raise UnparsableAction(
                f"the call or answer was cut off after {len(attempt.tokens)} tokens; write a shorter one"
            )
        return read_turn(attempt.text, tools, thinks=thinks)
    message = model.parse_answer(attempt, tools) if isinstance(model, ParsingAnswers) else None
    if message is not None:
        return read_message(message, attempt.text, tools, thinks=thinks)
    return read_turn(attempt.text, tools, thinks=thinks)
