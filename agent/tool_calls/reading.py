"""Reads an assistant's turn: tool calls in whatever form, a question to the user, or an answer."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from homeostat.actions import Action, Answer, Call, Calls
from homeostat.agent.tool_calls.forms import FORMS, Named, call_of
from homeostat.agent.tool_calls.schema import answer_tool
from homeostat.conversation import ToolSpec
from homeostat.errors import UnparsableAction
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["read_message", "read_turn"]

_THINKING = re.compile(r"^\s*(?:<think>)?(?:(?!<think>).)*?</think>", re.DOTALL)
_LONGEST = 300


def read_turn(text: str, tools: Sequence[ToolSpec], *, thinks: bool = True) -> Action:
    """Reads what the assistant wrote.

    Args:
        text: The assistant's text.
        tools: The tools that may be called. JSON without a marker counts as a call only if it names one of these or has
            the keys of a call and no others, so that an answer in JSON stays an answer.
        thinks: Whether a part that ends with ``</think>`` is left out of the text first.

    Returns:
        A call, several calls, or an answer with the whole text.

    Raises:
        UnparsableAction: The text marks a tool call that can't be read, or it is empty.
    """
    said = _THINKING.sub("", text, count=1) if thinks else text
    known = {tool.name for tool in tools}
    for form in FORMS if known else ():
        if found := form(said, {*known, answer_tool(tools).name}):
            return _action(found, tools)
    if not said.strip():
        raise UnparsableAction("the answer is empty; call a tool, or answer in words")
    return Answer(text=said.strip())


def read_message(message: Mapping[str, Any], text: str, tools: Sequence[ToolSpec], *, thinks: bool = True) -> Action:
    """Reads a turn that a tokenizer has parsed by its own template.

    Args:
        message: The message in OpenAI's format: ``content`` and ``tool_calls``.
        text: The assistant's whole text, which is read where the message holds no calls and no content.
        tools: The tools that may be called.
        thinks: Whether a part that ends with ``</think>`` is left out of the text first.

    Returns:
        A call, several calls, or an answer.

    Raises:
        UnparsableAction: A call can't be read, or there is no text.
    """
    calls = message.get("tool_calls") or ()
    found = [call_of(call) for call in calls] if isinstance(calls, list | tuple) else [None]
    if any(call is None for call in found):
        raise UnparsableAction(f"the tool calls {quoted(calls)} hold no call; write a name and arguments as JSON")
    if found:
        return _action([call for call in found if call is not None], tools)
    content = message.get("content")
    return read_turn(content if isinstance(content, str) and content.strip() else text, tools, thinks=thinks)


def _action(found: Sequence[Named], tools: Sequence[ToolSpec]) -> Action:
    name, arguments = found[0]
    said = arguments.get("text")
    if name == answer_tool(tools).name and isinstance(said, str):
        return Answer(text=said.strip())  # as a turn under the schema of calls_schema is written
    try:
        calls = tuple(Call(tool=_known(name, tools), arguments=arguments) for name, arguments in found)
    except ValidationError as error:
        first = error.errors()[0]
        reason = clipped(visible(first["msg"]), _LONGEST)
        raise UnparsableAction(f"the call of {quoted(found[0][0])} has unusable arguments: {reason}") from None
    return calls[0] if len(calls) == 1 else Calls(calls=calls)


def _known(name: str, tools: Sequence[ToolSpec]) -> str:
    """The tool of this name, also if the case or the punctuation differ and no other tool is meant."""

    def plain(text: str) -> str:
        return re.sub(r"[\W_]", "", text).lower()

    names = [tool.name for tool in tools]
    alike = [one for one in names if plain(one) == plain(name)]
    return name if name in names or len(alike) != 1 else alike[0]
