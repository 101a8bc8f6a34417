"""The JSON schema of a turn that calls one of the tools, for constrained decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.conversation import ToolSpec

__all__ = ["answer_tool", "calls_schema"]

_NAMES = ("answer", "answer_in_words", "tell_the_user")


def answer_tool(tools: Sequence[ToolSpec]) -> ToolSpec:
    """Returns the tool by which a turn that is held to the schema answers in words.

    Args:
        tools: The tools that may be called.

    Returns:
        A tool whose name none of these has, with the only argument ``text``.
    """
    taken = {tool.name for tool in tools}
    name = next((one for one in (*_NAMES, *(f"answer_{n}" for n in range(len(taken)))) if one not in taken), _NAMES[0])
    said = {"type": "string", "description": "What the user is told."}
    shape = {"type": "object", "properties": {"text": said}, "required": ["text"], "additionalProperties": False}
    return ToolSpec(name=name, description="Answers the user in words.", parameters=shape, changes=False)


def calls_schema(tools: Sequence[ToolSpec], *, answers: bool = True) -> dict[str, Any]:
    """Builds the schema of one call as JSON.

    Args:
        tools: The tools that may be called.
        answers: Whether the model may answer instead, as a call of :func:`answer_tool`.

    Returns:
        A schema whose values are objects with the keys ``name`` and ``arguments``.
    """
    defined: dict[str, Any] = {}
    variants = [_call(tool, defined) for tool in (*tools, *((answer_tool(tools),) if answers else ()))]
    schema = {"anyOf": variants} if len(variants) > 1 else variants[0]
    return schema | ({"$defs": defined} if defined else {})


def _call(tool: ToolSpec, defined: dict[str, Any]) -> dict[str, Any]:
    arguments = tool.parameters
    if _refers(arguments):  # its references count from its own root, so it stays whole, under a name
        key = f"arguments_{len(defined)}"
        defined[key] = _moved(arguments, f"#/$defs/{key}")
        arguments = {"$ref": f"#/$defs/{key}"}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def _refers(schema: Any) -> bool:
    if isinstance(schema, dict):
        return "$ref" in schema or any(map(_refers, schema.values()))
    return isinstance(schema, list) and any(map(_refers, schema))


def _moved(schema: Any, root: str) -> Any:
    """A schema whose references begin at another place. What names the schema itself is left out."""
    if isinstance(schema, list):
        return [_moved(item, root) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: root + value[1:] if key == "$ref" and isinstance(value, str) else _moved(value, root)
        for key, value in schema.items()
        if key not in ("$id", "$schema") or not isinstance(value, str)
    }
