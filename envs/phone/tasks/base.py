"""Task templates, and the exact check of a task's end.

A template draws its slots on a filled phone. It states which change of the database or which answer the slots ask for,
and how the oracle gets there. Success is exact: the database must equal the initial database with that change and no
other. A task that is done with a side effect, or done twice, has therefore failed.
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
    """This phone holds nothing that the template could be about. The caller draws another phone or template."""


@dataclass
class World:
    """A filled phone and the vocabulary that fills it.

    Attributes:
        device: The phone.
        words: The generator of words.
    """

    device: Device
    words: Words

    @property
    def rng(self) -> random.Random:
        """The generator of every random draw."""
        return self.words.rng

    def pick(self, query: str, *params: Any) -> tuple[Any, ...]:
        """Returns a random row of a query.

        Args:
            query: The SQL query, with ``?`` for each parameter.
            params: The parameters.

        Returns:
            The row.

        Raises:
            NotPossible: The query has no rows.
        """
        rows = self.device.db.execute(query, params).fetchall()
        if not rows:
            raise NotPossible(query)
        row: tuple[Any, ...] = self.rng.choice(rows)
        return row

    def fresh(self, draw: str, query: str) -> str:
        """Draws a value that a query does not return.

        Args:
            draw: The name of a method of :class:`~homeostat.envs.phone.tasks.words.Words`.
            query: An SQL query with one column, which holds the values in use.

        Returns:
            The value.

        Raises:
            NotPossible: Fifty draws gave only values in use.
        """
        taken = {r[0] for r in self.device.db.execute(query)}
        for _ in range(50):
            value: str = getattr(self.words, draw)()
            if value not in taken:
                return value
        raise NotPossible(query)


@dataclass(frozen=True)
class Template:
    """An atomic task.

    Attributes:
        name: The task's name.
        app: The app in which the task is done; ``any`` for a task that is not bound to an app.
        goals: Phrasings of the goal, with ``{slots}``.
        draw: Draws the slots on a filled phone.
        route: Returns the oracle's next action for the present screen; None to go back.
        change: Returns the SQL statements that the task asks for.
        answer: Returns the answer that the user should receive; None if the task asks for none.
        at: The screen on which the answer is visible; "" if the route gives the answer itself.
        tags: The kinds of operation that a rule can forbid.
        front: Whether the app must be in front at the end.
        carry: The slot that another task's answer may fill.
        watch: The trace tables (see :class:`~homeostat.envs.phone.ui.App`) that the check compares too.
        noun: How another goal refers to the answer, such as ``the amount of the expense {name}``.
        verb: The operation, in one or two words.
    """

    name: str
    app: str
    goals: tuple[str, ...]
    draw: Callable[[World], Slots]
    route: Callable[[View, Slots], a.Action | None]
    change: Callable[[Slots], Change] = lambda s: []
    answer: Callable[[Slots], str] | None = None
    at: str = ""
    tags: frozenset[str] = frozenset()
    front: bool = False
    carry: str | None = None
    watch: frozenset[str] = field(default_factory=frozenset)
    noun: str = ""
    verb: str = ""


_QUERIES: dict[str, str] = {}  # CREATE statement of a table -> the query of its content


def _query(db: sqlite3.Connection, table: str, made: str) -> str:
    if made not in _QUERIES:
        columns = ", ".join(c[1] for c in db.execute(f"pragma table_info({table})").fetchall() if c[1] != "id")
        _QUERIES[made] = f"select {columns} from {table} order by {columns}"
    return _QUERIES[made]


def fingerprint(db: sqlite3.Connection, watch: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """Returns the content of the database without row ids.

    Args:
        db: The database.
        watch: The trace tables to include; the others are left out.

    Returns:
        The sorted rows of every table, in the order of the tables' names.
    """
    there = db.execute("select name, sql from sqlite_master where type = 'table' order by name").fetchall()
    return tuple(
        tuple(db.execute(_query(db, name, made)).fetchall())
        for name, made in there
        if name not in _TRACES or name in watch
    )


def fingerprint_after(db: sqlite3.Connection, change: Change, watch: frozenset[str] = frozenset()) -> tuple[Any, ...]:
    """Returns the fingerprint that a change would leave behind. The database stays as it is.

    Args:
        db: The database.
        change: The SQL statements with their parameters.
        watch: The trace tables to include; the others are left out.

    Returns:
        The fingerprint.
    """
    db.execute("savepoint change")
    try:
        for statement, params in change:
            db.execute(statement, params)
        return fingerprint(db, watch)
    finally:
        db.execute("rollback to change")
        db.execute("release change")
