"""Reads an action that a model writes in the form of AndroidWorld's ``JSONAction``.

    {"action_type": "click", "x": 336, "y": 742}

AndroidWorld's agents (arXiv 2405.14573; ``android_world/agents/m3a.py`` and ``t3a.py``) write ``index``, the number of
an element; models that were trained on AndroidControl write ``x`` and ``y``. One answer is one action of the agent, so
that ``input_text``, which clicks, types and presses Enter in AndroidWorld, takes up to three steps
(:func:`~homeostat.envs.touch_actions.typed_text`), and ``double_tap`` is a click.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from homeostat import actions as a
from homeostat.envs.android.json_action import JSONAction, from_json_action
from homeostat.envs.touch_actions import Screen, typed_text
from homeostat.errors import ActionError, UnparsableAction
from homeostat.foreign_text import quoted

__all__ = ["read_json_action"]

_FIELDS = frozenset(field.name for field in fields(JSONAction))


@dataclass(frozen=True)
class _Box:
    x_min: float
    y_min: float
    x_max: float
    y_max: float


@dataclass(frozen=True)
class _Marked:
    """An element with its box in the units of the model's grid."""

    bbox_pixels: _Box | None


def read_json_action(data: dict[str, Any], screen: Screen) -> a.Action:
    """Makes the typed action of a ``JSONAction``'s fields.

    Args:
        data: The fields as the model wrote them. Unknown fields are ignored.
        screen: What the answer is read against. Its elements are counted from 0.

    Returns:
        The action.

    Raises:
        UnparsableAction: AndroidWorld refuses the action, or a place can't be read.
    """
    known = {name: value for name, value in data.items() if name in _FIELDS and value is not None}
    x, y = known.pop("x", None), known.pop("y", None)
    try:
        action = JSONAction(**known)
    except ValueError as error:
        raise UnparsableAction(f"{error}; write one of AndroidWorld's actions") from None
    kind = action.action_type
    point = None
    if kind in ("click", "double_tap", "long_press", "input_text"):
        point = _point(action.index, x, y, screen)
    if kind == "input_text":
        return typed_text(action.text or "", point, screen, submits=True)
    if kind in ("click", "double_tap", "long_press"):
        if point is None:
            raise UnparsableAction(f"{quoted(kind)} needs a place; give an index, or x and y")
        return a.LongPress(point=point) if kind == "long_press" else a.Click(point=point)
    size = (screen.grid.width, screen.grid.height)
    boxes = [_Marked(_Box(*(v * size[i % 2] for i, v in enumerate(e.box)))) for e in screen.elements]
    try:
        found = from_json_action(action, boxes, size)
    except ActionError as error:
        raise UnparsableAction(str(error)) from None
    if not found:
        raise UnparsableAction(f"{quoted(kind)} does nothing; write another of AndroidWorld's actions")
    return found[0]


def _point(index: Any, x: Any, y: Any, screen: Screen) -> tuple[float, float] | None:
    if index is None:
        return None if x is None or y is None else screen.grid.read([x, y])
    if x is not None or y is not None:
        raise UnparsableAction("give either an index, or x and y")
    if not 0 <= index < len(screen.elements):
        raise UnparsableAction(
            f"element {quoted(index)} is not on the screen; it has {len(screen.elements)}, counted from 0"
        )
    left, top, right, bottom = screen.elements[index].box
    return min((left + right) / 2, 0.999), min((top + bottom) / 2, 0.999)
