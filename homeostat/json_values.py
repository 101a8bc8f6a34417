"""Reads JSON that a model or a stranger wrote: it may be wrapped in prose, very long, very deep, or no JSON at all."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

__all__ = ["decode_json", "json_values"]

_TRIES = 200
_CHARACTERS = 1_000_000  # of a text, and of all tries together: a try may scan the rest of the text
_DEPTH = 100
_DEEP = 3  # values that are too deep even for the decoder, which takes some 10 ms to find out, in one text
_DECODER = json.JSONDecoder()


def decode_json(text: str, start: int = 0) -> tuple[Any, int]:
    """Decodes the JSON value that begins at a position.

    Args:
        text: The text.
        start: The position of the value's first character.

    Returns:
        The value, and the position behind it.

    Raises:
        ValueError: There is no JSON value, a number has more digits than Python converts (4,300), the value is nested
            deeper than 100 levels, or a text holds half of a surrogate pair, which no UTF-8 file can store.
    """
    try:
        value, end = _DECODER.raw_decode(text, start)
    except RecursionError:
        raise _TooDeep(f"nested deeper than {_DEPTH} levels") from None
    if not _is_shallow(value):
        raise ValueError(f"nested deeper than {_DEPTH} levels")
    if "\\u" in text[start:end] or not _is_unicode(text[start:end]):
        written = json.dumps(value, ensure_ascii=False)
        if not _is_unicode(written):
            raise ValueError("half of a surrogate pair")
    return value, end


def json_values(text: str, opening: str = r"[{\[]") -> Iterator[Any]:
    """Finds every JSON object or list that begins somewhere in a text.

    A text of many braces could cost a try for every character, so only the first 200 beginnings are tried, fewer in a
    long text, and nothing behind the first million characters or behind three values of thousands of levels.

    Args:
        text: The model's text.
        opening: A regular expression for the characters at which a value may begin: of an object, a list, or both.

    Yields:
        The values, in order.
    """
    text, left, deep = text[:_CHARACTERS], _CHARACTERS, 0
    for match in islice(re.finditer(opening, text), _TRIES):
        left -= len(text) - match.start()
        try:
            value, _ = decode_json(text, match.start())
        except ValueError as error:
            value = None  # no value begins here; a list or an object is never None
            deep += isinstance(error, _TooDeep)
        if value is not None:
            yield value
        if left <= 0 or deep >= _DEEP:
            return


class _TooDeep(ValueError):
    """A value that is too deep for the decoder itself."""


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_shallow(value: Any) -> bool:
    """Whether a value is nested at most 100 levels deep, found without recursion."""
    level = [value]
    for _ in range(_DEPTH):
        level = [
            inner
            for item in level
            if isinstance(item, (dict, list))
            for inner in (item.values() if isinstance(item, dict) else item)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return True
    return False
