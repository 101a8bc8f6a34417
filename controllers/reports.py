"""The reporter's format: the JSON schema of its answer, and the parser.

The reporter answers ``{"facts": {"price": "$12"}, "check": true}``. It leaves out what it can't see, or writes null.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from homeostat.controllers.context import Reported
from homeostat.foreign_text import clipped
from homeostat.json_values import json_values

__all__ = ["parse_report", "report_schema"]

_LONGEST = 120


def report_schema(facts: Sequence[str], *, check: bool) -> dict[str, Any]:
    """Builds the JSON schema of a report, for constrained decoding.

    Args:
        facts: The names of the values to read.
        check: Whether the report says if the check holds.

    Returns:
        The schema.
    """
    value = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": _LONGEST}, {"type": "null"}]}
    properties: dict[str, Any] = {}
    if facts:
        named = dict.fromkeys(facts, value)
        properties["facts"] = _object(named)
    if check:
        properties["check"] = {"type": "boolean"}
    return _object(properties)


def parse_report(text: str, facts: Sequence[str]) -> Reported:
    """Parses a reporter's answer.

    Args:
        text: The answer.
        facts: The names of the values that were asked for; others are ignored.

    Returns:
        The report. If the text contains none, the report's ``error`` says so and its other fields are empty.
    """
    for value in json_values(text):
        if not isinstance(value, dict) or not ("facts" in value or "check" in value):
            continue
        given = value.get("facts")
        found = given if isinstance(given, dict) else {}
        kept = {k: str(found[k]).strip() for k in facts if _is_value(found.get(k))}
        check = value.get("check")
        return Reported(facts={k: v for k, v in kept.items() if v}, check=check if isinstance(check, bool) else None)
    short = clipped(repr(text if len(text) <= 120 else text[:120] + "…"), 200)
    return Reported(error=f'no report in {short}; write {{"facts": {{"name": "value"}}, "check": true}}')


def _is_value(value: Any) -> bool:
    """Whether a fact's value is a text or a finite number; JSON parsers also read ``NaN`` and ``1e999``."""
    return isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value))


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
