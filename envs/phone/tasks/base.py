"""What a task template is, and how a task's end is checked.

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

from homeostat import actions as a
from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.words import Words

__all__ = ["Change", "NotPossible", "Slots", "Template", "World", "fingerprint", "fingerprint_after"]

Slots = dict[str, str]
Change = list[tuple[str, tuple[Any, ...]]]

_TRACES = frozenset[str]().union(*(app.traces for app in APPS.values()))


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
    ``tags``: what a rule can forbid. ``app``: where it happens (``any``: wherever one is). ``noun``: how another goal
    speaks of the answer (``the amount of the expense {name}``). ``verb``: what is done, in one word.
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
    watch: frozenset[str] = field(default_factory=frozenset)  # traces (see ``App``) that are compared too
    noun: str = ""
    verb: str = ""


_QUERIES: dict[str, str] = {}  # by the statement that made the table


def _query(db: sqlite3.Connection, table: str, made: str) -> str:
    if made not in _QUERIES:
        columns = ", ".join(c[1] for c in db.execute(f"pragma table_info({table})").fetchall() if c[1] != "id")
        _QUERIES[made] = f"select {columns} from {table} order by {columns}"
    return _QUERIES[made]


def fingerprint(db: sqlite3.Connection, watch: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """What the database holds, row ids left out. The apps' traces count only where ``watch`` names them."""
    there = db.execute("select name, sql from sqlite_master where type = 'table' order by name").fetchall()
    return tuple(
        tuple(db.execute(_query(db, name, made)).fetchall())
        for name, made in there
        if name not in _TRACES or name in watch
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
