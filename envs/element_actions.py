"""Actions that name an element of the screen by its number, as models without vision write them.

    {"action": "click", "index": 3}

The number is the element's position in ``Observation.elements``, from 0. AndroidWorld's text agent T3A (arXiv
2405.14573, appendix; ``android_world/agents/t3a.py``) works in the same way. A point on a :class:`Grid` may stand in
place of the number.

The parser is lenient, because small models rarely keep to a form (:mod:`homeostat.envs.element_answers`). It also takes
an element's text in place of its number.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from homeostat import actions as a
from homeostat.envs.element_answers import answered, element_number
from homeostat.envs.grid import Grid
from homeostat.envs.touch_actions import Screen, known_name, typed_action, typed_text
from homeostat.errors import UnparsableAction
from homeostat.foreign_text import clipped, quoted
from homeostat.observation import Element, element_at

__all__ = [
    "click_point",
    "describe_element_action",
    "element_schema",
    "format_element_action",
    "naming_texts",
    "parse_element_action",
]

Point = tuple[float, float]
_EDGE = 0.06  # share of the screen's height from which a drag down opens the notifications
_SHADE = a.Swipe(point=(0.5, 0.0), to=(0.5, 0.5))
_WANDER = 0.1  # the most that a finger may leave its line in a scroll
_STEPS = 8  # points tried along each side of an element that others cover
_POINT = ("point", "coordinate", "coordinates", "position")
_LONGEST = 300  # characters of an error message, whatever the model wrote
_TEXT = 40  # characters of an element's text in the history


def click_point(index: int, elements: Sequence[Element]) -> Point:
    """Finds a point that belongs to an element and to no smaller one above it.

    Args:
        index: The element's position.
        elements: The screen's elements.

    Returns:
        The element's centre, or another point of it where a smaller element covers the centre; the centre where
        smaller elements cover the element as a whole. Each coordinate is from 0 (included) to 1 (excluded).
    """
    left, top, right, bottom = elements[index].box
    centre = _unit((left + right) / 2, (top + bottom) / 2)
    if element_at(elements, centre) == index:
        return centre
    shares = [(k + 0.5) / _STEPS for k in range(_STEPS)]
    tried = (_unit(left + x * (right - left), top + y * (bottom - top)) for y in shares for x in shares)
    return next((point for point in tried if element_at(elements, point) == index), centre)


def format_element_action(action: a.Action, elements: Sequence[Element], grid: Grid, *, by_text: bool = False) -> str:
    """Formats an action as the JSON object that a model is asked for.

    A click on an element becomes a click on its number. A drag through the middle of the screen becomes a scroll.

    Args:
        action: The action.
        elements: The screen's elements.
        grid: The grid of a point that lies on no element.
        by_text: Whether an element is named by its text where that text means this element only.

    Returns:
        The text. :func:`parse_element_action` reads it as an action with the same effect.
    """
    fields = _fields(action, elements, grid)
    if by_text and "index" in fields:
        fields = _by_text(fields, elements, grid)
    return json.dumps(fields, ensure_ascii=False)


def naming_texts(elements: Sequence[Element], grid: Grid) -> list[str]:
    """Lists the texts that name one element each.

    Args:
        elements: The screen's elements.
        grid: The grid of points.

    Returns:
        The texts, in the order of the elements. An element whose text means no element or another one has none.
    """
    named = (_by_text({"action": "click", "index": n}, elements, grid) for n in range(len(elements)))
    return [fields["text"] for fields in named if "text" in fields]


def element_schema(count: int, grid: Grid, *, texts: Sequence[str] = ()) -> dict[str, Any]:
    """Returns the JSON schema of the actions.

    Args:
        count: The number of elements on the screen.
        grid: The grid of points.
        texts: Texts that may name an element in place of its number (:func:`naming_texts`).

    Returns:
        The schema. It admits every text of :func:`format_element_action`, and nothing that
        :func:`parse_element_action` refuses.
    """
    text = {"type": "string", "minLength": 1}
    ends = [{"type": "integer", "minimum": 0, "maximum": side - 1} for side in (grid.width, grid.height)]
    point = {"type": "array", "prefixItems": ends, "items": False, "minItems": 2, "maxItems": 2}
    number = {"type": "integer", "minimum": 0, "maximum": count - 1}
    forms: list[dict[str, Any]] = [{"action": _one("click", "long_press"), "index": number}] if count else []
    forms += [{"action": _one("click", "long_press"), "text": _one(*texts)}] if texts else []
    forms += [
        {"action": _one("click", "long_press"), "point": point},
        {"action": _one("type", "answer", "open"), "text": text},
        {"action": _one("scroll"), "direction": _one("up", "down", "left", "right")},
        {"action": _one("swipe"), "point": point, "to": point},
        {"action": _one("back", "home", "menu", "enter", "notifications", "wait")},
        {"action": _one("terminate"), "status": _one("success", "failure")},
    ]
    return {"anyOf": [_object(form) for form in forms]}


def _one(*names: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(names)}


def _object(form: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": form, "required": list(form), "additionalProperties": False}


def describe_element_action(action: a.Action, elements: Sequence[Element], grid: Grid) -> str:
    """Words an action for the history, such as ``click "wifi off"``, ``type "milk"`` or ``scroll down``.

    Elements are named by their texts, because their numbers mean something else on the next screen.

    Args:
        action: The action.
        elements: The elements of the screen on which the action was done.
        grid: The grid of a point that lies on no element.

    Returns:
        The text.
    """
    fields = _fields(action, elements, grid)
    match action:
        case a.Click() | a.LongPress() if "index" in fields:
            element = elements[fields["index"]]
            name = clipped(" ".join(element.text.split()), _TEXT)
            return f'{action.kind} "{name}"' if name else f"{action.kind} {element.role} {fields['index']}"
        case a.Type(text=text) | a.Answer(text=text):
            return f'{action.kind} "{text}"'
    return " ".join(str(value) for value in fields.values())


def parse_element_action(text: str, elements: Sequence[Element], grid: Grid, told: Sequence[str] = ()) -> a.Action:
    """Parses the first action in a model's text.

    A text for an element that does not have the focus is a click on this element first; the model types in its next
    step. See :func:`~homeostat.envs.touch_actions.typed_text`.

    Args:
        text: The model's output.
        elements: The elements of the screen that the model saw.
        grid: The grid of points.
        told: What the user has been told so far in this task.

    Returns:
        The action.

    Raises:
        UnparsableAction: There is no valid action; the message quotes what could not be read.
    """
    name, arguments = answered(text)
    screen = Screen(grid, elements, told)
    try:
        return _typed(name, arguments, screen)
    except KeyError as missing:
        raise UnparsableAction(f"action {name!r} lacks the argument {missing.args[0]!r}") from None
    except ValidationError as error:
        first = error.errors()[0]
        field = first["loc"][0] if first["loc"] else "action"
        why = f"action {name!r} has {quoted(first['input'])} for {field!r}: {first['msg']}"
        raise UnparsableAction(clipped(why, _LONGEST)) from None


def _typed(name: str, arguments: dict[str, Any], screen: Screen) -> a.Action:
    if name == "notifications":
        return _SHADE
    if name in ("click", "long_press"):
        return (
            a.Click(point=_aimed(arguments, screen))
            if name == "click"
            else a.LongPress(point=_aimed(arguments, screen))
        )
    if name == "type" and "index" in arguments:
        texts = (arguments[key] for key in ("text", "content", "value") if key in arguments)
        return typed_text(next(texts, None), _aimed(arguments, screen), screen)
    if name in ("scroll", "swipe") and "index" in arguments:
        arguments = arguments | {"point": screen.grid.spell(_aimed(arguments, screen))}
    called = arguments["called"] if known_name(arguments["called"]) == name else name
    return typed_action(called, arguments, screen)


def _aimed(arguments: dict[str, Any], screen: Screen) -> Point:
    """The place that an answer names: by an element's number or text, or by a point."""
    given = arguments.get("index")
    if isinstance(given, list) and len(given) > 1:
        return screen.grid.read(given)
    if given is None:
        place = next((arguments[key] for key in _POINT if arguments.get(key) is not None), None)
        if place is None and "x" in arguments and "y" in arguments:
            place = [arguments["x"], arguments["y"]]
        if place is not None:
            return screen.grid.read(place)
        given = arguments.get("text")
    number = element_number(given)
    if number is not None and not 0 <= number < len(screen.elements):
        last = len(screen.elements) - 1
        raise UnparsableAction(
            f"element {clipped(str(number), 20)} is not on the screen; give a number from 0 to {last}"
        )
    if number is None:
        if not isinstance(given, str):
            raise KeyError("index")
        number = _position(given, screen.elements)
    return click_point(number, screen.elements)


def _position(text: str, elements: Sequence[Element]) -> int:
    """The position of the one element with a text, or whose text begins with it."""
    wanted = _words(text)
    texts = [_words(e.text) for e in elements]
    same = [i for i, t in enumerate(texts) if t == wanted]
    found = same or [i for i, t in enumerate(texts) if wanted and t.startswith(f"{wanted} ")]
    if len(found) != 1:
        how = f"{len(found)} elements have" if found else "no element has"
        raise UnparsableAction(f"{how} the text {quoted(text, 60)}; give the element's number")
    return found[0]


def _words(text: str) -> str:
    return " ".join(text.casefold().split())


def _fields(action: a.Action, elements: Sequence[Element], grid: Grid) -> dict[str, Any]:
    """The JSON object of an action."""
    match action:
        case a.Click(point=point) | a.LongPress(point=point):
            index = element_at(elements, point)
            hit = index is not None and element_at(elements, click_point(index, elements)) == index
            return {"action": action.kind} | ({"index": index} if hit else {"point": grid.spell(point)})
        case a.Swipe(point=(x, y), to=(x2, y2)):
            if y < _EDGE and y2 - y > abs(x2 - x):
                return {"action": "notifications"}
            if direction := _scrolled(x, y, x2, y2):
                return {"action": "scroll", "direction": direction}
            return {"action": "swipe", "point": grid.spell((x, y)), "to": grid.spell((x2, y2))}
        case a.Type(text=text) | a.Answer(text=text):
            return {"action": action.kind, "text": text}
        case a.SystemButton(button=button):
            return {"action": button.lower()}
        case a.Open(app=app):
            return {"action": "open", "text": app}
        case a.Wait():
            return {"action": "wait"}
        case a.Terminate(status=status):
            return {"action": "terminate", "status": status}
    raise AssertionError(action)


def _by_text(fields: dict[str, Any], elements: Sequence[Element], grid: Grid) -> dict[str, Any]:
    """The action with the element's text in place of its number; as it was where the text means no or another one."""
    named = {"action": fields["action"], "text": " ".join(elements[fields["index"]].text.split())}
    screen = Screen(grid, elements, ())
    try:
        same = _aimed(named, screen) == _aimed(fields, screen)
    except UnparsableAction:
        same = False
    return named if same else fields


def _scrolled(x: float, y: float, x2: float, y2: float) -> str | None:
    """The direction in which a drag scrolls the screen; None for a drag that is no plain scroll."""
    if abs(x2 - x) <= _WANDER and abs(y2 - y) >= 0.25 and 0.25 <= x <= 0.75:
        return "down" if y2 < y else "up"
    if abs(y2 - y) <= _WANDER and abs(x2 - x) >= 0.25 and 0.25 <= y <= 0.75:
        return "right" if x2 < x else "left"
    return None


def _unit(x: float, y: float) -> Point:
    return min(max(x, 0.0), 0.999), min(max(y, 0.0), 0.999)
