"""The words that apps are written in: widgets, effects, screens. All plain data.

An app is a class with a database schema and one method per screen; a method reads the database through its
:class:`Context` and returns a :class:`Screen` of widgets. What a tap does is an *effect*: a JSON-able list such as
``["sql", "delete from notes where id = ?", [3]]``, carried out by the device, so that the whole phone can be
snapshot at any moment. Screens are rebuilt from the database after every action: nothing can be out of date.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "App",
    "Context",
    "Effect",
    "Frame",
    "Screen",
    "Widget",
    "back",
    "button",
    "confirm",
    "do",
    "form_field",
    "go",
    "home",
    "item",
    "keys",
    "launch",
    "line",
    "menu",
    "sql",
    "toast",
    "toggle",
]

Effect = list[Any]


def do(*effects: Effect) -> Effect:
    """Several effects, in order."""
    return ["do", list(effects)]


def sql(statement: str, *params: Any) -> Effect:
    """Run one SQL statement on the device's database."""
    return ["sql", statement, list(params)]


def go(screen: str, **params: Any) -> Effect:
    """Push a screen of the app in front."""
    return ["go", screen, params]


def back(times: int = 1) -> Effect:
    """Pop screens."""
    return ["back", times]


def home() -> Effect:
    """Show the launcher."""
    return ["home"]


def launch(app: str) -> Effect:
    """Bring an app to the front, at its first screen."""
    return ["launch", app]


def toast(text: str) -> Effect:
    """Show a line at the bottom until the next action."""
    return ["toast", text]


def confirm(question: str, yes: Effect, label: str = "delete") -> Effect:
    """A dialog with ``cancel`` and ``label``."""
    return ["dialog", question, [["cancel", ["do", []]], [label, yes]]]


def menu(title: str, *options: tuple[str, Effect]) -> Effect:
    """A dialog with one row an option."""
    return ["dialog", title, [list(o) for o in options]]


@dataclass(frozen=True)
class Widget:
    """One element of a screen.

    ``role`` as the accessibility tree tells it; ``text`` its label; ``value`` what stands at the right of the row (or,
    for a field, in its box). ``sub`` is a second line. ``tap`` and ``hold`` are effects; a field is focused by a tap.
    ``cells``: the widgets of a row of keys.
    """

    role: str
    text: str
    value: str = ""
    sub: str = ""
    tap: Effect | None = None
    hold: Effect | None = None
    key: str = ""
    cells: tuple[Widget, ...] = ()


def item(text: str, value: str = "", *, tap: Effect | None = None, hold: Effect | None = None, sub: str = "") -> Widget:
    """A row of a list."""
    return Widget("item", text, value, sub, tap, hold)


def toggle(text: str, on: bool, tap: Effect) -> Widget:
    """A row with a switch."""
    return Widget("toggle", text, "on" if on else "off", tap=tap)


def form_field(key: str, value: str) -> Widget:
    """A labelled text field; ``key`` is its label too."""
    return Widget("field", key, value, key=key)


def button(text: str, tap: Effect) -> Widget:
    """A button of the footer."""
    return Widget("button", text, tap=tap)


def keys(*cells: tuple[str, Effect] | tuple[str, Effect, str]) -> Widget:
    """A row of keys of equal width, each a label, what a tap does, and perhaps a value behind the label."""
    return Widget("keys", "", cells=tuple(Widget("key", text, "".join(more), tap=tap) for text, tap, *more in cells))


def line(text: str, value: str = "", *, sub: str = "") -> Widget:
    """Text without an action; long text wraps."""
    return Widget("text", text, value, sub)


@dataclass(frozen=True)
class Screen:
    """What one screen shows: a title bar, a body that scrolls, a footer of up to three buttons."""

    title: str
    body: tuple[Widget, ...]
    footer: tuple[Widget, ...] = ()


@dataclass
class Frame:
    """One entry of the back stack. ``draft`` holds what was typed into the fields."""

    app: str
    screen: str
    params: dict[str, Any] = field(default_factory=dict)
    scroll: int = 0
    draft: dict[str, str] = field(default_factory=dict)
    focus: str | None = None


class Context:
    """What a screen method may read."""

    def __init__(self, db: sqlite3.Connection, frame: Frame) -> None:
        self._db = db
        self._frame = frame
        self.params: Mapping[str, Any] = frame.params

    def all(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Every row of a query."""
        return self._db.execute(query, params).fetchall()

    def one(self, query: str, *params: Any) -> tuple[Any, ...]:
        """The first row of a query. Raises ``LookupError`` where there is none: the screen closes."""
        row: tuple[Any, ...] | None = self._db.execute(query, params).fetchone()
        if row is None:
            raise LookupError(query)
        return row

    def draft(self, key: str, default: str = "") -> str:
        """What stands in a field: typed text, or ``default``."""
        return self._frame.draft.get(key, default)


class App:
    """Base class: ``name``, ``colour`` (RGB of the title bar), ``schema`` (SQL), ``first`` screen, ``traces``.

    ``traces`` names tables that only tell what was looked at or tried out (a history, a display): what stands in them
    is no side effect, so a task compares them only where it says so.

    Subclasses define screens as methods ``(self, ctx) -> Screen`` named after the screen.
    """

    name: str = ""
    colour: tuple[int, int, int] = (60, 90, 160)
    schema: str = ""
    first: str = "list"
    traces: frozenset[str] = frozenset()

    def build(self, ctx: Context, screen: str) -> Screen:
        """The named screen as it is now."""
        method: Callable[[Context], Screen] = getattr(self, screen)
        return method(ctx)
