"""What the oracle sees, and the moves it is written in.

A route maps what is in front to the next action; it is closed-loop, so it finds its way from any state the phone can be
in, whatever brought it there. It decides from what a user could see (and the place of a row that is scrolled away).
"""

from __future__ import annotations

from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.layout import COLUMNS, ROWS, Placed

__all__ = ["SCROLL_DOWN", "SCROLL_UP", "View", "cell"]


def cell(column: int, row: int) -> tuple[float, float]:
    """The centre of a cell, normalised."""
    return (column + 0.5) / COLUMNS, (row + 0.5) / ROWS


SCROLL_DOWN = a.Swipe(point=cell(4, 11), to=cell(4, 4))
SCROLL_UP = a.Swipe(point=cell(4, 4), to=cell(4, 11))
OPEN_SHADE = a.Swipe(point=cell(4, 0), to=cell(4, 8))
BACK = a.SystemButton(button="Back")
_DISMISS = ("cancel", "later", "no", "skip", "close")


class View:
    """The phone in front of the oracle."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.screen = device.screen

    @property
    def params(self) -> dict[str, Any]:
        """The parameters of the screen in front."""
        frame = self.device.frame
        return frame.params if frame else {}

    @property
    def title(self) -> str:
        """What the title bar says, or a dialog's question."""
        if self.device.dialog:
            return str(self.device.dialog[0])
        return next((p.widget.text for p in self.device.placed() if p.widget.role == "title"), "")

    def _find(self, text: str, roles: tuple[str, ...] = ()) -> Placed | None:
        for p in self.device.placed():
            w = p.widget
            if w.text == text and (
                w.role in roles if roles else w.role not in ("title", "status", "badge", "toast", "nav", "dialog")
            ):
                return p
        return None

    def value(self, text: str) -> str | None:
        """What stands beside a label, or below it; None where it isn't visible."""
        found = self._find(text)
        return (found.widget.value or found.widget.sub) if found else None

    def tap(self, text: str, *, hold: bool = False) -> a.Action | None:
        """Touch the element with this label, scrolling to it where it must be; None where there is none."""
        found = self._find(text)
        if found is not None and found.runs:
            point = cell(*found.anchor)
            return a.LongPress(point=point) if hold else a.Click(point=point)
        top = 0
        for widget, row in self.device.rows():
            if widget.text == text:
                top = row
                return SCROLL_DOWN if top > 0 else SCROLL_UP
        return None

    def fill(self, values: dict[str, str], then: str) -> a.Action | None:
        """Put each value into its field, then touch ``then``."""
        frame = self.device.frame
        for key, wanted in values.items():
            field = self._find(key, ("field",))
            if field is None:
                return None
            if field.widget.value != wanted:
                if frame is not None and frame.focus == key:
                    return a.Type(text=wanted)
                return a.Click(point=cell(*field.anchor))
        return self.tap(then)

    def dismiss(self) -> a.Action:
        """Get rid of a dialog that is in the way."""
        for p in self.device.placed():
            if p.widget.role == "option" and p.widget.text in _DISMISS:
                return a.Click(point=cell(*p.anchor))
        return BACK
