"""Finds the characters that a chat template took from fields outside the parts: ``tool_calls``, ``name``, the tools.

These fields have no known place in the rendered text. The chat is therefore rendered once more with other characters in
them, each of the same kind as before. Whatever differs comes from the fields.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from typing import Any

from homeostat.errors import ModelError

__all__ = ["Change", "changed", "field_characters"]

Change = Callable[[str | int, bool], str | int]
"""Changes a value of a field; the second argument tells whether it is a key."""

_CALL_WORDS = {"type", "function", "name", "arguments", "id", "content", "text", "role"}
_SCHEMA_WORDS = {"parameters", "description", "properties", "required", "enum", "items", "default", "title", "format"}
_SCHEMA_WORDS |= {"examples", "additionalProperties", "strict", "return", "anyOf", "oneOf", "allOf", "nullable"}
_SCHEMA_WORDS |= {"minimum", "maximum", "pattern", "$ref", "$defs", "definitions"}
_WORDS = frozenset(_CALL_WORDS | _SCHEMA_WORDS)
"""Keys by which templates read calls and JSON schemas; they are no foreign text."""
_TYPES = frozenset({"function", "string", "number", "integer", "boolean", "object", "array", "null"})
"""Values of ``type`` by which templates decide; they are no foreign text either."""


def changed(tree: Any, change: Change, field: str = "") -> Any:
    """Copies nested fields with every foreign text, key and integer changed.

    Args:
        tree: The fields. The outermost keys stay.
        change: The change.
        field: The key that holds the tree; "" for the outermost.

    Returns:
        The copy.
    """
    if isinstance(tree, str):
        return tree if field == "type" and tree in _TYPES else change(tree, False)
    if isinstance(tree, int) and not isinstance(tree, bool):
        return change(tree, False)
    if isinstance(tree, Mapping):
        known = tuple(tree) if not field else _WORDS
        return {
            (k if k in known or not isinstance(k, str) else change(k, True)): changed(v, change, str(k))
            for k, v in tree.items()
        }
    if isinstance(tree, list | tuple):
        return type(tree)([changed(item, change, field) for item in tree])
    return tree


def field_characters(text: str, render: Callable[[Change], str], fields: str) -> list[int]:
    """Finds the characters that a template took from some fields.

    Some templates sort keys or parse a field, so milder changes are tried as well.

    Args:
        text: The rendered chat.
        render: Renders the chat in the same message format with changed fields.
        fields: The names of the fields, for the error.

    Returns:
        The characters, ascending.

    Raises:
        ModelError: The template does not write the fields as they are.
    """
    for swap in (_other, _other_but_keys, _other_word, _other_word_but_keys):
        try:
            other = render(swap)
        except ModelError:
            continue
        if len(other) == len(text):
            found = [k for k, (a, b) in enumerate(zip(text, other, strict=True)) if a != b]
            if all(other[k] == _swapped(text[k]) or text[k].isdigit() for k in found):
                return found
    raise ModelError(f"the chat template rewrites {fields}, so control tokens in it can't be found; leave it out")


def _other(value: str | int, key: bool) -> str | int:
    """Another text of the same length and form: other letters, digits and punctuation, the same white space."""
    if isinstance(value, int):
        return int("".join(str(int(c) % 9 + 1) if c.isdigit() else c for c in str(value)))
    return "".join(map(_swapped, value))


def _other_but_keys(value: str | int, key: bool) -> str | int:
    return value if key else _other(value, key)


def _other_word(value: str | int, key: bool) -> str | int:
    """The same with its punctuation kept."""
    return "".join(_swapped(c) if c.isalnum() else c for c in value) if isinstance(value, str) else _other(value, key)


def _other_word_but_keys(value: str | int, key: bool) -> str | int:
    return value if key else _other_word(value, key)


_GROUPS = (string.ascii_lowercase, string.ascii_uppercase, string.digits, "!#$%&()*+,-./:;<=>?@[]^_`{|}~")
_NEXT = {c: group[(k + 1) % len(group)] for group in _GROUPS for k, c in enumerate(group)}


def _swapped(c: str) -> str:
    """The next character of the same kind; quotes, backslashes and control characters change their length in JSON."""
    return _NEXT.get(c, c) if c.isascii() or c.isspace() else chr(ord(c) ^ 1)
