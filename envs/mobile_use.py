"""The tool calls that vision models write, converted to and from the typed :data:`~homeostat.actions.Action`.

    <tool_call>
    {"name": "mobile_use", "arguments": {"action": "click", "coordinate": [40, 96]}}
    </tool_call>

Models differ in how they write a point: in pixels of the picture that they received (Qwen2.5-VL, UI-TARS-1.5, GUI-Owl,
nano) or in thousandths of its sides (Qwen2-VL, Qwen3-VL, UI-TARS). A :class:`~homeostat.envs.grid.Grid` states the
convention. A point outside the grid is rejected, never clamped; a number at its upper end is the screen's edge.

Three forms are read: Qwen's functions ``mobile_use`` and ``computer_use`` (:mod:`homeostat.envs.touch_actions`),
UI-TARS's calls (:mod:`homeostat.envs.ui_tars`), and AndroidWorld's actions (:mod:`homeostat.envs.android.answers`). The
parser accepts known variations: a missing ``<tool_call>`` tag, text around the JSON, arguments as a text or as XML
(Qwen3.5), other names of an action, ``[[x, y]]``, boxes, and numbers as texts.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from homeostat import actions as a
from homeostat.envs.android.answers import read_json_action
from homeostat.envs.grid import Grid
from homeostat.envs.touch_actions import Screen, known_name, typed_action
from homeostat.envs.ui_tars import function_call
from homeostat.errors import UnparsableAction
from homeostat.foreign_text import clipped, quoted
from homeostat.json_values import decode_json, json_values
from homeostat.observation import Element

__all__ = ["Grid", "call_arguments", "format_action", "parse_action"]

_LONGEST = 300  # characters of an error message, whatever the model wrote
_LONGEST_XML = 10_000
_FUNCTION = re.compile(r"<function=(\w+)>(.*?)(?:</function>|$)", re.DOTALL)
_PARAMETER = re.compile(r"<parameter=(\w+)>(.*?)</parameter>", re.DOTALL)


def call_arguments(action: a.Action, grid: Grid) -> dict[str, Any]:
    """Returns the arguments of the ``mobile_use`` call that an action is.

    Args:
        action: The action.
        grid: The model's coordinate convention.

    Returns:
        The arguments, ``action`` first.
    """
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
    call = {"name": "mobile_use", "arguments": call_arguments(action, grid)}
    return f"<tool_call>\n{json.dumps(call)}\n</tool_call>"


def parse_action(text: str, grid: Grid, elements: Sequence[Element] = (), answered: Sequence[str] = ()) -> a.Action:
    """Parses the first tool call in a model's text.

    Args:
        text: The model's output.
        grid: The model's coordinate convention.
        elements: The elements of the screen that the model saw. AndroidWorld's actions name them by number, from 0, and
            they say which field has the focus.
        answered: What the user has been told so far in this task.

    Returns:
        The action. An answer that stands for several actions gives the first that is not done yet (see
        :func:`~homeostat.envs.touch_actions.typed_action`).

    Raises:
        UnparsableAction: There is no valid tool call; the message quotes what could not be read.
    """
    screen = Screen(grid, elements, answered)
    name, args = "", dict[str, Any]()
    try:
        name, args = _find_call(text)
        if "action_type" in args:
            return read_json_action(args, screen)
        return typed_action(name, args, screen)
    except KeyError as missing:
        raise UnparsableAction(f"action {quoted(name)} lacks the argument {missing.args[0]!r}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = first["loc"][0] if first["loc"] else "action"
        why = f"action {quoted(name)} has {quoted(first['input'])} for {field!r}: {first['msg']}"
        raise UnparsableAction(clipped(why, _LONGEST)) from None


def _find_call(text: str) -> tuple[str, dict[str, Any]]:
    """The action's name as the model wrote it, and its arguments."""
    tagged = re.search(r"<tool_call>(.*?)(?:</tool_call>|$)", text, re.DOTALL)
    body = tagged.group(1) if tagged else text
    for data in json_values(body, r"\{"):
        args = _decoded(data.get("arguments", data))
        if not isinstance(args, dict):
            continue
        if "action" in args:
            given = args["action"]
            return given.strip().lower() if isinstance(given, str) else quoted(given), args
        if isinstance(args.get("action_type"), str):
            return args["action_type"], args
        if args is not data and isinstance(data.get("name"), str) and known_name(data["name"]):
            return data["name"], args  # the action's name in place of the function's
    call = _xml_call(body) or function_call(body)
    if call is not None and known_name(call[0]):
        return call
    said = clipped(repr(text[:120]), 200)
    raise UnparsableAction(f"no tool call in {said}; write one <tool_call> with a mobile_use action")


def _xml_call(text: str) -> tuple[str, dict[str, Any]] | None:
    """The call of a model that writes its arguments as XML, as Qwen3.5 does."""
    function = _FUNCTION.search(text[:_LONGEST_XML])
    if function is None:
        return None
    written = {name: value.strip() for name, value in _PARAMETER.findall(function[2])}
    args = {name: _decoded(value) if value[:1] in ("[", "{") else value for name, value in written.items()}
    return str(args.pop("action", function[1])), args


def _decoded(value: Any) -> Any:
    """Arguments that a model wrote as a text which holds JSON."""
    if not isinstance(value, str):
        return value
    try:
        return decode_json(value.strip())[0]
    except ValueError:
        return None
