"""Qwen's ``mobile_use`` tool call, converted to and from the typed :data:`~homeostat.actions.Action`.

    <tool_call>
    {"name": "mobile_use", "arguments": {"action": "click", "coordinate": [40, 96]}}
    </tool_call>

Models differ in how they write a point: in pixels of the image that they received (Qwen2.5-VL, nano) or in thousandths
(Qwen2-VL, Qwen3-VL, GUI-Owl). A :class:`Grid` states the convention. A point outside the grid is rejected, never
clamped. The parser accepts known variations: a missing ``<tool_call>`` tag, text around the JSON, ``tap`` for
``click``, ``open_app`` for ``open``, ``[[x, y]]``, and numbers as strings.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from homeostat import actions as a
from homeostat.errors import UnparsableAction
from homeostat.foreign_text import clipped, quoted
from homeostat.json_values import json_values

__all__ = ["Grid", "format_action", "parse_action"]

_ALIASES = {"tap": "click", "open_app": "open", "input_text": "type", "press": "system_button", "finish": "terminate"}
_LONGEST = 300  # characters of an error message, whatever the model wrote
_ACTIONS = ("click", "long_press", "swipe", "type", "system_button", "open", "wait", "answer", "terminate")


@dataclass(frozen=True)
class Grid:
    """The range of the integers that a model writes for a point: ``0 ≤ x < width``, ``0 ≤ y < height``.

    Attributes:
        width: The number of columns: the image's width in pixels, or 1000.
        height: The number of rows: the image's height in pixels, or 1000.
    """

    width: int
    height: int

    def spell(self, point: tuple[float, float]) -> list[int]:
        """Converts a normalised point to the grid.

        Args:
            point: ``(x, y)``, each from 0 to 1.

        Returns:
            The pair of integers ``[x, y]``.
        """
        nudge = 1e-6  # without it, rounding errors would turn 8/144·144 into 7
        return [int(point[0] * self.width + nudge), int(point[1] * self.height + nudge)]

    def read(self, pair: Any) -> tuple[float, float]:
        """Converts a pair of numbers to a normalised point.

        Args:
            pair: ``[x, y]`` as a model wrote it; nested lists and numbers as strings are accepted.

        Returns:
            ``(x, y)``, each from 0 (included) to 1 (excluded).

        Raises:
            UnparsableAction: It is not a pair of numbers, or it lies outside the grid.
        """
        while isinstance(pair, list) and len(pair) == 1 and isinstance(pair[0], list):
            pair = pair[0]
        try:
            x, y = (float(v) for v in pair)
        except (TypeError, ValueError, OverflowError):
            raise UnparsableAction(f"coordinate {quoted(pair)} is no pair of numbers; write [x, y]") from None
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise UnparsableAction(
                f"coordinate {quoted(pair)} is off the screen; x must be below {self.width}, y below {self.height}"
            )
        return x / self.width, y / self.height


def _arguments(action: a.Action, grid: Grid) -> dict[str, Any]:
    match action:
        case a.Click(point=p):
            return {"action": "click", "coordinate": grid.spell(p)}
        case a.LongPress(point=p, seconds=s):
            return {"action": "long_press", "coordinate": grid.spell(p)} | ({"time": s} if s != 1.0 else {})
        case a.Swipe(point=p, to=q):
            return {"action": "swipe", "coordinate": grid.spell(p), "coordinate2": grid.spell(q)}
        case a.Type(text=t):
            return {"action": "type", "text": t}
        case a.SystemButton(button=b):
            return {"action": "system_button", "button": b}
        case a.Open(app=name):
            return {"action": "open", "text": name}
        case a.Wait(seconds=s):
            return {"action": "wait", "time": s}
        case a.Answer(text=t):
            return {"action": "answer", "text": t}
        case a.Terminate(status=s):
            return {"action": "terminate", "status": s}
    raise AssertionError(action)


def format_action(action: a.Action, grid: Grid) -> str:
    """Formats an action as a tool call.

    Args:
        action: The action.
        grid: The model's coordinate convention.

    Returns:
        The text, with the ``<tool_call>`` tags.
    """
    call = {"name": "mobile_use", "arguments": _arguments(action, grid)}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


def parse_action(text: str, grid: Grid) -> a.Action:
    """Parses the first tool call in a model's text.

    Args:
        text: The model's output.
        grid: The model's coordinate convention.

    Returns:
        The action.

    Raises:
        UnparsableAction: There is no valid tool call; the message quotes what could not be read.
    """
    args = _find_arguments(text)
    given = args.get("action", "")
    name = (given if isinstance(given, str) else quoted(given)).strip().lower()
    name = _ALIASES.get(name, name)
    try:
        return _build(name, args, grid)
    except KeyError as missing:
        raise UnparsableAction(f"action {name!r} lacks the argument {missing.args[0]!r}") from None
    except ValidationError as error:
        first = error.errors()[0]
        why = f"action {name!r} has {quoted(first['input'])} for {first['loc'][0]!r}: {first['msg']}"
        raise UnparsableAction(clipped(why, _LONGEST)) from None


def _find_arguments(text: str) -> dict[str, Any]:
    tagged = re.search(r"<tool_call>(.*?)(?:</tool_call>|$)", text, re.DOTALL)
    body = tagged.group(1) if tagged else text
    for data in json_values(body, r"\{"):
        args = data.get("arguments", data)
        if isinstance(args, dict) and "action" in args:
            return args
    said = clipped(repr(text[:120]), 200)
    raise UnparsableAction(f"no tool call in {said}; write one <tool_call> with a mobile_use action")


def _build(name: str, args: dict[str, Any], grid: Grid) -> a.Action:
    match name:
        case "click":
            return a.Click(point=grid.read(args["coordinate"]))
        case "long_press":
            return a.LongPress(point=grid.read(args["coordinate"]), seconds=args.get("time", 1.0))
        case "swipe":
            return a.Swipe(point=grid.read(args["coordinate"]), to=grid.read(args["coordinate2"]))
        case "type":
            return a.Type(text=args["text"])
        case "system_button":
            name = args["button"]
            button: Any = name.capitalize() if isinstance(name, str) else name
            return a.SystemButton(button=button)
        case "open":
            return a.Open(app=args["text"])
        case "wait":
            return a.Wait(seconds=args.get("time", 1.0))
        case "answer":
            return a.Answer(text=args["text"])
        case "terminate":
            return a.Terminate(status=args["status"])
    raise UnparsableAction(f"unknown action {quoted(name)}; known: {', '.join(_ACTIONS)}")
