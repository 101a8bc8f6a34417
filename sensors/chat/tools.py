"""Tools of a chat: their JSON schemas, and the arguments of their calls in the form that a chat template expects."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from homeostat.errors import ConfigError

__all__ = ["Tool", "arguments_as_objects", "arguments_as_texts", "call_arguments", "tool_schemas"]

Tool: TypeAlias = Mapping[str, Any] | Callable[..., Any]
"""A tool: its JSON schema, or a function with type hints and a docstring."""


def tool_schemas(tools: Sequence[Tool]) -> tuple[Mapping[str, Any], ...]:
    """Converts tools to JSON schemas.

    Args:
        tools: Schemas, which stay as they are, and functions.

    Returns:
        The schemas.

    Raises:
        ConfigError: A tool has no name, is no JSON, or a function lacks type hints or a docstring.
    """
    if isinstance(tools, str | Mapping) or not isinstance(tools, Sequence):
        raise ConfigError(f"tools={str(tools)[:60]!r} is no list; pass a list of JSON schemas or functions")
    return tuple(_schema(n, tool) for n, tool in enumerate(tools))


def call_arguments(extra: Mapping[str, Any]) -> list[Any]:
    """Lists the arguments of a message's tool calls.

    Args:
        extra: The message's further fields.

    Returns:
        The arguments of each call that has some: a mapping, or a JSON text.
    """
    return [body["arguments"] for body in map(_body, _calls(extra)) if "arguments" in body]


def arguments_as_objects(extra: Mapping[str, Any], instead: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """Converts the arguments of tool calls for templates that write them as JSON themselves.

    Args:
        extra: A message's further fields.
        instead: Put in place of every object; None keeps the objects.

    Returns:
        The fields; every JSON object that was a text (as in OpenAI's API) is a mapping.
    """

    def convert(arguments: Any) -> Any:
        read = _object(arguments)
        return instead if instead is not None and isinstance(read, Mapping) else read

    return _with_arguments(extra, convert)


def arguments_as_texts(extra: Mapping[str, Any]) -> Mapping[str, Any]:
    """Converts the arguments of tool calls for templates that only copy them.

    Args:
        extra: A message's further fields.

    Returns:
        The fields; every mapping is a JSON text, and texts stay as they are.
    """
    return _with_arguments(extra, _text)


def _schema(n: int, tool: Tool) -> Mapping[str, Any]:
    if not isinstance(tool, Mapping):
        from transformers.utils.chat_template_utils import (
            DocstringParsingException,
            TypeHintParsingException,
            get_json_schema,
        )

        name = getattr(tool, "__name__", repr(tool)[:60])
        try:
            schema: Mapping[str, Any] = get_json_schema(tool)
        except (DocstringParsingException, TypeHintParsingException, TypeError, ValueError, AttributeError) as error:
            reason = str(error).partition("\n")[0][:120]
            raise ConfigError(f"tool {n} ({name}) has no JSON schema ({reason}); pass the schema itself") from None
        return schema
    inner = tool.get("function", tool)
    if not (isinstance(inner, Mapping) and isinstance(inner.get("name"), str)):
        raise ConfigError(f"tool {n} has no name: {str(tool)[:60]!r}; pass {{'type': 'function', 'function': …}}")
    try:
        json.dumps(tool)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"tool {n} ({inner['name']!r}) is no JSON ({error}); pass texts, numbers and lists") from None
    return tool


def _calls(extra: Mapping[str, Any]) -> list[Any]:
    calls = extra.get("tool_calls")
    return list(calls) if isinstance(calls, list | tuple) else []


def _body(call: Any) -> Mapping[str, Any]:
    """Where a call has its name and its arguments: in ``function``, or in itself."""
    body = call.get("function", call) if isinstance(call, Mapping) else {}
    return body if isinstance(body, Mapping) else {}


def _with_arguments(extra: Mapping[str, Any], change: Callable[[Any], Any]) -> Mapping[str, Any]:
    if not call_arguments(extra):
        return extra
    calls = []
    for call in _calls(extra):
        body = _body(call)
        if "arguments" in body:
            new = {**body, "arguments": change(body["arguments"])}
            calls.append({**call, "function": new} if "function" in call else new)
        else:
            calls.append(call)
    return {**extra, "tool_calls": calls}


def _object(arguments: Any) -> Any:
    if not isinstance(arguments, str):
        return arguments
    try:
        read = json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments
    return read if isinstance(read, dict) else arguments


def _text(arguments: Any) -> Any:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)
