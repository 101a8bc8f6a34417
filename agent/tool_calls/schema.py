"""The JSON schema of a turn that calls one of the tools, for constrained decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.conversation import ToolSpec

__all__ = ["ANSWER", "calls_schema"]

ANSWER = "answer"
"""The name under which a turn that is held to the schema answers in words."""


def calls_schema(tools: Sequence[ToolSpec], *, answers: bool = True) -> dict[str, Any]:
    """Builds the schema of one call as JSON.

    Args:
        tools: The tools that may be called.
        answers: Whether the model may answer instead, as ``{"name": "answer", "arguments": {"text": …}}``.

    Returns:
        A schema whose values are objects with the keys ``name`` and ``arguments``.
    """
    variants = [_call(tool.name, tool.parameters) for tool in tools]
    if answers:
        text = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
        variants.append(_call(ANSWER, text | {"additionalProperties": False}))
    return {"anyOf": variants} if len(variants) > 1 else variants[0]


def _call(name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"name": {"const": name}, "arguments": parameters},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
