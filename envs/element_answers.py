"""Finds the action in what a text model wrote, whatever form the model chose.

It reads JSON objects (``{"action": "click", "index": 3}``, ``{"click": 3}``, ``{"action": "click 3"}``, AndroidWorld's
names, a ``mobile_use`` call) and a single line such as ``Action: click [3]``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from homeostat.envs.touch_actions import NAMES as TOUCH_NAMES, known_name
from homeostat.errors import UnparsableAction
from homeostat.foreign_text import clipped, quoted
from homeostat.json_values import json_values

__all__ = ["answered", "element_number"]

_NAMES = {
    **dict.fromkeys(("select", "click_element", "press_element"), "click"),
    **dict.fromkeys(("enter_text", "set_text"), "type"),
    **dict.fromkeys(("start", "run"), "open"),
    **dict.fromkeys(("scroll_up", "scroll_down", "scroll_left", "scroll_right"), "scroll"),
    **dict.fromkeys(("notifications", "open_notifications", "show_notifications"), "notifications"),
    **dict.fromkeys(("reply", "say"), "answer"),
    **dict.fromkeys(("stop", "end"), "terminate"),
}
"""Names of actions besides those of :func:`~homeostat.envs.touch_actions.known_name`."""
_BARE = {
    "click": "index",
    "long_press": "index",
    "type": "text",
    "open": "text",
    "answer": "text",
    "scroll": "direction",
    "swipe": "direction",
    "terminate": "status",
    "system_button": "button",
    "wait": "time",
}
"""What an argument without a name is, for every action."""
_INDEX = ("index", "element", "element_index", "element_id", "id", "number", "target", "target_index")
_NUMBER = re.compile(r"\W*(?:element |index )?#?\[?(\d{1,6})\b(?!\.\d)", re.ASCII | re.IGNORECASE)
_LINE = re.compile(r"(?:action\s*:\s*)?([a-z_]+)\s*(?:\(|\[|:|\s|$)\s*(.*?)\s*[\])]?\s*[.;]?", re.IGNORECASE)
_LONGEST_LINE = 200


def answered(text: str) -> tuple[str, dict[str, Any]]:
    """Finds the first action in a model's text.

    Args:
        text: The model's output.

    Returns:
        The action's name: one of :data:`~homeostat.envs.touch_actions.NAMES`, or ``notifications``. And its arguments
        as the model wrote them; those that were written without a name have the name that the action gives them, an
        element is always called ``index``, and ``called`` is the action as the model called it.

    Raises:
        UnparsableAction: There is no action.
    """
    unknown = None
    for name, arguments in _candidates(text):
        if (known := _known(name, arguments)) is not None:
            return known, _named(known, name, arguments)
        unknown = unknown or name
    if unknown:
        known_ones = ", ".join((*TOUCH_NAMES, "notifications"))
        raise UnparsableAction(f"unknown action {quoted(unknown)}; known: {known_ones}")
    said = clipped(repr(text[:120]), 200)
    raise UnparsableAction(f'no action in {said}; write one JSON object such as {{"action": "click", "index": 3}}')


def element_number(value: Any) -> int | None:
    """Reads an element's number.

    Args:
        value: What the model wrote.

    Returns:
        The number of ``3``, ``3.0``, ``"3"``, ``"[3]"``, ``"#3"``, ``"3 button"`` or ``[3]``; None for anything else.
    """
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, list) and len(value) == 1:
        return element_number(value[0])
    match = _NUMBER.match(value) if isinstance(value, str) else None
    return int(match[1]) if match else None


def _candidates(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What may be an action: JSON objects first, then the text as one line."""
    for data in json_values(text, r"\{"):
        inner = data.get("arguments", data.get("action_input"))
        arguments = {**data, **inner} if isinstance(inner, dict) else data
        given = next((arguments[key] for key in ("action", "action_type", "type") if key in arguments), None)
        if isinstance(given, dict):  # {"action": {"type": "click", "index": 3}}
            arguments = {**arguments, **given}
            given = next((given[key] for key in ("action", "action_type", "type", "name") if key in given), None)
        if isinstance(given, str) and given.strip():
            yield _split(given, arguments)
        elif len(data) == 1:  # {"click": 3}
            ((key, value),) = data.items()
            if _is_action(key):
                yield _plain(key), value if isinstance(value, dict) else {"": value}
    line = text.strip().strip("`").strip()
    match = _LINE.fullmatch(line) if len(line) <= _LONGEST_LINE and "\n" not in line else None
    if match and _is_action(match[1]):
        yield _plain(match[1]), {"": _unquoted(match[2])} if match[2] else {}


def _split(given: str, arguments: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name, and the argument of a name that holds it as well, such as ``"click 3"``."""
    match = _LINE.fullmatch(given.strip()[:_LONGEST_LINE])
    if match and match[2] and not _is_action(given) and _is_action(match[1]):
        return _plain(match[1]), {"": _unquoted(match[2]), **arguments}
    return _plain(given), arguments


def _is_action(name: str) -> bool:
    return _known(_plain(name), {}) is not None


def _known(name: str, arguments: dict[str, Any]) -> str | None:
    """The action that a model means by a name; None where there is none."""
    if name == "press" and any(key in arguments for key in _INDEX):
        return "click"
    return _NAMES.get(name) or known_name(name)


def _named(known: str, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments with a name for each."""
    named = {key: value for key, value in arguments.items() if key not in ("", *_INDEX)}
    index = next((arguments[key] for key in _INDEX if arguments.get(key) is not None), None)
    if index is not None:
        named["index"] = index
    if "" in arguments and known in _BARE:
        named.setdefault(_BARE[known], arguments[""])
    direction = name.rpartition("_")[2]
    if known == "scroll" and direction in ("up", "down", "left", "right"):
        named.setdefault("direction", direction)
    if known in ("type", "answer", "open"):
        named = {key: str(value) if _is_number(value) else value for key, value in named.items()}
    return named | {"called": name}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _plain(text: str) -> str:
    return re.sub(r"[\s\-]+", "_", text.strip().lower())


def _unquoted(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'" else text
