"""Drawing: its content and its tasks."""

from __future__ import annotations

import sqlite3

from homeostat import actions as a
from homeostat.envs.phone.apps.drawing import CELLS, PENS, Drawing, paint
from homeostat.envs.phone.tasks.base import Change, Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, path, run
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import delete, rename
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_CANVAS = "drawing/canvas"
_DRAWING = Thing(
    Drawing(), ("the drawing {name}", "my drawing {name}", "the drawing called {name}"), way={_CANVAS: "saved"}
)
_COLOURS = PENS[:-1]


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with painted cells and saved drawings."""
    rng = w.rng
    painted = [(c, rng.choice(_COLOURS)) for c in rng.sample(CELLS, rng.randint(0, 8))]
    db.executemany("insert into canvas values (?, ?)", painted)
    db.executemany("insert into drawings (name) values (?)", [(n,) for n in w.some("noun", rng.randint(2, 8))])
    db.execute("update pen set colour = ?", (rng.choice(PENS),))


def _cell(w: World) -> Slots:
    colour = w.rng.choice(_COLOURS)
    taken = {c for (c,) in w.device.db.execute("select cell from canvas where colour = ?", (colour,))}
    return {"cell": w.rng.choice([c for c in CELLS if c not in taken]), "colour": colour}


def _painted(w: World) -> Slots:
    return {"cell": w.pick("select cell from canvas")[0], "colour": "blank"}


def _paint(v: View, s: Slots) -> a.Action | None:
    """Chooses the pen first, then paints the cell."""
    if v.screen == "dialog":
        return v.tap(s["colour"]) if v.title == "pen" else None
    if v.screen != _CANVAS:
        return None
    return v.tap("pen") if v.value("pen") != s["colour"] else v.tap(s["cell"])


def _painting(s: Slots) -> Change:
    return [("update pen set colour = ?", (s["colour"],)), *paint(s["cell"], s["colour"])]


def _pen(w: World) -> Slots:
    (old,) = w.pick("select colour from pen")
    return {"new": w.rng.choice([p for p in PENS if p != old])}


def _something(w: World) -> Slots:
    w.pick("select 1 from canvas")
    return {}


TEMPLATES = (
    Template(
        "drawing_paint",
        "drawing",
        (
            "paint the cell {cell} {colour}",
            "make the cell {cell} of the drawing {colour}",
            "colour the cell {cell} {colour} in drawing",
            "the cell {cell} on the canvas should be {colour}",
            "take the {colour} pen and paint the cell {cell}",
        ),
        _cell,
        _paint,
        _painting,
        verb="paint",
    ),
    Template(
        "drawing_erase",
        "drawing",
        (
            "erase the cell {cell} of the drawing",
            "take the colour off the cell {cell}",
            "make the cell {cell} blank in drawing",
            "the cell {cell} on the canvas should be blank",
            "take the blank pen and touch the cell {cell}",
        ),
        _painted,
        _paint,
        _painting,
        verb="erase",
    ),
    Template(
        "drawing_pen",
        "drawing",
        (
            "set the pen to {new}",
            "change the pen in drawing to {new}",
            "take the {new} pen, but paint nothing",
            "the pen should be {new}",
            "switch the drawing pen to {new}",
        ),
        _pen,
        path({_CANVAS: "pen", "dialog:pen": "{new}"}),
        run("update pen set colour = ?", "new"),
        verb="choose pen",
    ),
    Template(
        "drawing_read_pen",
        "drawing",
        (
            "which colour is the pen in drawing?",
            "what colour does the pen have?",
            "tell me the colour of the pen",
            "look up the colour of the drawing pen",
            "find out which pen is taken in drawing",
        ),
        lambda w: {"answer": w.pick("select colour from pen")[0]},
        path({}),
        at=_CANVAS,
        answer=lambda s: s["answer"],
        noun="the colour of the pen",
        verb="read pen",
    ),
    Template(
        "drawing_clear",
        "drawing",
        (
            "clear the canvas",
            "erase everything that is painted",
            "empty the canvas in drawing",
            "i want a blank canvas",
            "wipe the whole canvas",
        ),
        _something,
        path({_CANVAS: "clear", "dialog:clear all": "clear"}),
        run("delete from canvas"),
        tags=DELETE,
        verb="clear",
    ),
    Template(
        "drawing_save",
        "drawing",
        (
            "save the drawing as {name}",
            "save what is painted under the name {name}",
            "keep this drawing, call it {name}",
            "store the drawing, its name is {name}",
            "the drawing should be saved as {name}",
        ),
        lambda w: {"name": w.fresh("noun", "select name from drawings")},
        path({_CANVAS: "save", "drawing/edit": {"name": "{name}", "then": "save"}}, new=True),
        run("insert into drawings (name) values (?)", "name"),
        tags=ADD,
        carry="name",
        verb="save",
    ),
    delete(_DRAWING),
    rename(_DRAWING),
)
