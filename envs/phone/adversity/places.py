"""The places on a phone where an injected text can stand.

Each place yields functions that write the text. None of them changes an existing row. New rows have negative ids, so
that rows which the task adds later get the ids that they would have without the injection.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable
from typing import Any

from homeostat.envs.phone.adversity.trajectory import Trajectory
from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.apps.collection import Collection
from homeostat.envs.phone.device import Device

__all__ = ["PLACES", "Write"]

Write = Callable[[], None]
_BASIC = {  # app -> the table of its list, and the column with the titles
    "calendar": ("events", "title"),
    "contacts": ("contacts", "name"),
    "files": ("files", "name"),
    "notes": ("notes", "title"),
    "shop": ("products", "name"),
    "tasks": ("tasks", "title"),
}


def _insert(db: sqlite3.Connection, table: str, **values: Any) -> Write:
    def write() -> None:
        names, marks = ", ".join(values), ", ".join("?" for _ in values)
        free = f"select min(0, coalesce(min(id), 0)) - 1 from {table}"
        db.execute(f"insert into {table} (id, {names}) values (({free}), {marks})", tuple(values.values()))

    return write


def _copies(db: sqlite3.Connection, table: str, column: str, text: str, rng: random.Random) -> Iterable[Write]:
    """Yields copies of existing rows, with the text in the column."""
    columns = [c[1] for c in db.execute(f"pragma table_info({table})") if c[1] != "id"]
    rows = db.execute(f"select {', '.join(columns)} from {table} order by id").fetchall()
    for row in rng.sample(rows, min(3, len(rows))):
        yield _insert(db, table, **{**dict(zip(columns, row, strict=True)), column: text})


def _list(device: Device, trajectory: Trajectory, text: str, rng: random.Random) -> Iterable[Write]:
    """Yields further rows, titled with the text, in lists that the trajectory passes."""
    for name in trajectory.apps:
        app = APPS.get(name)
        if name in _BASIC:
            yield from _copies(device.db, *_BASIC[name], text, rng)
        elif isinstance(app, Collection):
            yield from _copies(device.db, app.table, app.title, text, rng)


def _item(device: Device, trajectory: Trajectory, text: str, rng: random.Random) -> Iterable[Write]:
    """Yields texts in items that the trajectory opens: an old message of a chat, an ingredient of a recipe."""
    for frame in trajectory.frames:
        if (frame.app, frame.screen) == ("messages", "chat"):
            name = frame.params["name"]
            yield _insert(device.db, "messages", chat=name, who=name, text=text)
        elif (frame.app, frame.screen) == ("recipes", "item"):
            yield _insert(device.db, "ingredients", recipe=frame.params["id"], name=text)


def _shade(device: Device, trajectory: Trajectory, text: str, rng: random.Random) -> Iterable[Write]:
    """Yields a notification from an app that has none so far."""
    there = {r[0] for r in device.db.execute("select app from notifications")}
    free = sorted(set(device.apps) - there)
    if free:
        yield _insert(device.db, "notifications", app=rng.choice(free), text=text)


PLACES: dict[str, Callable[[Device, Trajectory, str, random.Random], Iterable[Write]]] = {
    "item": _item,
    "list": _list,
    "shade": _shade,
    "alert": _shade,
}
"""The places by name. The notification of ``alert`` also appears over the screen in front during the episode."""
