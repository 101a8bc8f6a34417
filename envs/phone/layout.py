"""The layout of a screen: the positions of all elements, in cells of the text grid.

The screen has 9 × 16 cells, the aspect ratio of a phone. A cell is a square that holds two fixed-width characters.
Every word begins at a cell boundary, so that a 16-pixel patch of the rendering at scale 1 always shows whole
characters. The rows are: 0 the status bar, 1 the title bar, 2–13 the body (which scrolls), 14 the footer, 15 the
navigation bar or a toast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from homeostat.envs.phone.ui import Screen, Widget
from homeostat.observation import Element

__all__ = [
    "BODY_ROWS",
    "COLUMNS",
    "ROWS",
    "Placed",
    "Run",
    "body_rows",
    "elements_of",
    "lay_out",
    "set_words",
    "width_of",
]

COLUMNS, ROWS = 9, 16
BODY_TOP, BODY_ROWS = 2, 12


@dataclass(frozen=True)
class Run:
    """One word on the screen.

    Attributes:
        column: The cell column of the first character.
        row: The cell row.
        word: The text.
        style: A name in the renderer's palette.
    """

    column: int
    row: int
    word: str
    style: str


@dataclass(frozen=True)
class Placed:
    """A widget at its position.

    Attributes:
        widget: The widget.
        box: (left, top, right, bottom) in cells; right and bottom are exclusive.
        runs: The words.
        style: A name in the renderer's palette.
    """

    widget: Widget
    box: tuple[int, int, int, int]
    runs: tuple[Run, ...]
    style: str = "body"

    @property
    def anchor(self) -> tuple[int, int]:
        """The cell (column, row) to touch: the cell of the label's first characters."""
        if self.runs:
            return self.runs[0].column, self.runs[0].row
        left, top, right, bottom = self.box
        return (left + right - 1) // 2, (top + bottom - 1) // 2


def width_of(text: str) -> int:
    """Measures a text on one line.

    Args:
        text: The text.

    Returns:
        The width in cells.
    """
    words = text.split()
    if not words:
        return 0
    return sum(len(w) // 2 + 1 for w in words[:-1]) + (len(words[-1]) + 1) // 2


def set_words(text: str, column: int, row: int, style: str, *, right: int = COLUMNS) -> list[Run]:
    """Sets a text in words, with line breaks. At least half a blank cell separates two words.

    A word that is longer than a line is broken at a cell boundary.

    Args:
        text: The text.
        column: The first column of every line.
        row: The row of the first line.
        style: A name in the renderer's palette.
        right: The exclusive right border.

    Returns:
        The words with their positions.
    """
    runs: list[Run] = []
    right = max(right, column + 1)
    at, line = column, row
    for word in text.split():
        rest = word
        while rest:
            if at > column and at + (len(rest) + 1) // 2 > right:
                at, line = column, line + 1
            room = 2 * (right - at)
            runs.append(Run(at, line, rest[:room], style))
            taken, rest = rest[:room], rest[room:]
            at += len(taken) // 2 + 1
            if rest:
                at, line = column, line + 1
    return runs


def _one_line(text: str, column: int, row: int, style: str) -> tuple[Run, ...]:
    return tuple(r for r in set_words(text, column, row, style) if r.row == row)


def _height(runs: Sequence[Run], row: int) -> int:
    return max((r.row for r in runs), default=row) - row + 1


def _keys(w: Widget, row: int) -> list[Placed]:
    """Lays out a row of keys, side by side."""
    width = COLUMNS // max(1, len(w.cells))
    boxes = [(i * width, row, (i + 1) * width, row + 1) for i in range(len(w.cells))]
    placed = []
    for key, box in zip(w.cells, boxes, strict=True):
        label = _one_line(key.text, box[0], row, "key")
        value = _one_line(key.value, box[0] + width_of(key.text), row, "value")
        placed.append(Placed(key, box, (*label, *value), "key"))
    return placed


def _rows(w: Widget, row: int, focus: str | None) -> list[Placed]:
    """Lays out one widget of the body from ``row`` on. A row of keys gives several elements."""
    return _keys(w, row) if w.cells else [_row(w, row, focus)]


def _row(w: Widget, row: int, focus: str | None) -> Placed:
    if w.role == "field":
        style = "focus" if w.key == focus else "box"
        label = set_words(w.text, 0, row, "label")
        value = set_words(w.value, 0, row + 1, style)
        return Placed(w, (0, row, COLUMNS, row + 1 + _height(value, row + 1)), (*label, *value), style)
    value_width = width_of(w.value)
    if value_width > COLUMNS - 4:  # too wide for the label's line: it goes below
        return _row(replace(w, value="", sub=f"{w.value} {w.sub}".strip()), row, focus)
    right = COLUMNS - value_width - 1 if value_width else COLUMNS
    label = set_words(w.text, 0, row, "dim" if w.role == "text" and w.value else "body", right=right)
    style = {"on": "on", "off": "off"}.get(w.value, "value") if w.role == "toggle" else "value"
    runs = [*label, *set_words(w.value, COLUMNS - value_width, row, style)]
    height = _height(label, row)
    if w.sub:
        below = set_words(w.sub, 0, row + height, "dim")
        runs += below
        height += _height(below, row + height)
    return Placed(w, (0, row, COLUMNS, row + height), tuple(runs), "text" if w.role == "text" else "row")


def body_rows(screen: Screen) -> int:
    """Measures the whole body, scrolled or not.

    Args:
        screen: The screen.

    Returns:
        The height in rows.
    """
    first = (_rows(w, 0, None)[0] for w in screen.body)
    return sum(p.box[3] - p.box[1] for p in first)


def elements_of(placed: Sequence[Placed]) -> tuple[Element, ...]:
    """Returns the accessibility tree of a layout.

    Args:
        placed: The elements, in reading order.

    Returns:
        The elements with normalised boxes, in the same order.
    """
    return tuple(
        Element.model_construct(
            role=p.widget.role,
            text=f"{p.widget.text} {p.widget.value}".strip() + (f" {p.widget.sub}" if p.widget.sub else ""),
            box=(p.box[0] / COLUMNS, p.box[1] / ROWS, p.box[2] / COLUMNS, p.box[3] / ROWS),
            state="focused" if p.style == "focus" else "",
        )
        for p in placed
    )


def lay_out(
    screen: Screen, *, deep: bool, scroll: int, focus: str | None, clock: str, badge: int, message: str
) -> tuple[list[Placed], list[tuple[Widget, int]]]:
    """Lays out a screen.

    Args:
        screen: The screen.
        deep: Whether the title bar shows a back arrow.
        scroll: The number of body rows that are scrolled away.
        focus: The key of the focused field; None if no field has the focus.
        clock: The time in the status bar.
        badge: The number of waiting notifications.
        message: The text of a toast; "" for none.

    Returns:
        The visible elements in reading order, and every widget of the body with its row relative to the body's top.
    """
    placed = [Placed(Widget("status", clock), (0, 0, 7, 1), tuple(set_words(clock, 0, 0, "status")))]
    if badge:
        placed.append(Placed(Widget("badge", str(badge)), (8, 0, 9, 1), tuple(set_words(str(badge), 8, 0, "status"))))
    if deep:
        arrow = Widget("button", "<", tap=["back", 1])
        placed.append(Placed(arrow, (0, 1, 1, 2), tuple(set_words("<", 0, 1, "title"))))
    placed.append(Placed(Widget("title", screen.title), (1, 1, 9, 2), _one_line(screen.title, 1, 1, "title")))
    rows: list[tuple[Widget, int]] = []
    row = -scroll
    for w in screen.body:
        there = _rows(w, BODY_TOP + row, focus)
        rows += [(p.widget, row) for p in there]
        row += there[0].box[3] - there[0].box[1]
        placed += [p for p in map(_visible, there) if p is not None]
    placed += _footer(screen.footer)
    if message:
        placed.append(Placed(Widget("toast", message), (0, 15, 9, 16), _one_line(message, 0, 15, "toast")))
    else:
        for name, column in (("back", 1), ("home", 4)):
            placed.append(Placed(Widget("nav", name, tap=[name]), (column - 1, 15, column + 2, 16), (), "nav"))
    return placed, rows


def _visible(p: Placed) -> Placed | None:
    """Returns the part of an element that the body shows, in whole lines; None if nothing of it is visible."""
    left, top, right, bottom = p.box
    if top >= BODY_TOP and bottom <= BODY_TOP + BODY_ROWS:
        return p
    if bottom <= BODY_TOP or top >= BODY_TOP + BODY_ROWS:
        return None
    inside = tuple(r for r in p.runs if BODY_TOP <= r.row < BODY_TOP + BODY_ROWS)
    return Placed(p.widget, (left, max(top, BODY_TOP), right, min(bottom, BODY_TOP + BODY_ROWS)), inside, p.style)


def _footer(buttons: Sequence[Widget]) -> list[Placed]:
    placed, column = [], 0
    for w in buttons:
        end = column + max(width_of(w.text), 2)
        placed.append(Placed(w, (column, 14, end, 15), _one_line(w.text, column, 14, "button"), "button"))
        column = end + (0 if len(w.text) % 2 else 1)
    return placed
