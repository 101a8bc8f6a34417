"""Qwen's ``mobile_use`` tool call, to and from the typed :data:`~homeostat.actions.Action`.

    <tool_call>
    {"name": "mobile_use", "arguments": {"action": "click", "coordinate": [40, 96]}}
    </tool_call>

Models differ in how they spell a point: in pixels of the image they were given (Qwen2.5-VL, nano) or in
thousandths (Qwen2-VL, Qwen3-VL, GUI-Owl). A :class:`Grid` says which; a point outside it is refused,
never clamped. The parser forgives what models are known to vary: a missing ``<tool_call>`` tag, text
around the JSON, ``tap`` for ``click``, ``open_app`` for ``open``, ``[[x, y]]`` and numbers as strings.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pydantic import ValidationError

from homeostat import actions as a
from homeostat.errors import UnparsableAction

__all__ = ["Grid", "format_action", "parse_action"]

_ALIASES = {"tap": "click", "open_app": "open", "input_text": "type", "press": "system_button", "finish": "terminate"}
_BRACES = 200  # how many openings are tried: each failure costs a look through the text
_ACTIONS = ("click", "long_press", "swipe", "type", "system_button", "open", "wait", "answer", "terminate")


@dataclass(frozen=True)
class Grid:
    """The numbers a model writes for a point: ``0 ≤ x < width``, ``0 ≤ y < height``."""

    width: int
    height: int

    def spell(self, point: tuple[float, float]) -> list[int]:
        """The integer pair for a normalised point."""
        nudge = 1e-6  # 8/144·144 must not become 7
        return [int(point[0] * self.width + nudge), int(point[1] * self.height + nudge)]

    def read(self, pair: Any) -> tuple[float, float]:
        """The normalised point of a pair. Raises :class:`UnparsableAction` outside the grid."""
        while isinstance(pair, list) and len(pair) == 1 and isinstance(pair[0], list):
            pair = pair[0]
        try:
            x, y = (float(v) for v in pair)
        except (TypeError, ValueError):
            raise UnparsableAction(f"coordinate {pair!r} is no pair of numbers; write [x, y]") from None
        if not (0 <= x < self.width and 0 <= y < self.height):
            raise UnparsableAction(
                f"coordinate {pair!r} is off the screen; x must be below {self.width}, y below {self.height}"
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
    """The tool call's text, tags included."""
    call = {"name": "mobile_use", "arguments": _arguments(action, grid)}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


def parse_action(text: str, grid: Grid) -> a.Action:
    """The action in a model's text. Raises :class:`UnparsableAction`, which quotes what it can't read."""
    args = _find_arguments(text)
    name = str(args.get("action", "")).strip().lower()
    name = _ALIASES.get(name, name)
    try:
        return _build(name, args, grid)
    except KeyError as missing:
        raise UnparsableAction(f"action {name!r} lacks the argument {missing.args[0]!r}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UnparsableAction(
            f"action {name!r} has {first['input']!r} for {first['loc'][0]!r}: {first['msg']}"
        ) from None


def _find_arguments(text: str) -> dict[str, Any]:
    tagged = re.search(r"<tool_call>(.*?)(?:</tool_call>|$)", text, re.DOTALL)
    body = tagged.group(1) if tagged else text
    decoder = json.JSONDecoder()
    braces = islice(re.finditer(r"\{", body), _BRACES)
    for start in (m.start() for m in braces):
        try:
            data, _ = decoder.raw_decode(body, start)
        except (json.JSONDecodeError, RecursionError):
            continue
        args = data.get("arguments", data)
        if isinstance(args, dict) and "action" in args:
            return args
    raise UnparsableAction(f"no tool call in {text[:120]!r}; write one <tool_call> with a mobile_use action")


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
            return a.SystemButton(button=str(args["button"]).capitalize())  # type: ignore[arg-type]
        case "open":
            return a.Open(app=args["text"])
        case "wait":
            return a.Wait(seconds=args.get("time", 1.0))
        case "answer":
            return a.Answer(text=args["text"])
        case "terminate":
            return a.Terminate(status=args["status"])
    raise UnparsableAction(f"unknown action {name!r}; known: {', '.join(_ACTIONS)}")
