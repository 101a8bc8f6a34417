"""Builds the prompt of a chat whose messages are given, in OpenAI's format, and stay as they are.

The labels of spans are those of every conversation: ``system``, ``goal`` (the user's first message), ``user`` (the
later ones), ``history`` (the assistant's), ``tool.NAME`` and ``tools``. In a group of agents, such as AutoGen's, a
later user message whose ``name`` is not that of the first one is another agent's: ``agent.NAME``. A message or a part
may bear a ``label`` of its own. Where one is labelled ``goal``, the user's first message is ``user`` like the others.
All of it is foreign text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from homeostat.agent.prompts.conversation_style import ConversationStyle
from homeostat.conversation import Conversation
from homeostat.errors import ConfigError
from homeostat.sensors.chat.messages import Message, Part, Prompt
from homeostat.sensors.chat.wording import Wording, fill, join

__all__ = ["chat_prompt", "labelled_parts", "with_labels"]

_LABELS = {"system": "system", "developer": "system", "user": "user", "assistant": "history"}
_SPEAKER = re.compile(r"[A-Za-z]\w{0,63}")
_TEXTS = ("text", "input_text", "output_text", "refusal")


def with_labels(chat: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """Gives every text of a chat the label of its span, and every call an id that any chat template takes.

    Args:
        chat: Messages in OpenAI's format. Fields that no prompt holds are left out.

    Returns:
        The messages. Tool messages bear the name of their tool.

    Raises:
        ConfigError: A message is none.
    """
    chosen = any("goal" in _own_labels(message) for message in chat if isinstance(message, Mapping))
    found: list[dict[str, Any]] = []
    names: dict[str, tuple[str, str]] = {}
    user = next((m.get("name") for m in chat if isinstance(m, Mapping) and m.get("role") == "user"), None)
    for number, message in enumerate(chat):
        if not isinstance(message, Mapping):
            raise ConfigError(f"message {number} is {str(message)[:60]!r}; pass {{'role': …, 'content': …}}")
        role, content = str(message.get("role")), message.get("content")
        new: dict[str, Any] = {"role": role, "content": message.get("refusal") if content is None else content}
        label = _LABELS.get(role, "tool")
        if role == "user" and not chosen:
            label, chosen = "goal", True
        elif role == "user" and (name := message.get("name")) != user and _SPEAKER.fullmatch(str(name or "")):
            label = f"agent.{name}"
        if role == "assistant" and (calls := message.get("tool_calls")):
            if not isinstance(calls, list):
                raise ConfigError(f"message {number} has tool_calls={str(calls)[:60]!r}; pass a list")
            new["tool_calls"] = [_call(call, names, number) for call in calls]
            new["content"] = new["content"] or None
        if role in ("tool", "function"):
            given = str(message.get("tool_call_id", ""))
            known = names.get(given, (f"call{len(names):05d}", str(message.get("name") or "")))
            new |= {"tool_call_id": known[0], "name": known[1]}
            label = f"tool.{known[1]}" if known[1] else "tool"
        found.append(_labelled(new, message.get("label"), label))
    return tuple(found)


def labelled_parts(chat: Sequence[Mapping[str, Any]], label: str) -> list[str]:
    """Collects the texts of one label.

    Args:
        chat: What :func:`with_labels` returned.
        label: The label.

    Returns:
        The texts, in order.
    """
    prompt = Prompt.from_chat(chat)
    return [part.text for message in prompt.messages for part in message.parts if part.label == label and part.text]


def chat_prompt(
    style: ConversationStyle, conversation: Conversation, *, reminder: str = "", native: bool = False
) -> Prompt:
    """Builds the prompt for the assistant's next turn.

    Args:
        style: The wording of tools, calls, results and reminders.
        conversation: The conversation; its ``chat`` is what :func:`with_labels` returned.
        reminder: The reminder at the end of the last message; "" for none.
        native: Whether the model's chat template words tools, calls and results. Otherwise the style does.

    Returns:
        The prompt.

    Raises:
        ConfigError: A message is invalid.
    """
    tools = tuple(tool.as_openai() for tool in conversation.tools)
    prompt = Prompt.from_chat(conversation.chat, tools=tools if native else ())
    messages = list(prompt.messages) if native else list(_worded(prompt.messages, style))
    if tools and not native:
        lines = join("\n", (json.dumps(tool, ensure_ascii=False) for tool in tools))
        told = fill(style.tools, tools=lines).part("tools")
        if messages and messages[0].role == "system":
            messages[0] = Message("system", (*messages[0].parts, told))
        else:
            messages.insert(0, Message("system", (Wording.own(style.system).part("system"), told)))
    if reminder and messages:
        messages = _reminded(messages, fill(style.reminder, reminder=reminder).part("reminder"), style)
    return Prompt(tuple(messages), prompt.tools)


def _own_labels(message: Mapping[str, Any]) -> set[Any]:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return {
        one for part in (message, *parts) if isinstance(part, Mapping) and isinstance(one := part.get("label"), str)
    }


def _call(call: Any, names: dict[str, tuple[str, str]], number: int) -> dict[str, Any]:
    """A tool call with an id of nine characters, as Mistral's template demands."""
    function = call.get("function") if isinstance(call, Mapping) else None
    if not isinstance(function, Mapping) or not isinstance(function.get("name"), str):
        raise ConfigError(f"message {number} has a tool call without a function name: {str(call)[:60]!r}")
    new = f"call{len(names):05d}"
    names[str(call.get("id", new))] = (new, function["name"])
    arguments = function.get("arguments", "{}")
    if isinstance(arguments, str):
        with suppress(ValueError, RecursionError):  # what a model wrote stays as it is
            arguments = json.loads(arguments or "{}")
    return {"type": "function", "id": new, "function": {"name": function["name"], "arguments": arguments}}


def _labelled(message: dict[str, Any], own: Any, label: str) -> dict[str, Any]:
    """A message whose texts bear their label; images without one keep the label of images."""
    if own is not None and not isinstance(own, str):
        raise ConfigError(f"label {str(own)[:40]!r} is no text; name the span")
    content = message["content"]
    if own or not isinstance(content, list):
        return {**message, "label": own or label}
    parts = []
    for part in content:
        if isinstance(part, Mapping):
            mine = part.get("label")
            if mine is not None and not isinstance(mine, str):
                raise ConfigError(f"label {str(mine)[:40]!r} is no text; name the span")
            part = {**part, "label": mine or label} if part.get("type") in _TEXTS else dict(part)
        parts.append(part)
    return {**message, "content": parts}


def _worded(messages: Sequence[Message], style: ConversationStyle) -> Iterator[Message]:
    """The messages with calls and results in the style's words; results are the user's, as roles have to alternate."""
    found: list[Message] = []
    result_before = False
    for message in messages:
        new, is_result = Message(message.role, message.parts), message.role == "tool"
        if is_result:
            text = join("", (Wording(part.text, part.trusted) for part in message.parts))
            label = message.parts[0].label if message.parts else "tool"
            new = Message("user", (fill(style.result, result=text).part(label),))
        elif calls := message.extra.get("tool_calls"):
            pieces: list[str | Wording] = []
            for call in calls:
                spelled = json.dumps(call["function"], ensure_ascii=False)
                pieces.append(fill(style.call, call=spelled))
            label = message.parts[-1].label if message.parts else "history"
            between = (Part("template", "\n", trusted=((0, 1),)),) if message.parts else ()
            new = Message("assistant", (*message.parts, *between, join("\n", pieces).part(label)))
        if found and found[-1].role == new.role == "user" and (is_result or result_before):
            between = (Part("template", "\n", trusted=((0, 1),)),)
            found[-1] = Message("user", (*found[-1].parts, *between, *new.parts))
        else:
            found.append(new)
        result_before = is_result
    return iter(found)


def _reminded(messages: list[Message], told: Part, style: ConversationStyle) -> list[Message]:
    last = messages[-1]
    if last.role == "assistant" or (last.role == "tool" and style.reminder_after_tool):
        return [*messages, Message("user", (told,))]
    return [*messages[:-1], Message(last.role, (*last.parts, told), last.extra)]
