"""Finds JSON in a model's text, where it is often wrapped in prose or a code fence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

__all__ = ["json_values"]

_TRIES = 200


def json_values(text: str) -> Iterator[Any]:
    """Finds every JSON object or list that begins somewhere in a text.

    A text of many braces could cost a try for every character, so only the first 200 beginnings are tried.

    Args:
        text: The model's text.

    Yields:
        The values, in order.
    """
    decoder = json.JSONDecoder()
    for match in islice(re.finditer(r"[{\[]", text), _TRIES):
        try:
            yield decoder.raw_decode(text, match.start())[0]
        except (json.JSONDecodeError, RecursionError):
            continue
