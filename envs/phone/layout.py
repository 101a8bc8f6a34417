"""Where everything stands on the screen: one vector layout, in cells of the text grid.

The screen is 9 × 16 cells (the aspect of a phone); a cell is a square that holds two fixed-width characters. Every
word begins on a cell, so that a 16-pixel patch of the small rendering always shows whole characters. Rows: 0 status
bar, 1 title, 2–13 body (scrolls), 14 footer, 15 navigation bar or toast.
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
    """One word at a cell: ``style`` is a name in the renderer's palette."""

    column: int
    row: int
    word: str
    style: str


@dataclass(frozen=True)
class Placed:
    """A widget with its box (left, top, right, bottom, in cells) and its words. ``anchor``: the cell to touch."""

    widget: Widget
    box: tuple[int, int, int, int]
    runs: tuple[Run, ...]
    style: str = "body"

    @property
    def anchor(self) -> tuple[int, int]:
        """The cell of the label's first characters."""
        if self.runs:
            return self.runs[0].column, self.runs[0].row
        left, top, right, bottom = self.box
        return (left + right - 1) // 2, (top + bottom - 1) // 2


def width_of(text: str) -> int:
    """Cells that a text takes on one line."""
    words = text.split()
    if not words:
        return 0
    return sum(len(w) // 2 + 1 for w in words[:-1]) + (len(words[-1]) + 1) // 2


def set_words(text: str, column: int, row: int, style: str, *, right: int = COLUMNS) -> list[Run]:
    """Set a text from a cell on, wrapping at ``right``; a blank half or whole cell parts two words.

    A word longer than the line is broken at a cell.
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
    """A row of keys, side by side."""
    width = COLUMNS // max(1, len(w.cells))
    boxes = [(i * width, row, (i + 1) * width, row + 1) for i in range(len(w.cells))]
    placed = []
    for key, box in zip(w.cells, boxes, strict=True):
        label = _one_line(key.text, box[0], row, "key")
        value = _one_line(key.value, box[0] + width_of(key.text), row, "value")
        placed.append(Placed(key, box, (*label, *value), "key"))
    return placed


def _rows(w: Widget, row: int, focus: str | None) -> list[Placed]:
    """One widget of the body, set from ``row`` on; several where it is a row of keys."""
    return _keys(w, row) if w.cells else [_row(w, row, focus)]


def _row(w: Widget, row: int, focus: str | None) -> Placed:
    if w.role == "field":
        style = "focus" if w.key == focus else "box"
        label = set_words(w.text, 0, row, "label")
        value = set_words(w.value, 0, row + 1, style)
        return Placed(w, (0, row, COLUMNS, row + 1 + _height(value, row + 1)), (*label, *value), style)
    value_width = width_of(w.value)
    if value_width > COLUMNS - 4:  # too wide to stand beside its label: below it
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
    """Rows that the whole body takes, scrolled or not."""
    first = (_rows(w, 0, None)[0] for w in screen.body)
    return sum(p.box[3] - p.box[1] for p in first)


def elements_of(placed: Sequence[Placed]) -> tuple[Element, ...]:
    """The accessibility tree of what was laid out, in reading order."""
    return tuple(
        Element.model_construct(
            role=p.widget.role,
            text=f"{p.widget.text} {p.widget.value}".strip() + (f" {p.widget.sub}" if p.widget.sub else ""),
            box=(p.box[0] / COLUMNS, p.box[1] / ROWS, p.box[2] / COLUMNS, p.box[3] / ROWS),
        )
        for p in placed
    )


def lay_out(
    screen: Screen, *, deep: bool, scroll: int, focus: str | None, clock: str, badge: int, message: str
) -> tuple[list[Placed], list[tuple[Widget, int]]]:
    """Everything visible, in reading order, and every body widget with its row relative to the body's top.

    ``deep``: a back arrow stands in the title bar. ``badge``: notifications waiting. ``message``: a toast.
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
    """What the body shows of it; where an edge cuts it, only whole lines."""
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
