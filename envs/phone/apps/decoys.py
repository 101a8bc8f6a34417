"""Decoys: apps that resemble another app. They are installed only if they are requested by name.

The decoy of a basic app has a name of its own (``memos`` for ``notes``). The decoy of a collection is its ``lite``
edition, so every new collection automatically has one. A decoy has a table of its own, with rows that resemble the real
app's rows.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.ui import App

__all__ = ["DECOYS", "Decoy", "find_app", "known_apps"]


@dataclass(frozen=True)
class Decoy:
    """A decoy and the app that it resembles.

    Attributes:
        app: The decoy.
        of: The name of the app that it resembles.
        query: SQL that selects the real app's rows, from which the decoy's rows are made: one column for each field,
            the title first.
    """

    app: Collection
    of: str
    query: str


_LOOKS: dict[str, tuple[str, str, tuple[str, ...], str]] = {
    "calendar": ("agenda", "event", ("title", "day", "time"), "select title, day, time from events"),
    "clock": ("alarms", "alarm", ("time", "label"), "select time, label from alarms"),
    "contacts": ("people", "person", ("name", "phone"), "select name, phone from contacts"),
    "files": ("drive", "file", ("name", "size"), "select name, size from files"),
    "messages": ("chats", "chat", ("name", "text"), "select chat, text from messages group by chat"),
    "notes": ("memos", "memo", ("title", "text"), "select title, body from notes"),
    "settings": ("tweaks", "tweak", ("name", "value"), "select key, value from settings"),
    "shop": ("market", "product", ("name", "price"), "select name, price from products"),
    "tasks": ("todo", "task", ("title", "level"), "select title, level from tasks"),
}


def _dimmed(colour: tuple[int, int, int]) -> tuple[int, int, int]:
    red, green, blue = ((3 * c + 90) // 4 for c in colour)
    return red, green, blue


def _decoy(app: App) -> Decoy | None:
    if app.name in _LOOKS:
        name, one, columns, query = _LOOKS[app.name]
        fields = tuple(Field(c) for c in columns)
    elif isinstance(app, Collection):
        name, one, fields = f"{app.name} lite", app.one, app.fields
        query = f"select {', '.join(f.name for f in fields)} from {app.table}"
    else:
        return None
    members = {
        "__doc__": f"Looks like {app.name}.",
        "name": name,
        "colour": _dimmed(app.colour),
        "one": one,
        "table": f"decoy_{app.name}",
        "fields": fields,
    }
    return Decoy(type(f"{app.name.title()}Decoy", (Collection,), members)(), app.name, query)


DECOYS: dict[str, Decoy] = {d.app.name: d for app in APPS.values() if (d := _decoy(app)) is not None}


def known_apps() -> tuple[str, ...]:
    """Returns the names of every app that can be installed, decoys last."""
    return (*APPS, *DECOYS)


def find_app(name: str) -> App:
    """Returns the app or decoy of this name.

    Args:
        name: The name.

    Returns:
        The app.

    Raises:
        KeyError: There is no app of this name.
    """
    return APPS[name] if name in APPS else DECOYS[name].app
