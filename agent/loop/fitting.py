"""Builds the executor's prompt, and shortens one that does not fit the model's context.

Only a style that says so (``compacts``) is shortened. Of a screen's prompt, the oldest earlier screenshots go first,
then the oldest actions of the history. Of a conversation, the oldest tool results go first, then the oldest turns.
System message, rules, goal, reminder, the present screen, and the last action or turn always stay: a prompt that does
not fit even so stays whole, and the model refuses it. A chat whose messages are given is never shortened.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, field

from homeostat.agent.events import Dropped
from homeostat.agent.loop.context import RunContext
from homeostat.agent.loop.state import EpisodeState
from homeostat.agent.models.protocol import Measuring
from homeostat.agent.prompts import Shortening, act_prompt, chat_prompt, conversation_prompt
from homeostat.agent.tool_calls import answer_tool
from homeostat.conversation import Conversation
from homeostat.sensors.chat.messages import Prompt

__all__ = ["Fitted", "fitted_prompt", "held_to_tools"]


@dataclass(frozen=True)
class Fitted:
    """A prompt that fits the model's context, as far as it can be made to.

    Attributes:
        prompt: The prompt.
        dropped: How many of the oldest screenshots and actions, or results and turns, were left out; empty for a whole
            prompt.
    """

    prompt: Prompt
    dropped: dict[Dropped, int] = field(default_factory=dict)


def fitted_prompt(state: EpisodeState, context: RunContext) -> Fitted:
    """Builds the prompt of the present attempt.

    Args:
        state: The episode's state.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        The prompt, and what was left out of it.
    """
    seen = context.observe()
    if seen.conversation is not None:
        return _fitted_conversation(seen.conversation, state, context)
    style = context.calls.model.style
    earlier = [context.image(name) for name in state.subtask.screens]
    history = state.subtask.history[-style.history_length :]

    def without(count: int) -> Fitted:
        """The prompt without so many of the screenshots and then of the actions, the oldest first."""
        screens = min(count, len(earlier))
        actions = count - screens
        prompt = act_prompt(
            style,
            goal=state.instruction,
            rules=state.task.rules,
            history=history[actions:],
            observation=context.observe(),
            earlier=earlier[screens:],
            reminder=state.now.reminder,
            shown=state.now.shown,
        )
        return _fitted(prompt, {"screens": screens, "history": actions})

    return _longest(without, len(earlier) + max(len(history) - 1, 0) if style.compacts else 0, context)


def held_to_tools(conversation: Conversation, context: RunContext) -> bool:
    """Whether the next turn is held to the tools' schema, so that the model answers in words by a tool, too.

    Args:
        conversation: The conversation.
        context: The parts that the run works with: environment, models, sensors, controllers, trace.

    Returns:
        True if that was asked for, there are tools, and the model can decode under a schema.
    """
    able = "schema" in context.calls.model.capabilities
    return context.limits.constrained and bool(conversation.tools) and able


def _fitted_conversation(conversation: Conversation, state: EpisodeState, context: RunContext) -> Fitted:
    style, native = context.calls.model.style.conversation, "tools" in context.calls.model.capabilities
    if conversation.chat:
        return Fitted(chat_prompt(style, conversation, reminder=state.now.reminder, native=native))
    if held_to_tools(conversation, context):
        conversation = conversation.model_copy(update={"tools": (*conversation.tools, answer_tool(conversation.tools))})
    last = max((n for n, turn in enumerate(conversation.turns) if turn.role != "tool"), default=0)
    old = sum(turn.role == "tool" for turn in conversation.turns[:last])

    def without(count: int) -> Fitted:
        """The prompt without so many of the older tool results and then of the older turns, the oldest first."""
        left_out = Shortening(min(count, old), max(count - old, 0))
        prompt = conversation_prompt(
            style,
            goal=state.instruction,
            rules=state.task.rules,
            conversation=conversation,
            reminder=state.now.reminder,
            shortening=left_out,
            native=native,
        )
        return _fitted(prompt, {"results": left_out.results, "turns": left_out.turns})

    return _longest(without, old + last if style.compacts else 0, context)


def _fitted(prompt: Prompt, dropped: dict[Dropped, int]) -> Fitted:
    return Fitted(prompt, {name: number for name, number in dropped.items() if number})


def _longest(without: Callable[[int], Fitted], most: int, context: RunContext) -> Fitted:
    """The prompt that leaves out as few of ``most`` pieces as the model's context demands."""
    model, answer = context.calls.model, context.limits.max_new_tokens
    whole = without(0)
    if not most or not isinstance(model, Measuring) or not model.excess(whole.prompt, answer):
        return whole
    if model.excess(without(most).prompt, answer):
        return whole
    return without(
        bisect_left(range(most), True, lo=1, key=lambda count: not model.excess(without(count).prompt, answer))
    )
