"""Expenses: its content and its tasks."""

from __future__ import annotations

import sqlite3

from homeostat.envs.phone.apps.expenses import KINDS, Expenses, dollars
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import path, run
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import add, change, choose, delete, read, rename
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_EXPENSE = Thing(Expenses(), ("the expense {name}", "the {name} expense", "my expense {name}"))


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with expenses of every kind and a budget."""
    rng = w.rng
    rows = [(n, f"${rng.randint(1, 250)}", rng.choice(KINDS)) for n in w.some("noun", rng.randint(4, 12))]
    db.executemany("insert into expenses (name, amount, kind) values (?, ?, ?)", rows)
    db.execute("update budget set amount = ?", (f"${rng.randrange(100, 1000, 50)}",))


def _amount(w: World) -> str:
    return f"${w.rng.randint(1, 250)}"


def _total(w: World) -> Slots:
    kind = w.rng.choice(KINDS)
    rows = w.device.db.execute("select amount from expenses where kind = ?", (kind,)).fetchall()
    return {"kind": kind, "answer": f"${sum(dollars(amount) for (amount,) in rows)}"}


def _budget(w: World) -> Slots:
    return {"answer": w.pick("select amount from budget")[0]}


def _new_budget(w: World) -> Slots:
    (old,) = w.pick("select amount from budget")
    return {"new": w.rng.choice([f"${n}" for n in range(100, 1000, 50) if f"${n}" != old])}


TEMPLATES = (
    add(_EXPENSE, {"name": lambda w: w.fresh("noun", "select name from expenses"), "amount": _amount}, carry="amount"),
    delete(_EXPENSE),
    rename(_EXPENSE),
    read(_EXPENSE, "amount", "the amount of {it}", ("how much was {it}?", "how high is {it}?")),
    read(_EXPENSE, "kind", "the kind of {it}", ("of which kind is {it}?",)),
    change(_EXPENSE, "amount", _amount, "the amount of {it}", ("{it} was {new}, correct the amount",)),
    choose(_EXPENSE, "kind", "the kind of {it}", ("file {it} under {new}",)),
    Template(
        "expenses_read_total",
        "expenses",
        (
            "what is the total of {kind} in expenses?",
            "how much did i spend on {kind}?",
            "tell me the total spent on {kind}",
            "look up the total of the kind {kind}",
            "find out what {kind} cost in total",
        ),
        _total,
        path({"expenses/list": "totals"}),
        at="expenses/totals",
        answer=lambda s: s["answer"],
        noun="the total spent on {kind}",
        verb="read total",
    ),
    Template(
        "expenses_read_budget",
        "expenses",
        (
            "what is my budget?",
            "how high is the budget in expenses?",
            "tell me the budget",
            "look up my budget",
            "find out how much the budget is",
        ),
        _budget,
        path({"expenses/list": "totals"}),
        at="expenses/totals",
        answer=lambda s: s["answer"],
        noun="the budget in expenses",
        verb="read budget",
    ),
    Template(
        "expenses_budget",
        "expenses",
        (
            "set the budget to {new}",
            "change my budget to {new}",
            "the budget should be {new}",
            "make {new} the budget in expenses",
            "my new budget is {new}, enter it",
        ),
        _new_budget,
        path(
            {
                "expenses/list": "totals",
                "expenses/totals": "budget",
                "expenses/budget": {"budget": "{new}", "then": "save"},
            }
        ),
        run("update budget set amount = ?", "new"),
        carry="new",
        verb="set budget",
    ),
)
