"""Checks a tool's JSON schema, and a call's arguments against it. Schemas may come from strangers (MCP servers)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["check_parameters", "misfit"]

_LONGEST = 300  # characters of a message, whatever the model or the server wrote


def check_parameters(tool: str, parameters: Mapping[str, Any]) -> None:
    """Checks the schema of a tool's arguments.

    Args:
        tool: The tool's name.
        parameters: The schema.

    Raises:
        ConfigError: It is no JSON schema (draft 2020-12) of an object, or it refers to something outside of itself,
            which would have to be fetched.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    if parameters.get("type", "object") != "object":
        raise ConfigError(f"tool {quoted(tool)}: its schema is of type {quoted(parameters['type'])}; make it an object")
    try:
        Draft202012Validator.check_schema(dict(parameters))
    except SchemaError as error:
        why = clipped(visible(error.message), _LONGEST)
        raise ConfigError(f"tool {quoted(tool)}: its schema can't be used: {why}; correct it") from None
    for reference in _references(parameters):
        if not reference.startswith("#"):
            raise ConfigError(
                f"tool {quoted(tool)}: its schema refers to {quoted(reference)}, which is not fetched; write it into "
                "the schema under $defs"
            )


def misfit(parameters: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """Says why arguments don't fit a schema.

    Args:
        parameters: The schema.
        arguments: The arguments.

    Returns:
        What is wrong and where, in words for the model; "" where the arguments fit.
    """
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    checker = Draft202012Validator(dict(parameters), registry=Registry())  # nothing is fetched
    try:
        wrong = best_match(checker.iter_errors(dict(arguments)))
    except Unresolvable as error:
        return f"the tool's own schema is broken: {clipped(visible(str(error)), _LONGEST)}"
    if wrong is None:
        return ""
    where = ".".join(map(str, wrong.absolute_path))
    why = clipped(visible(wrong.message), _LONGEST)
    return f"argument {where!r}: {why}" if where else why


def _references(schema: Any) -> Iterator[str]:
    """Every reference in a schema, found without recursion. Values of ``enum`` and the like are no schema."""
    left = [schema]
    while left:
        item = left.pop()
        if isinstance(item, list):
            left += item
        elif isinstance(item, dict):
            for key, value in item.items():
                if key in ("$ref", "$dynamicRef") and isinstance(value, str):
                    yield value
                elif key not in ("enum", "const", "default", "examples"):
                    left.append(value)
