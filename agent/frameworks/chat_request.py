"""Reads the chats and the tools of other frameworks, which are in OpenAI's format."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from homeostat.actions import Call
from homeostat.conversation import Conversation, ToolSpec, Turn
from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped

__all__ = ["Request", "read_messages", "read_tools"]


@dataclass(frozen=True)
class Request:
    """A chat as a conversation of the agent's loop.

    Attributes:
        goal: The user's first message.
        conversation: The system message, the turns after the first, and the tools.
    """

    goal: str
    conversation: Conversation


def read_messages(
    messages: Sequence[Mapping[str, Any]], tools: Sequence[ToolSpec] = (), *, only_text: bool = True
) -> Request:
    """Reads a chat in OpenAI's format.

    Args:
        messages: The messages. System messages at the beginning become the system message; a later one is a turn with
            the label ``system``. A message may have a ``"label"``, which is then the label of its span. Contents are
            texts, or lists of text parts.
        tools: The tools that the model may call.
        only_text: Whether a part that is no text is refused. Otherwise its type, such as ``(image_url)``, stands in its
            place.

    Returns:
        The request.

    Raises:
        ConfigError: The chat has no message of the user, another message stands before it, or a message holds something
            else than text.
    """
    system: list[str] = []
    turns: list[Turn] = []
    called: dict[str, str] = {}
    for n, message in enumerate(messages):
        role, text = str(message.get("role")), _text(n, message.get("content"), only_text)
        label = str(message.get("label") or "")
        if role in ("system", "developer"):
            if turns:
                turns.append(Turn(role="user", text=text, label=label or "system"))
            else:
                system.append(text)
        elif role == "user":
            turns.append(Turn(role="user", text=text, label=label))
        elif role == "assistant":
            calls = tuple(_call(n, call) for call in message.get("tool_calls") or ())
            called |= {call.id: call.tool for call in calls}
            turns.append(Turn(role="assistant", text=text, calls=calls, label=label))
        elif role == "tool":
            identity = str(message.get("tool_call_id") or "")
            name = str(message.get("name") or called.get(identity, ""))
            turns.append(Turn(role="tool", tool=name, call=identity, text=text, label=label))
        else:
            raise ConfigError(f"message {n} has the role {role!r}; use system, user, assistant or tool")
    if not turns or turns[0].role != "user":
        raise ConfigError("the chat does not begin with a message of the user; put one behind the system message")
    if not turns[0].text.strip():
        raise ConfigError("the user's first message is empty; say what to do")
    told = Conversation(system="\n\n".join(system), turns=tuple(turns[1:]), tools=tuple(tools))
    return Request(turns[0].text, told)


def read_tools(tools: Sequence[Mapping[str, Any]]) -> tuple[ToolSpec, ...]:
    """Reads the descriptions of tools in OpenAI's format.

    Args:
        tools: The tools, ``{"type": "function", "function": {"name", "description", "parameters"}}``.

    Returns:
        What the agent knows of each. Every tool counts as one that may change something.

    Raises:
        ConfigError: A tool is no function, or has no name.
    """
    found = []
    for tool in tools:
        function = tool.get("function")
        if not isinstance(function, Mapping) or not function.get("name"):
            raise ConfigError(f"tool {clipped(repr(tool), 80)} is no function with a name; pass OpenAI's format")
        parameters = function.get("parameters") or {"type": "object", "properties": {}}
        about = str(function.get("description") or "")
        found.append(ToolSpec(name=str(function["name"]), description=about, parameters=dict(parameters)))
    return tuple(found)


def _text(n: int, content: Any, only_text: bool) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    texts = []
    for part in content:
        text = part if isinstance(part, str) else part.get("text", part.get("refusal"))
        if not isinstance(text, str):
            kind = part.get("type", "unknown")
            if only_text:
                raise ConfigError(f"message {n} holds a part of type {kind!r}; only texts are supported here")
            text = f"({kind})"
        texts.append(text)
    return "\n".join(texts)


def _call(n: int, call: Mapping[str, Any]) -> Call:
    function = call.get("function") or {}
    arguments = function.get("arguments") or {}
    try:
        read = json.loads(arguments) if isinstance(arguments, str) else arguments
        return Call(tool=str(function.get("name") or ""), arguments=read, id=str(call.get("id") or ""))
    except (ValueError, ValidationError):
        shown = clipped(repr(dict(function)), 80)
        raise ConfigError(f"message {n} holds a tool call that can't be read: {shown}; pass OpenAI's format") from None
