"""JSON in a model's text: it comes wrapped in prose or a code fence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

__all__ = ["json_values"]

_TRIES = 200


def json_values(text: str) -> Iterator[Any]:
    """Every JSON object or list that begins somewhere in the text, in order.

    Garbage may begin one at every character, and each try costs its depth: so only the first many are tried.
    """
    decoder = json.JSONDecoder()
    for match in islice(re.finditer(r"[{\[]", text), _TRIES):
        try:
            yield decoder.raw_decode(text, match.start())[0]
        except (json.JSONDecodeError, RecursionError):
            continue
