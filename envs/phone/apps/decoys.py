"""Apps that look like another one: red herrings, never installed unless somebody asks for them by name.

A basic app has a decoy with a name of its own (``memos`` beside ``notes``); a collection has its ``lite`` edition, so
that every collection that joins the phone brings one along. A decoy has its own table, and rows of the same look.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.ui import App

__all__ = ["DECOYS", "Decoy", "find_app", "known_apps"]


@dataclass(frozen=True)
class Decoy:
    """``app``: the decoy itself. ``of``: whom it looks like. ``query``: the rows of the real app that its own rows are
    made of, one column a field, the title first.
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
    """Every app that can be installed, decoys last."""
    return (*APPS, *DECOYS)


def find_app(name: str) -> App:
    """The app or decoy of this name. Raises ``KeyError``."""
    return APPS[name] if name in APPS else DECOYS[name].app
