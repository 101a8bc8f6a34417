"""Builds the prompt of a conversation: system message, rules, tools, the user's request, and every turn since.

Span labels: ``system``, ``rules``, ``tools``, ``goal`` (the first request), ``user`` (later turns of the user),
``history`` (the assistant's turns), ``tool.NAME`` (a tool's results) and ``reminder``. Only what the style writes is
trusted; requests, tools' descriptions, results and the assistant's earlier words are foreign text.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from homeostat.agent.prompts.conversation_style import ConversationStyle
from homeostat.conversation import Conversation, Turn
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.chat.wording import Wording, fill, join

__all__ = ["Shortening", "conversation_prompt"]


@dataclass(frozen=True)
class Shortening:
    """What is left out of a conversation that is longer than the model's context, oldest first.

    Attributes:
        results: How many tool results are replaced by a word, of all in the conversation.
        turns: How many turns are left out as a whole. A call goes together with its results.
    """

    results: int = 0
    turns: int = 0


def conversation_prompt(
    style: ConversationStyle,
    *,
    goal: str,
    rules: Sequence[str],
    conversation: Conversation,
    reminder: str = "",
    shortening: Shortening | None = None,
    native: bool = False,
) -> Prompt:
    """Builds the prompt for the assistant's next turn.

    Args:
        style: The wording.
        goal: The user's first request, or the present subtask's instruction.
        rules: The rules of the episode.
        conversation: The turns since, and the tools.
        reminder: The reminder at the end of the last turn; "" for none.
        shortening: What is left out; None for nothing.
        native: Whether the model's chat template words tools, calls and results. Otherwise the style does.

    Returns:
        The prompt.
    """
    system = [Wording.own(style.system).part("system")]
    if conversation.system:
        system = [Part("system", conversation.system)]
    if rules:
        system.append(fill(style.rules, rules=join(style.rule_separator, rules)).part("rules"))
    if conversation.tools and not native:
        lines = join("\n", (json.dumps(tool.as_openai(), ensure_ascii=False) for tool in conversation.tools))
        system.append(fill(style.tools, tools=lines).part("tools"))
    messages = [Message("system", tuple(system)), Message("user", (Part("goal", goal),))]
    turns = _kept(conversation.turns, shortening or Shortening(), style)
    if native:
        for message in _native(turns, style):
            if message.role == "user":
                _append(messages, message)
            else:
                messages.append(message)
    else:
        for turn in turns:
            _append(messages, _message(turn, style))
    if reminder:
        last = messages[-1]
        told = fill(style.reminder, reminder=reminder).part("reminder")
        if last.role == "tool" and style.reminder_after_tool:
            messages.append(Message("user", (told,)))
        else:
            messages[-1] = Message(last.role, (*last.parts, told), last.extra)
    return Prompt(tuple(messages), tools=tuple(tool.as_openai() for tool in conversation.tools) if native else ())


def _native(turns: Sequence[Turn], style: ConversationStyle) -> Iterator[Message]:
    """The turns as a chat template takes them. Every call has an id of nine characters, as Mistral's demands."""
    number = 0
    open_calls: deque[str] = deque()
    for turn in turns:
        said = _said(turn, style).part(turn.span)
        if turn.role == "tool":
            answered = {"name": turn.tool, "tool_call_id": open_calls.popleft() if open_calls else f"call{number:05d}"}
            yield Message("tool", (said,), answered)
        elif turn.calls:
            open_calls.clear()
            calls = []
            for call in turn.calls:
                number += 1
                open_calls.append(f"call{number:05d}")
                named = {"name": call.tool, "arguments": call.arguments}
                calls.append({"type": "function", "id": open_calls[-1], "function": named})
            yield Message("assistant", (said,) if turn.text else (), {"tool_calls": calls})
        else:
            yield Message(turn.role, (said,))


def _said(turn: Turn, style: ConversationStyle) -> Wording:
    return Wording.own(turn.text) if turn.text == style.left_out else Wording(turn.text)


def _message(turn: Turn, style: ConversationStyle) -> Message:
    if turn.role == "user":
        return Message("user", (Part(turn.span, turn.text),))
    if turn.role == "tool":
        return Message("user", (fill(style.result, result=_said(turn, style)).part(turn.span),))
    pieces: list[str | Wording] = [turn.text] if turn.text else []
    for call in turn.calls:
        spelled = json.dumps({"name": call.tool, "arguments": call.arguments}, ensure_ascii=False)
        pieces.append(fill(style.call, call=spelled))
    return Message("assistant", (join("\n", pieces).part(turn.span),))


def _append(messages: list[Message], message: Message) -> None:
    """Adds a message to the last one of the same role, because roles have to alternate in many chat templates.

    These are the results of one turn's calls, and the messages of several other agents in a row.
    """
    last = messages[-1]
    if message.role == last.role:
        messages[-1] = Message(last.role, (*last.parts, Part("template", "\n", trusted=((0, 1),)), *message.parts))
    else:
        messages.append(message)


def _kept(turns: Sequence[Turn], shortening: Shortening, style: ConversationStyle) -> list[Turn]:
    """The turns that stay, with the oldest results replaced."""
    kept = list(turns)
    for n in [n for n, turn in enumerate(kept) if turn.role == "tool"][: shortening.results]:
        kept[n] = kept[n].model_copy(update={"text": style.left_out})
    kept = kept[shortening.turns :]
    while kept and kept[0].role == "tool":  # the call was left out, so its result makes no sense
        kept.pop(0)
    return kept
