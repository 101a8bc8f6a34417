"""What a task template is, how the phone is filled, and how a task's end is checked.

A template draws its slots on a filled phone, says which change of the database they ask for (or which answer), and how
the oracle gets there. Success is exact: the database must equal the initial one with just that change, so a task done
with a side effect, or done twice, has failed.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from homeostat.envs import actions as a
from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.settings import CHOICES, SWITCHES
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.words import Split, Words

__all__ = ["Change", "NotPossible", "Slots", "Template", "World", "fill", "fingerprint", "fingerprint_after"]

Slots = dict[str, str]
Change = list[tuple[str, tuple[Any, ...]]]


class NotPossible(Exception):
    """This phone has nothing the template could be about: draw another."""


@dataclass
class World:
    """A filled phone and the words it is filled with."""

    device: Device
    words: Words

    @property
    def rng(self) -> random.Random:
        """The generator that everything is drawn from."""
        return self.words.rng

    def pick(self, query: str, *params: Any) -> tuple[Any, ...]:
        """A random row of a query. Raises :class:`NotPossible` where there is none."""
        rows = self.device.db.execute(query, params).fetchall()
        if not rows:
            raise NotPossible(query)
        row: tuple[Any, ...] = self.rng.choice(rows)
        return row

    def fresh(self, draw: str, query: str) -> str:
        """A value that the query (one column) does not hold."""
        taken = {r[0] for r in self.device.db.execute(query)}
        for _ in range(50):
            value: str = getattr(self.words, draw)()
            if value not in taken:
                return value
        raise NotPossible(query)


@dataclass(frozen=True)
class Template:
    """An atomic task.

    ``goals``: phrasings with ``{slots}``. ``draw`` picks the slots. ``change`` lists the SQL that the task asks for.
    ``route`` is the oracle's next action for what it sees (None: go back). ``answer`` is what the user should be told.
    ``tags``: what a rule can forbid. ``app``: where it happens (``any``: wherever one is).
    """

    name: str
    app: str
    goals: tuple[str, ...]
    draw: Callable[[World], Slots]
    route: Callable[[View, Slots], a.Action | None]
    change: Callable[[Slots], Change] = lambda s: []
    answer: Callable[[Slots], str] | None = None
    at: str = ""  # the screen that the answer is read on
    tags: frozenset[str] = frozenset()
    front: bool = False  # the app must be in front at the end
    carry: str | None = None  # the slot that another task's answer may fill
    watch: frozenset[str] = field(default_factory=frozenset)  # tables compared besides the apps' own


def _tables(db: sqlite3.Connection) -> dict[str, str]:
    tables = {}
    for (name,) in db.execute("select name from sqlite_master where type = 'table' order by name").fetchall():
        columns = [c[1] for c in db.execute(f"pragma table_info({name})").fetchall() if c[1] != "id"]
        tables[name] = f"select {', '.join(columns)} from {name} order by {', '.join(columns)}"
    return tables


_QUERIES: dict[str, str] = {}


def fingerprint(db: sqlite3.Connection, watch: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """What the database holds, row ids left out. Notifications count only where ``watch`` names them."""
    if not _QUERIES:
        _QUERIES.update(_tables(db))
    return tuple(
        tuple(db.execute(query).fetchall())
        for name, query in _QUERIES.items()
        if name != "notifications" or name in watch
    )


def fingerprint_after(db: sqlite3.Connection, change: Change, watch: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """The fingerprint that the change would leave behind; the database stays as it is."""
    db.execute("savepoint change")
    try:
        for statement, params in change:
            db.execute(statement, params)
        return fingerprint(db, watch)
    finally:
        db.execute("rollback to change")
        db.execute("release change")


def fill(rng: random.Random, split: Split) -> World:
    """A phone with content in every app, all of one vocabulary."""
    device = Device()
    db, w = device.db, Words(rng, split)
    write = db.executemany
    db.execute("begin")
    write(
        "insert into settings values (?, ?)",
        [(k, rng.choice(("on", "off"))) for page in SWITCHES.values() for k in page],
    )
    write("insert into settings values (?, ?)", [(k, rng.choice(options)) for k, (_, options) in CHOICES.items()])
    facts = {
        "name": w.noun(),
        "version": f"{rng.randint(10, 19)}.{rng.randint(0, 9)}",
        "storage": f"{rng.randint(8, 250)}gb",
    }
    write("insert into settings values (?, ?)", [*facts.items(), ("battery", f"{rng.randint(5, 99)}")])
    times = w.some("time", rng.randint(2, 6))
    rows = [(t, w.noun(), rng.choice(("on", "off"))) for t in times]
    write("insert into alarms (time, label, state) values (?, ?, ?)", rows)
    db.execute("update timer set minutes = ?", (str(rng.randint(1, 59)),))
    notes = [(t, w.phrase(), rng.choice(("yes", "no", "no", "no"))) for t in w.some("title", rng.randint(3, 12))]
    write("insert into notes (title, body, pinned) values (?, ?, ?)", notes)
    names = w.some("name", rng.randint(4, 16))
    people = [(n, w.phone(), rng.choice(("on", "off"))) for n in names]
    write("insert into contacts (name, phone, star) values (?, ?, ?)", people)
    chats = w.some("name", rng.randint(2, 8))
    write("insert into chats values (?, ?)", [(n, rng.choice(("yes", "no", "no"))) for n in chats])
    said = [(n, rng.choice((n, n, "me")), w.phrase()) for n in chats for _ in range(rng.randint(0, 2))]
    write("insert into messages (chat, who, text) values (?, ?, ?)", [*said, *((n, n, w.phrase()) for n in chats)])
    events = [(t, rng.choice(DAYS), w.time()) for t in w.some("title", rng.randint(3, 12))]
    write("insert into events (title, day, time) values (?, ?, ?)", events)
    kinds = [rng.choice(("file", "file", "file", "folder")) for _ in range(rng.randint(4, 14))]
    names = w.some("noun", len(kinds))
    files = [
        (n, f"{rng.randint(1, 900)}kb", k, rng.choice(("yes", "no", "no"))) for n, k in zip(names, kinds, strict=True)
    ]
    write("insert into files (name, size, kind, star) values (?, ?, ?, ?)", files)
    todo = [(t, rng.choice(("on", "off")), rng.choice(PRIORITIES)) for t in w.some("title", rng.randint(3, 12))]
    write("insert into tasks (title, done, level) values (?, ?, ?)", todo)
    products = [(n, f"${rng.randint(1, 999)}") for n in w.some("noun", rng.randint(5, 16))]
    write("insert into products (name, price) values (?, ?)", products)
    cart = rng.sample(products, rng.randint(0, 3))
    write("insert into cart (name) values (?)", [(n,) for n, _ in cart])
    alerts = [(rng.choice(("calendar", "messages", "shop", "tasks")), w.phrase(2)) for _ in range(rng.randint(0, 3))]
    write("insert into notifications (app, text) values (?, ?)", alerts)
    db.execute("commit")
    return World(device, w)
