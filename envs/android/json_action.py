"""AndroidWorld's ``JSONAction``, and its conversion to and from the typed :data:`~homeostat.actions.Action`.

Source: ``android_world/env/json_action.py`` and ``actuation.py`` of AndroidWorld (arXiv 2405.14573). Fields, types and
refusals are the same, so that either class can replace the other. Some of AndroidWorld's conventions are surprising:

- ``input_text`` first clicks its place, if it has one, and presses Enter afterwards.
- ``scroll`` names the direction in which one reads on. The finger moves the opposite way.
- ``swipe`` names the finger's direction for up and down, but the opposite one for left and right.
- The index 0 of a scroll counts as no index.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from pydantic import ValidationError

from homeostat import actions as a
from homeostat.errors import ActionError
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["ACTION_TYPES", "JSONAction", "from_json_action", "to_json_action"]

ACTION_TYPES = (
    *("click", "double_tap", "scroll", "swipe", "input_text", "navigate_home", "navigate_back", "keyboard_enter"),
    *("open_app", "status", "wait", "long_press", "answer", "unknown"),
)
"""AndroidWorld's types of action."""
_EDGE = 0.05  # share of the screen's height from which a drag down opens the notifications
_DIRECTIONS = ("left", "right", "down", "up")


@dataclass(eq=False, repr=False)
class JSONAction:
    """One action of AndroidWorld.

    Attributes:
        action_type: One of :data:`ACTION_TYPES`.
        index: The index of the element to act on.
        x: The place to act on, in pixels from the left.
        y: The place to act on, in pixels from the top.
        text: The text to type, or the answer.
        direction: The direction of a scroll or a swipe.
        goal_status: ``complete`` or ``infeasible``, for ``status``.
        app_name: The app to open.
        keycode: A key's name, which begins with ``KEYCODE_``.
        clear_text: Whether ``input_text`` clears the field first.

    Raises:
        ValueError: AndroidWorld refuses such an action.
    """

    action_type: str | None = None
    index: str | int | None = None
    x: int | None = None
    y: int | None = None
    text: str | None = None
    direction: str | None = None
    goal_status: str | None = None
    app_name: str | None = None
    keycode: str | None = None
    clear_text: bool | None = None

    def __post_init__(self) -> None:
        """Refuses what AndroidWorld refuses."""
        if self.action_type not in ACTION_TYPES:
            raise ValueError(f"Invalid action type: {_short(self.action_type)}")
        if self.index is not None:
            try:
                self.index = int(self.index)
            except (TypeError, ValueError, OverflowError):
                raise ValueError(f"Invalid index: {_short(self.index)}") from None
            if self.x is not None or self.y is not None:
                raise ValueError("Either an index or a <x, y> should be provided.")
        if self.direction and self.direction not in _DIRECTIONS:
            raise ValueError(f"Invalid scroll direction: {_short(self.direction)}")
        if self.text is not None and not isinstance(self.text, str):
            try:
                self.text = str(self.text)
            except (ValueError, RecursionError):
                raise ValueError(f"Invalid text: {_short(self.text)}") from None
        if self.keycode is not None and not (isinstance(self.keycode, str) and self.keycode.startswith("KEYCODE_")):
            raise ValueError(f"Invalid keycode: {_short(self.keycode)}")

    def __eq__(self, other: object) -> bool:
        """Compares the fields. The case of texts and names is ignored, and so is ``clear_text``."""
        return isinstance(other, JSONAction) and self._compared() == other._compared()

    __hash__ = None  # type: ignore[assignment]  # its fields change

    def __repr__(self) -> str:
        """Shows the fields that are set."""
        return f"JSONAction({', '.join(f'{k}={v!r}' for k, v in self.as_dict().items())})"

    def _compared(self) -> dict[str, Any]:
        fields = {k: v for k, v in asdict(self).items() if k != "clear_text"}
        return fields | {k: v.lower() for k, v in fields.items() if k in ("text", "app_name") and v is not None}

    def json_str(self) -> str:
        """Returns the fields that are set as JSON without blanks."""
        return json.dumps(self.as_dict(), separators=(",", ":"))

    def as_dict(self, skip_none: bool = True) -> dict[str, Any]:
        """Returns the fields by name.

        Args:
            skip_none: Whether to leave out fields that are None.

        Returns:
            The fields.
        """
        return {k: v for k, v in asdict(self).items() if v is not None or not skip_none}


class _Box(Protocol):
    @property
    def x_min(self) -> float: ...
    @property
    def x_max(self) -> float: ...
    @property
    def y_min(self) -> float: ...
    @property
    def y_max(self) -> float: ...


class _Element(Protocol):
    @property
    def bbox_pixels(self) -> _Box | None:
        """The box in pixels; None if it is unknown."""


def to_json_action(action: a.Action, size: tuple[int, int], at: tuple[float, float] | None = None) -> dict[str, Any]:
    """Converts a typed action to the fields of a ``JSONAction``.

    AndroidWorld has no free drag. A drag becomes a ``scroll`` in its main direction, and a drag down from the top edge
    becomes a ``swipe``. The duration of a wait has no counterpart and is lost.

    Args:
        action: The action.
        size: The screen's width and height in pixels.
        at: The normalised place of the last click, because ``input_text`` clicks before it types. None: no click yet.

    Returns:
        The fields that are set.

    Raises:
        ActionError: AndroidWorld has no such action (``Menu``), or a text has no place to be typed at.
    """
    match action:
        case a.Click(point=point):
            return {"action_type": "click", **_pixels(point, size)}
        case a.LongPress(point=point):
            return {"action_type": "long_press", **_pixels(point, size)}
        case a.Swipe(point=(x, y), to=(to_x, to_y)):
            if y < _EDGE and to_y - y > abs(to_x - x):
                return {"action_type": "swipe", "direction": "down"}
            if abs(to_y - y) >= abs(to_x - x):
                return {"action_type": "scroll", "direction": "down" if to_y < y else "up"}
            return {"action_type": "scroll", "direction": "right" if to_x < x else "left"}
        case a.Type(text=text) if at is not None:
            return {"action_type": "input_text", "text": text, **_pixels(at, size)}
        case a.Type(text=text):
            raise ActionError(f"input_text needs a place to type {quoted(text)} at; click a field first")
        case a.SystemButton(button="Back"):
            return {"action_type": "navigate_back"}
        case a.SystemButton(button="Home"):
            return {"action_type": "navigate_home"}
        case a.SystemButton(button="Enter"):
            return {"action_type": "keyboard_enter"}
        case a.Open(app=name):
            return {"action_type": "open_app", "app_name": name}
        case a.Wait():
            return {"action_type": "wait"}
        case a.Answer(text=text):
            return {"action_type": "answer", "text": text}
        case a.Terminate(status=status):
            return {"action_type": "status", "goal_status": "complete" if status == "success" else "infeasible"}
    raise ActionError(f"AndroidWorld has no action like {action.kind!r} with {quoted(action.model_dump())}")


def from_json_action(action: Any, elements: Sequence[_Element], size: tuple[int, int]) -> list[a.Action]:
    """Converts a ``JSONAction`` to typed actions.

    Args:
        action: The action, of this module's or of AndroidWorld's class.
        elements: The screen's elements, for actions that name one by its index.
        size: The screen's width and height in pixels.

    Returns:
        The typed actions, in order.

    Raises:
        ActionError: A field is missing or can't be used.
    """
    try:
        return _converted(action, elements, size)
    except ActionError:
        raise
    except (TypeError, ValueError, OverflowError) as error:  # a field of a wrong type, as a model may write it
        first = error.errors()[0] if isinstance(error, ValidationError) else {"msg": str(error)}
        reason = clipped(visible(first["msg"]), 120)
        raise ActionError(f"{quoted(action.action_type)}: a field can't be used ({reason}); correct it") from None


def _converted(action: Any, elements: Sequence[_Element], size: tuple[int, int]) -> list[a.Action]:
    kind = action.action_type
    match kind:
        case "click":
            return [a.Click(point=_place(action, elements, size))]
        case "double_tap":
            return [a.Click(point=_place(action, elements, size))] * 2
        case "long_press":
            return [a.LongPress(point=_place(action, elements, size))]
        case "input_text":
            if not action.text:
                return []
            keys: list[a.Action] = [a.Type(text=action.text), a.SystemButton(button="Enter")]
            nowhere = action.index is None and (action.x is None or action.y is None)
            return keys if nowhere else [a.Click(point=_place(action, elements, size)), *keys]
        case "keyboard_enter":
            return [a.SystemButton(button="Enter")]
        case "navigate_home":
            return [a.SystemButton(button="Home")]
        case "navigate_back":
            return [a.SystemButton(button="Back")]
        case "scroll":
            return [_scroll(action, elements, size)]
        case "swipe":
            return [_swipe(action.direction)]
        case "open_app":
            if not action.app_name:
                raise ActionError("open_app needs the app's name; give app_name")
            return [a.Open(app=action.app_name)]
        case "wait":
            return [a.Wait(seconds=1.0)]
        case "answer":
            return [a.Answer(text=action.text or "")]
        case "status":
            return [a.Terminate(status="success" if action.goal_status == "complete" else "failure")]
        case "unknown":
            return []
    raise ActionError(f"unknown action type {quoted(kind)}; known: {', '.join(ACTION_TYPES)}")


def _short(value: Any) -> str:
    """A field for a message: a text as it is, anything else as Python writes it, of bounded length."""
    return clipped(visible(value), 100) if isinstance(value, str) else quoted(value)


def _pixels(point: tuple[float, float], size: tuple[int, int]) -> dict[str, int]:
    return {"x": int(point[0] * size[0]), "y": int(point[1] * size[1])}


def _unit(x: float, y: float) -> tuple[float, float]:
    """A point moved inside the screen, because AndroidWorld drags from and to the very edges."""
    return min(max(x, 0.0), 0.999), min(max(y, 0.0), 0.999)


def _box(index: int, elements: Sequence[_Element]) -> _Box:
    if not 0 <= index < len(elements):
        raise ActionError(f"element {quoted(index)} is not on the screen; it has {len(elements)}, counted from 0")
    box = elements[index].bbox_pixels
    if box is None:
        raise ActionError(f"element {index!r} has no box; give x and y")
    return box


def _place(action: Any, elements: Sequence[_Element], size: tuple[int, int]) -> tuple[float, float]:
    if action.index is not None:
        box = _box(int(action.index), elements)
        x, y = (box.x_min + box.x_max) / 2, (box.y_min + box.y_max) / 2
    elif action.x is not None and action.y is not None:
        x, y = action.x, action.y
    else:
        raise ActionError(f"{quoted(action.action_type)} needs a place; give an index, or x and y")
    if not (0 <= x < size[0] and 0 <= y < size[1]):
        raise ActionError(f"point {quoted((x, y))} is off the screen; x must be below {size[0]}, y below {size[1]}")
    return x / size[0], y / size[1]


def _scroll(action: Any, elements: Sequence[_Element], size: tuple[int, int]) -> a.Swipe:
    """The finger moves from the middle against the direction. Index 0 counts as none, as in AndroidWorld."""
    left, top, right, bottom = 0.0, 0.0, 1.0, 1.0
    if action.index:
        box = _box(int(action.index), elements)
        left, right = max(box.x_min, 0) / size[0], min(box.x_max, size[0]) / size[0]
        top, bottom = max(box.y_min, 0) / size[1], min(box.y_max, size[1]) / size[1]
    x, y = (left + right) / 2, (top + bottom) / 2
    ends = {"down": (x, top), "up": (x, bottom), "right": (left, y), "left": (right, y)}
    if action.direction not in ends:
        raise ActionError(f"scroll needs a direction, not {quoted(action.direction)}; known: {', '.join(_DIRECTIONS)}")
    return a.Swipe(point=_unit(x, y), to=_unit(*ends[action.direction]))


def _swipe(direction: str | None) -> a.Swipe:
    lines = {
        "down": ((0.5, 0.0), (0.5, 1.0)),
        "up": ((0.5, 1.0), (0.5, 0.0)),
        "left": ((0.0, 0.5), (1.0, 0.5)),
        "right": ((1.0, 0.5), (0.0, 0.5)),
    }
    if direction not in lines:
        raise ActionError(f"swipe needs a direction, not {quoted(direction)}; known: {', '.join(_DIRECTIONS)}")
    start, end = lines[direction]
    return a.Swipe(point=_unit(*start), to=_unit(*end))
