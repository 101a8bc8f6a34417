"""Names what an action touches: the element of the screen under its point, where there is one.

A person who watches an agent reads ``tap “Save”`` at once; ``click [72, 64]`` says nothing without the screen beside
it. Coordinates are printed where no element lies under the point, and where several elements have the same text. The
prompts of models are worded elsewhere (:mod:`homeostat.agent.prompts`), and stay as they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.actions import Action, Click, LongPress, Open, Swipe, Type
from homeostat.agent.events import Event, Observe
from homeostat.agent.prompts import describe
from homeostat.envs.grid import Grid
from homeostat.foreign_text import clipped, shown
from homeostat.observation import Element, element_at

__all__ = ["LastScreen", "action_words"]

_LONGEST_NAME = 48  # characters of an element's text
_LONGEST_TEXT = 200  # characters of a text that is typed
_PART = 0.33  # a swipe names where it begins only if that element covers less than this share of the screen


class LastScreen:
    """Remembers the screen on which the next action happens.

    Attributes:
        pixels: The last screenshot, (height, width, 3) uint8; None before the first one.
        grid: The grid on which points are printed: the screenshot's pixels.
        elements: The elements of the last screen.
    """

    def __init__(self) -> None:
        """Starts without a screen."""
        self.pixels: Any = None
        self.grid = Grid(100, 100)
        self.elements: tuple[Element, ...] = ()

    def see(self, event: Event) -> None:
        """Takes an event in.

        Args:
            event: The event; only observations matter.
        """
        if not isinstance(event, Observe):
            return
        self.elements = event.elements
        if event.screenshot is not None and event.screenshot.size:
            self.pixels = event.screenshot
            self.grid = Grid(event.screenshot.shape[1], event.screenshot.shape[0])


def action_words(action: Action, grid: Grid, elements: Sequence[Element] = ()) -> str:
    """Words an action for a person.

    Args:
        action: The action.
        grid: The grid on which points are printed.
        elements: The elements of the screen on which the action happens.

    Returns:
        One line, such as ``tap “Save”``, ``tap field at [40, 96]``, ``tap [40, 96]``, ``swipe up`` or ``type “milk”``.
    """
    match action:
        case Click(point=point):
            return f"tap {_target(point, grid, elements)}"
        case LongPress(point=point, seconds=seconds):
            return f"press {_target(point, grid, elements)} for {seconds:g} s"
        case Swipe(point=point):
            return describe(action, grid) + _start(point, elements)
        case Type(text=text):
            return f"type “{clipped(shown(text), _LONGEST_TEXT)}”"
        case Open(app=app):
            return f"open “{clipped(shown(app), _LONGEST_NAME)}”"
    return describe(action, grid)


def _target(point: tuple[float, float], grid: Grid, elements: Sequence[Element]) -> str:
    """What lies under a point."""
    index = element_at(elements, point)
    if index is None:
        return str(grid.spell(point))
    name = _name(elements[index])
    if not name:
        return f"{shown(elements[index].role)} at {grid.spell(point)}"
    same = sum(_name(element) == name for element in elements) > 1
    return f"“{name}”" + (f" at {grid.spell(point)}" if same else "")


def _start(point: tuple[float, float], elements: Sequence[Element]) -> str:
    """Where a swipe begins, if that is a part of the screen with a text."""
    index = element_at(elements, point)
    if index is None:
        return ""
    left, top, right, bottom = elements[index].box
    name = _name(elements[index])
    return f" on “{name}”" if name and (right - left) * (bottom - top) < _PART else ""


def _name(element: Element) -> str:
    return clipped(shown(" ".join(element.text.split())), _LONGEST_NAME)
