"""Calculator: its content and its tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from homeostat import actions as a
from homeostat.envs.phone.apps.calculator import SIGNS, shown, work_out
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import DELETE, path, run
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.verbs import tell
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_PAD = "calculator/pad"
_RESULTS = frozenset({"results"})


def _numbers(w: Words, sign: str) -> tuple[str, str]:
    """Draws two numbers for a calculation whose result has at most four digits. Divisions have no remainder."""
    rng = w.rng
    if sign in "*/":
        one, two = rng.randint(2, 99), rng.randint(2, 9)
        return (str(one * two), str(two)) if sign == "/" else (str(one), str(two))
    return str(rng.randint(2, 99)), str(rng.randint(2, 99))


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with results, often a number in memory, and often a calculation on the display."""
    rng = w.rng
    sums: dict[str, str] = {}
    for _ in range(rng.randint(2, 7)):
        sign = rng.choice(SIGNS)
        one, two = _numbers(w, sign)
        sums[shown(one, sign, two)] = work_out(one, sign, two)
    db.executemany("insert into results (sum, value) values (?, ?)", list(sums.items()))
    if rng.random() < 0.7:
        db.execute("update memory set value = ?", (str(rng.randint(2, 999)),))
    sign = rng.choice(SIGNS)
    one, two = _numbers(w, sign)
    left = rng.choice(
        (("", "", "", ""), ("", "", "", ""), (one, "", "", ""), (one, sign, two, work_out(one, sign, two)))
    )
    db.execute("update display set one = ?, sign = ?, two = ?, result = ?", left)


def _typed(v: View, wanted: str) -> a.Action | None:
    """Returns the next key for a calculation such as ``12+7`` or for a number; None once all of it is typed."""
    there = (v.value("typed") or "").replace(" ", "")
    there = "" if there == "0" else there
    if v.value("result") or not wanted.startswith(there):
        return v.tap("c")
    return v.tap(wanted[len(there)]) if there != wanted else None


def _calculate(v: View, s: Slots) -> a.Action | None:
    """Types the calculation, takes its result, then does what the task asks for."""
    if v.screen != _PAD:
        return None
    typed = (v.value("typed") or "").replace(" ", "")
    if typed == s["_sum"] and v.value("result"):
        return v.tap("keep") if "_keep" in s else a.Answer(text=s["answer"])
    if "_memory" in s and typed == "0":
        return v.tap("recall")
    return _typed(v, s["_sum"]) or v.tap("=")


def _sum(w: World, sign: str) -> Slots:
    one, two = _numbers(w.words, sign)
    return {"one": one, "two": two, "_sum": f"{one}{sign}{two}", "answer": work_out(one, sign, two)}


def _memory(w: World) -> str:
    value: str = w.pick("select value from memory where value != ''")[0]
    return value


def _memory_plus(w: World) -> Slots:
    one, two = _memory(w), str(w.rng.randint(2, 99))
    return {"two": two, "_sum": f"{one}+{two}", "_memory": one, "answer": work_out(one, "+", two)}


def _keep(w: World) -> Slots:
    sign, word = w.rng.choice((("+", "plus"), ("-", "minus"), ("*", "times")))
    return {**_sum(w, sign), "sign": word, "_keep": "yes"}


def _put(w: World) -> Slots:
    old = w.pick("select value from memory")[0]
    return {"number": w.rng.choice([str(n) for n in range(2, 1000) if str(n) != old])}


def _put_number(v: View, s: Slots) -> a.Action | None:
    return (_typed(v, s["number"]) or v.tap("keep")) if v.screen == _PAD else None


def _result(w: World) -> Slots:
    total, value = w.pick("select sum, value from results")
    return {"sum": total, "answer": value}


def _work_out(name: str, sign: str, noun: str, goals: tuple[str, ...]) -> Template:
    """Makes the template of a calculation with this sign. ``noun`` and ``goals`` name the numbers."""
    goals = (
        f"what is {{one}} {name} {{two}}?",
        f"work out {{one}} {sign} {{two}}",
        f"use the calculator: how much is {{one}} {name} {{two}}?",
        f"tell me {noun}",
        *goals,
    )
    verb = name.split()[0]
    return tell(f"calculator_{verb}", "calculator", goals, lambda w: _sum(w, sign), _calculate, noun, verb)


def _read(name: str, screen: str, noun: str, goals: tuple[str, ...], draw: Callable[[World], Slots]) -> Template:
    """Makes a template that reads something on the screen of the memory or of the history."""
    return tell(
        f"calculator_{name}",
        "calculator",
        goals,
        draw,
        path({_PAD: screen}),
        at=f"calculator/{screen}",
        noun=noun,
        verb=name.replace("_", " "),
    )


TEMPLATES = (
    _work_out(
        "plus",
        "+",
        "the sum of {one} and {two}",
        ("add {one} and {two} in the calculator, what do you get?", "add up {one} and {two}"),
    ),
    _work_out(
        "minus",
        "-",
        "the difference of {one} and {two}",
        ("take {two} from {one} in the calculator, what is left?", "subtract {two} from {one}"),
    ),
    _work_out(
        "times",
        "*",
        "the product of {one} and {two}",
        ("multiply {one} by {two}", "calculate {one} times {two} and tell me the result"),
    ),
    _work_out(
        "divided by",
        "/",
        "the result of {one} divided by {two}",
        ("divide {one} by {two}", "how often does {two} go into {one}?"),
    ),
    tell(
        "calculator_memory_plus",
        "calculator",
        (
            "what is the number in the memory of the calculator plus {two}?",
            "recall the memory of the calculator, add {two} and tell me the sum",
            "add {two} to the number in memory and tell me the result",
            "how much is the memory of the calculator plus {two}?",
            "tell me what the number in memory and {two} add up to",
        ),
        _memory_plus,
        _calculate,
        noun="the number in memory plus {two}",
        verb="memory plus",
    ),
    Template(
        "calculator_keep",
        "calculator",
        (
            "work out {one} {sign} {two} and keep the result in memory",
            "put the result of {one} {sign} {two} into the memory of the calculator",
            "calculate {one} {sign} {two}, then store it in memory",
            "keep what {one} {sign} {two} is in the memory of the calculator",
            "i need {one} {sign} {two} in the memory of the calculator",
        ),
        _keep,
        _calculate,
        run("update memory set value = ?", "answer"),
        verb="keep",
    ),
    Template(
        "calculator_put",
        "calculator",
        (
            "put the number {number} into the memory of the calculator",
            "keep {number} in the memory of the calculator",
            "store the number {number} in memory",
            "the memory of the calculator should hold {number}",
            "set the memory of the calculator to {number}",
        ),
        _put,
        _put_number,
        run("update memory set value = ?", "number"),
        verb="put",
    ),
    _read(
        "read_memory",
        "memory",
        "the number in the memory of the calculator",
        (
            "what is in the memory of the calculator?",
            "which number does the memory of the calculator hold?",
            "tell me the number in memory",
            "look up what the calculator has in memory",
            "find out which number i kept in the calculator",
        ),
        lambda w: {"answer": _memory(w)},
    ),
    Template(
        "calculator_clear_memory",
        "calculator",
        (
            "clear the memory of the calculator",
            "empty the memory of the calculator",
            "erase the number in the calculator's memory",
            "the memory of the calculator should hold nothing",
            "delete what the calculator has in memory",
        ),
        lambda w: {"_old": _memory(w)},
        path({_PAD: "memory", "calculator/memory": "clear"}),
        run("update memory set value = ''"),
        tags=DELETE,
        verb="clear memory",
    ),
    _read(
        "read_last",
        "history",
        "the last result in the history of the calculator",
        (
            "what was the last result in the calculator?",
            "tell me the last result of the calculator's history",
            "look up the result that the calculator gave last",
            "which result is the last one in the history of the calculator?",
            "find out what i worked out last in the calculator",
        ),
        lambda w: {"answer": w.pick("select value from results where id = (select max(id) from results)")[0]},
    ),
    _read(
        "read_result",
        "history",
        "the result of {sum} in the history of the calculator",
        (
            "which result stands beside {sum} in the history of the calculator?",
            "look up {sum} in the calculator's history and tell me its result",
            "what did {sum} come to, according to the history of the calculator?",
            "find {sum} in the history of the calculator, what was the result?",
            "tell me the result of {sum} from the calculator's history",
        ),
        _result,
    ),
    Template(
        "calculator_remove",
        "calculator",
        (
            "remove {sum} from the history of the calculator",
            "take {sum} out of the calculator's history",
            "delete the entry {sum} in the history of the calculator",
            "erase {sum} from the history of the calculator",
            "the history of the calculator should not have {sum}, remove it",
        ),
        _result,
        path({_PAD: "history", "calculator/history": "{sum}", "dialog:remove {sum}": "remove"}),
        run("delete from results where sum = ?", "sum"),
        tags=DELETE,
        watch=_RESULTS,
        verb="remove",
    ),
    Template(
        "calculator_clear_history",
        "calculator",
        (
            "clear the history of the calculator",
            "empty the calculator's history",
            "delete all results in the calculator",
            "wipe the list of results in the calculator",
            "get rid of the history of the calculator",
        ),
        lambda w: {},
        path({_PAD: "history", "calculator/history": "clear", "dialog:clear history": "clear"}),
        run("delete from results"),
        tags=DELETE,
        watch=_RESULTS,
        verb="clear history",
    ),
)
