"""The oracle's view of the phone, and the moves from which routes are built.

A route maps the present screen to the next action. It is a closed loop: it finds its way from every state that the
phone can be in. It decides from what a user could see, plus the positions of rows that are scrolled away.
"""

from __future__ import annotations

from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.layout import COLUMNS, ROWS, Placed

__all__ = ["SCROLL_DOWN", "SCROLL_UP", "View", "cell"]


def cell(column: int, row: int) -> tuple[float, float]:
    """Returns the centre of a cell.

    Args:
        column: The cell's column.
        row: The cell's row.

    Returns:
        The normalised point.
    """
    return (column + 0.5) / COLUMNS, (row + 0.5) / ROWS


SCROLL_DOWN = a.Swipe(point=cell(4, 11), to=cell(4, 4))
SCROLL_UP = a.Swipe(point=cell(4, 4), to=cell(4, 11))
OPEN_SHADE = a.Swipe(point=cell(4, 0), to=cell(4, 8))
BACK = a.SystemButton(button="Back")
_DISMISS = ("cancel", "later", "no", "skip", "close")


class View:
    """The phone as the oracle sees it.

    Attributes:
        device: The phone.
        screen: The name of the screen in front.
    """

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
        """The text of the title bar, or a dialog's question."""
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
        """Returns the value beside or below a label.

        Args:
            text: The label.

        Returns:
            The value; None if the label is not visible.
        """
        found = self._find(text)
        return (found.widget.value or found.widget.sub) if found else None

    def tap(self, text: str, *, hold: bool = False) -> a.Action | None:
        """Returns the action that touches the element with a label, or scrolls towards it.

        Args:
            text: The label.
            hold: Whether to hold the element.

        Returns:
            The action; None if the screen has no such element.
        """
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
        """Returns the next action that fills a form.

        Args:
            values: Field -> content.
            then: The button to touch once all fields are filled.

        Returns:
            The action; None if the screen lacks a field or the button.
        """
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
        """Returns the action that closes a dialog.

        Returns:
            A touch of the option that dismisses it, or the system's back button.
        """
        for p in self.device.placed():
            if p.widget.role == "option" and p.widget.text in _DISMISS:
                return a.Click(point=cell(*p.anchor))
        return BACK
