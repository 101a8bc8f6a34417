"""Makes a typed action of a name and arguments, whatever a vision model calls them.

The names are those of Qwen's functions ``mobile_use`` and ``computer_use``, of UI-TARS and of models that were trained
on a mixture of these. Where a touch screen has no such action, the nearest one is taken:

- A double or triple click is a click, and a right click is a long press, as a touch screen opens a context menu.
- A scroll is a drag of 40 % of the screen. ``pixels`` decides only the direction (positive: up, or to the right for
  ``hscroll``), because models write wheel clicks as well as pixels there. The finger moves against the direction in
  which one reads on. A swipe names the finger's direction.
- A key that is one of the device's buttons is that button; Escape is Back.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeostat import actions as a
from homeostat.envs.grid import Grid
from homeostat.errors import UnparsableAction
from homeostat.foreign_text import quoted
from homeostat.observation import Element, element_at

__all__ = ["NAMES", "Screen", "known_name", "typed_action", "typed_text"]

NAMES = ("click", "long_press", "swipe", "scroll", "type", "system_button", "open", "wait", "answer", "terminate")
"""The names of the actions, as error messages list them."""
_ALIASES = {
    **dict.fromkeys(("tap", "touch", "left_click", "left_single", "single_click", "double_click"), "click"),
    **dict.fromkeys(("double_tap", "left_double", "triple_click"), "click"),
    **dict.fromkeys(("long_click", "long_tap", "hold", "right_click", "right_single"), "long_press"),
    **dict.fromkeys(("drag", "left_click_drag", "select"), "swipe"),
    **dict.fromkeys(("input_text", "type_text", "input", "write"), "type"),
    **dict.fromkeys(("key", "press", "hotkey", "press_key", "keypress", "keyboard_press"), "system_button"),
    **dict.fromkeys(("open_app", "launch", "launch_app", "start_app"), "open"),
    **dict.fromkeys(("finish", "finished", "status", "done", "complete", "call_user"), "terminate"),
    **dict.fromkeys(("respond",), "answer"),
    **dict.fromkeys(("sleep",), "wait"),
    "hscroll": "scroll",
}
_BUTTONS = {
    **dict.fromkeys(("back", "escape", "esc", "press_back", "go_back", "navigate_back"), "Back"),
    **dict.fromkeys(("home", "press_home", "go_home", "navigate_home"), "Home"),
    **dict.fromkeys(("menu", "recent", "recents", "recent_apps", "app_switch", "overview"), "Menu"),
    **dict.fromkeys(("enter", "return", "press_enter", "keyboard_enter"), "Enter"),
}
_STATUSES = {
    **dict.fromkeys(("success", "succeeded", "successful", "complete", "completed", "done", "finished"), "success"),
    **dict.fromkeys(("failure", "fail", "failed", "infeasible", "impossible"), "failure"),
}
_FIRST = (
    "coordinate",
    "coordinates",
    "point",
    "position",
    "start_box",
    "start_point",
    "start_coordinate",
    "box",
    "bbox",
)
_SECOND = ("coordinate2", "end_box", "end_point", "end_coordinate", "to", "end")
_WAYS = {"up": (0, -1), "down": (0, 1), "left": (-1, 0), "right": (1, 0)}
_REACH = 0.4  # of the screen, the length of a scroll


@dataclass(frozen=True)
class Screen:
    """What an answer is read against.

    Attributes:
        grid: The grid on which the model writes points.
        elements: The elements of the screen that the model saw, if they are known.
        answered: What the user has been told so far in this task.
    """

    grid: Grid
    elements: Sequence[Element] = ()
    answered: Sequence[str] = ()


def known_name(name: str) -> str | None:
    """Finds the action that a model means by a name.

    Args:
        name: The name, in any case.

    Returns:
        One of :data:`NAMES`; None where no action has this name.
    """
    name = _plain(name)
    if name in _BUTTONS:
        return "system_button"
    name = _ALIASES.get(name, name)
    return name if name in NAMES else None


def typed_action(name: str, args: dict[str, Any], screen: Screen) -> a.Action:
    """Makes the typed action.

    Some answers stand for several actions: a text for a field that is clicked first, a text that is submitted, a last
    word to the user. Then the first of them that is not done yet is returned, because the agent acts once per step: the
    click while another field has the focus, the Enter once the text stands in the field, the end once the user knows
    the last word.

    Args:
        name: The action's name, in any spelling that :func:`known_name` knows.
        args: Its arguments.
        screen: What the answer is read against.

    Returns:
        The action.

    Raises:
        UnparsableAction: The name or a place can't be read.
        KeyError: An argument is missing.
        pydantic.ValidationError: An argument has a value that no action takes.
    """
    match known_name(name):
        case "click":
            return a.Click(point=screen.grid.read(_place(args)))
        case "long_press":
            return a.LongPress(point=screen.grid.read(_place(args)), seconds=_seconds(args))
        case "swipe":
            return _swipe(args, screen)
        case "scroll":
            return _scroll(_plain(name), args, screen)
        case "type":
            place = _place(args, None)
            point = None if place is None else screen.grid.read(place)
            return typed_text(_text(args, "text", "content", "value"), point, screen)
        case "system_button":
            return _button(name, args)
        case "open":
            return a.Open(app=_text(args, "text", "app_name", "app", "name"))
        case "wait":
            return a.Wait(seconds=_seconds(args))
        case "answer":
            return a.Answer(text=_text(args, "text", "content", "answer"))
        case "terminate":
            return _end(_plain(name), args, screen)
    raise UnparsableAction(f"unknown action {quoted(name)}; known: {', '.join(NAMES)}")


def typed_text(text: Any, point: tuple[float, float] | None, screen: Screen, *, submits: bool = False) -> a.Action:
    """Finds the next action on the way to a text in a field.

    Args:
        text: The text. A line break at its end submits it.
        point: Where the field is, normalised; None for the field that has the focus.
        screen: What the answer is read against.
        submits: Whether the text is submitted in any case.

    Returns:
        A click into the field while the screen shows that it does not have the focus; Enter once the focused field
        holds a text that is to be submitted; otherwise the text.
    """
    if not isinstance(text, str):
        return a.Type(text=text)
    submits, body = submits or text.endswith("\n"), text.rstrip("\n")
    focused = next((e for e in screen.elements if "focused" in (e.state or "")), None)
    if point is not None:
        index = element_at(screen.elements, point)
        aimed = None if index is None else screen.elements[index]
        if aimed is not None and aimed.state is not None and aimed is not focused:
            return a.Click(point=point)
    if submits and (not body or (focused is not None and _words(body) in _words(focused.text))):
        return a.SystemButton(button="Enter")
    return a.Type(text=body)


def _swipe(args: dict[str, Any], screen: Screen) -> a.Action:
    direction, start, end = args.get("direction"), _place(args, None), _place(args, None, _SECOND, ("x2", "y2"))
    if end is None and direction is not None:
        dx, dy = _way(direction)
        return _dragged(screen.grid.read(start) if start is not None else None, dx, dy)
    if start is None:
        raise KeyError("coordinate")
    if end is None:
        raise KeyError("coordinate2")
    return a.Swipe(point=screen.grid.read(start), to=screen.grid.read(end))


def _scroll(name: str, args: dict[str, Any], screen: Screen) -> a.Action:
    direction, pixels = args.get("direction", args.get("scroll_direction")), args.get("pixels")
    if direction is None:
        try:
            amount = float(pixels) if pixels is not None else 0.0
        except (TypeError, ValueError, OverflowError):
            amount = 0.0
        if not amount:
            raise UnparsableAction(f"action {quoted(name)} needs a direction, or pixels other than {quoted(pixels)}")
        ways = ("right", "left") if name == "hscroll" else ("up", "down")
        direction = ways[amount < 0]
    dx, dy = _way(direction)
    start = _place(args, None)
    return _dragged(screen.grid.read(start) if start is not None else None, -dx, -dy)


def _dragged(start: tuple[float, float] | None, dx: int, dy: int) -> a.Swipe:
    """A drag from a place, or through the middle of the screen."""
    x, y = start or (0.5 - dx * _REACH / 2, 0.5 - dy * _REACH / 2)
    to = (x + dx * _REACH, y + dy * _REACH)
    return a.Swipe(point=(x, y), to=(min(max(to[0], 0.0), 0.999), min(max(to[1], 0.0), 0.999)))


def _way(direction: Any) -> tuple[int, int]:
    way = _WAYS.get(_plain(direction)) if isinstance(direction, str) else None
    if way is None:
        raise UnparsableAction(f"direction {quoted(direction)} is unknown; write {', '.join(_WAYS)}")
    return way


def _button(name: str, args: dict[str, Any]) -> a.Action:
    given: Any = name if _plain(name) in _BUTTONS else None
    for key in ("button", "keys", "key", "text", "press", "hotkey"):
        given = args.get(key) if given is None else given
    if given is None:
        raise KeyError("button")
    if isinstance(given, list) and len(given) == 1:
        given = given[0]
    button: Any = _BUTTONS.get(_plain(given).removeprefix("keycode_")) if isinstance(given, str) else None
    if button is None:
        raise UnparsableAction(f"the device has no button {quoted(given)}; known: Back, Home, Menu, Enter")
    return a.SystemButton(button=button)


def _end(name: str, args: dict[str, Any], screen: Screen) -> a.Action:
    told = args.get("content")
    if name == "finished" and isinstance(told, str) and told.strip() and told not in screen.answered:
        return a.Answer(text=told)
    given = args.get("status", args.get("goal_status", "failure" if name == "call_user" else "success"))
    status: Any = _STATUSES.get(_plain(given), given) if isinstance(given, str) else given
    return a.Terminate(status=status)


def _place(
    args: dict[str, Any],
    lacks: str | None = "coordinate",
    names: Sequence[str] = _FIRST,
    axes: tuple[str, str] = ("x", "y"),
) -> Any:
    """What the model wrote for a place. Without one: None, or KeyError where ``lacks`` names the argument."""
    place = next((args[name] for name in names if args.get(name) is not None), None)
    if place is None and all(args.get(axis) is not None for axis in axes):
        place = [args[axis] for axis in axes]
    if place is None and lacks is not None:
        raise KeyError(lacks)
    return place


def _text(args: dict[str, Any], *names: str) -> Any:
    found = next((args[name] for name in names if name in args), None)
    if found is None:
        raise KeyError(names[0])
    return found


def _seconds(args: dict[str, Any]) -> Any:
    return next((args[name] for name in ("time", "seconds", "duration") if args.get(name) is not None), 1.0)


def _plain(text: str) -> str:
    return re.sub(r"[\s\-]+", "_", text.strip().lower())


def _words(text: str) -> str:
    return " ".join(text.casefold().split())
