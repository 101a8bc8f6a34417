"""The vocabulary in which apps are written: widgets and screens, which are plain data.

An app is a class with a database schema and one method for each screen. A method reads the database through its
:class:`Context` and returns a :class:`Screen` of widgets. A widget's effects (see
:mod:`~homeostat.envs.phone.effects`) describe what a touch does. Screens are rebuilt from the database after every
action, so they are never out of date.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeostat.envs.phone.effects import Effect

__all__ = [
    "App",
    "Context",
    "Frame",
    "Screen",
    "Widget",
    "button",
    "form_field",
    "item",
    "keys",
    "line",
    "toggle",
]


@dataclass(frozen=True)
class Widget:
    """One element of a screen.

    Attributes:
        role: The role in the accessibility tree.
        text: The label.
        value: The text at the right end of the row; for a field, its content.
        sub: The second line.
        tap: The effect of a tap; None for none. A tap on a field focuses it.
        hold: The effect of a long press; None for the same as ``tap``.
        key: The name under which a field's draft is stored.
        cells: The keys of a row of keys.
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
    """Returns a row of a list.

    Args:
        text: The label.
        value: The text at the right end of the row.
        tap: The effect of a tap.
        hold: The effect of a long press.
        sub: The second line.

    Returns:
        The widget.
    """
    return Widget("item", text, value, sub, tap, hold)


def toggle(text: str, on: bool, tap: Effect) -> Widget:
    """Returns a row with a switch.

    Args:
        text: The label.
        on: Whether the switch is on.
        tap: The effect of a tap.

    Returns:
        The widget.
    """
    return Widget("toggle", text, "on" if on else "off", tap=tap)


def form_field(key: str, value: str) -> Widget:
    """Returns a labelled text field.

    Args:
        key: The name under which the draft is stored, which is also the label.
        value: The present content.

    Returns:
        The widget.
    """
    return Widget("field", key, value, key=key)


def button(text: str, tap: Effect) -> Widget:
    """Returns a button of the footer.

    Args:
        text: The label.
        tap: The effect of a tap.

    Returns:
        The widget.
    """
    return Widget("button", text, tap=tap)


def keys(*cells: tuple[str, Effect] | tuple[str, Effect, str]) -> Widget:
    """Returns a row of keys of equal width.

    Args:
        cells: For each key its label, the effect of a tap, and optionally a value behind the label.

    Returns:
        The widget.
    """
    return Widget("keys", "", cells=tuple(Widget("key", text, "".join(more), tap=tap) for text, tap, *more in cells))


def line(text: str, value: str = "", *, sub: str = "") -> Widget:
    """Returns a text without an action. Long text wraps.

    Args:
        text: The label or the text.
        value: The text at the right end of the row.
        sub: The second line.

    Returns:
        The widget.
    """
    return Widget("text", text, value, sub)


@dataclass(frozen=True)
class Screen:
    """The content of one screen.

    Attributes:
        title: The text of the title bar.
        body: The rows, which scroll.
        footer: Up to three buttons.
    """

    title: str
    body: tuple[Widget, ...]
    footer: tuple[Widget, ...] = ()


@dataclass
class Frame:
    """One entry of the back stack.

    Attributes:
        app: The app's name.
        screen: The screen's name.
        params: The screen's parameters.
        scroll: The number of body rows that are scrolled away.
        draft: The text typed into each field, by the field's key.
        focus: The key of the focused field; None if no field has the focus.
    """

    app: str
    screen: str
    params: dict[str, Any] = field(default_factory=dict)
    scroll: int = 0
    draft: dict[str, str] = field(default_factory=dict)
    focus: str | None = None


class Context:
    """Read access to the database and to the frame, for the methods that build screens.

    Attributes:
        params: The screen's parameters.
    """

    def __init__(self, db: sqlite3.Connection, frame: Frame) -> None:
        """Creates a context.

        Args:
            db: The phone's database.
            frame: The frame whose screen is built.
        """
        self._db = db
        self._frame = frame
        self.params: Mapping[str, Any] = frame.params

    def all(self, query: str, *params: Any) -> list[tuple[Any, ...]]:
        """Returns every row of a query.

        Args:
            query: The SQL query, with ``?`` for each parameter.
            params: The parameters.

        Returns:
            The rows.
        """
        return self._db.execute(query, params).fetchall()

    def one(self, query: str, *params: Any) -> tuple[Any, ...]:
        """Returns the first row of a query.

        Args:
            query: The SQL query, with ``?`` for each parameter.
            params: The parameters.

        Returns:
            The row.

        Raises:
            LookupError: There is no row. The device then closes the screen.
        """
        row: tuple[Any, ...] | None = self._db.execute(query, params).fetchone()
        if row is None:
            raise LookupError(query)
        return row

    def draft(self, key: str, default: str = "") -> str:
        """Returns the text in a field.

        Args:
            key: The field's key.
            default: The text if nothing was typed.

        Returns:
            The text.
        """
        return self._frame.draft.get(key, default)


class App:
    """Base class of apps. A subclass defines each screen as a method ``(self, ctx) -> Screen`` with the screen's name.

    Attributes:
        name: The app's name.
        colour: The RGB colour of the title bar.
        schema: The SQL that creates the app's tables.
        first: The name of the first screen.
        traces: Tables that only record what was viewed or tried out, such as a history or a display. Changes in them
            are not side effects; a task compares them only if it names them.
    """

    name: str = ""
    colour: tuple[int, int, int] = (60, 90, 160)
    schema: str = ""
    first: str = "list"
    traces: frozenset[str] = frozenset()

    def build(self, ctx: Context, screen: str) -> Screen:
        """Builds a screen from the present state.

        Args:
            ctx: Read access to the database and the frame.
            screen: The screen's name.

        Returns:
            The screen.
        """
        method: Callable[[Context], Screen] = getattr(self, screen)
        return method(ctx)
