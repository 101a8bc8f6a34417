"""Whether a model's chat template has a place for tools, for calls and for their results."""

from __future__ import annotations

from homeostat.errors import ModelError
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendering import Renderer

__all__ = ["renders_tools"]

_TOOL = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {"type": "object", "properties": {"at": {"type": "string"}}},
    },
}
_CHAT = (
    {"role": "system", "content": "You help."},
    {"role": "user", "content": "Look there."},
    {
        "role": "assistant",
        "tool_calls": [
            {"type": "function", "id": "call00001", "function": {"name": "look", "arguments": {"at": "it"}}}
        ],
    },
    {"role": "tool", "name": "look", "tool_call_id": "call00001", "content": "It is there."},
)


def renders_tools(renderer: Renderer, *, reminded: bool = False) -> bool:
    """Tells whether the template words tools, calls and results, by rendering a short chat.

    Args:
        renderer: The model's renderer.
        reminded: Whether a user's turn follows the result.

    Returns:
        True if the chat can be rendered and the call stands in the text.
    """
    chat = (*_CHAT, {"role": "user", "content": "Remember it."}) if reminded else _CHAT
    try:
        rendered = renderer.render(Prompt.from_chat(chat, tools=(_TOOL,)))
    except ModelError:
        return False
    return "tools" in rendered.spans and rendered.text.count("look") >= 2
