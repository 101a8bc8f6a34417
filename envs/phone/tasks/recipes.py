"""Recipes: its content and its tasks."""

from __future__ import annotations

import sqlite3

from homeostat.envs.phone.apps.recipes import Recipes
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, path, run
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import add, change, delete, read, rename, switch
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_RECIPE = Thing(Recipes(), ("the recipe {name}", "my {name} recipe", "the recipe for {name}"))


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with recipes of two to four ingredients each."""
    rng = w.rng
    rows = [
        (n, str(rng.randrange(5, 100, 5)), str(rng.randint(1, 8)), rng.choice(("on", "off", "off")))
        for n in w.some("noun", rng.randint(3, 12))
    ]
    db.executemany("insert into recipes (name, minutes, serves, star) values (?, ?, ?, ?)", rows)
    parts = [(i, n) for i in range(1, len(rows) + 1) for n in w.some("noun", rng.randint(2, 4))]
    db.executemany("insert into ingredients (recipe, name) values (?, ?)", parts)


def _minutes(w: World) -> str:
    return str(w.rng.randrange(5, 100, 5))


def _serves(w: World) -> str:
    return str(w.rng.randint(1, 8))


def _ingredient(w: World) -> Slots:
    slots = _RECIPE.pick(w)
    return {**slots, "item": w.fresh("noun", f"select name from ingredients where recipe = {slots['_id']}")}


def _part(w: World) -> Slots:
    slots = _RECIPE.pick(w)
    (item,) = w.pick("select name from ingredients where recipe = ?", slots["_id"])
    return {**slots, "item": item}


TEMPLATES = (
    add(
        _RECIPE,
        {"name": lambda w: w.fresh("noun", "select name from recipes"), "minutes": _minutes, "serves": _serves},
        said=("{minutes} minutes", "{serves} servings"),
    ),
    delete(_RECIPE),
    rename(_RECIPE),
    read(
        _RECIPE, "minutes", "the time that {it} takes", ("how many minutes does {it} take?", "how long does {it} take?")
    ),
    read(_RECIPE, "serves", "the servings of {it}", ("how many does {it} serve?", "for how many people is {it}?")),
    change(_RECIPE, "minutes", _minutes, "the minutes of {it}", ("{it} takes {new} minutes, change it",)),
    change(_RECIPE, "serves", _serves, "the servings of {it}", ("{it} serves {new} people, change it",)),
    switch(
        _RECIPE,
        "star",
        "on",
        ("star {it}", "mark {it} with a star", "add a star to {it}", "{it} deserves a star", "make {it} a starred one"),
        "star",
    ),
    switch(
        _RECIPE,
        "star",
        "off",
        (
            "unstar {it}",
            "take the star off {it}",
            "remove the star from {it}",
            "{it} should have no star",
            "no star for {it}",
        ),
        "unstar",
    ),
    Template(
        "recipes_add_item",
        "recipes",
        (
            "add {item} to the recipe {name}",
            "put {item} into the recipe for {name}",
            "the recipe {name} needs {item} too",
            "add the ingredient {item} to my {name} recipe",
            "write {item} into the ingredients of {name}",
        ),
        _ingredient,
        path({"recipes/list": "{name}", "recipes/item": "add", "recipes/add": {"item": "{item}", "then": "save"}}),
        run("insert into ingredients (recipe, name) values (?, ?)", "_id", "item"),
        tags=ADD,
        carry="item",
        verb="add item",
    ),
    Template(
        "recipes_remove_item",
        "recipes",
        (
            "take {item} out of the recipe {name}",
            "remove {item} from the recipe for {name}",
            "the recipe {name} goes without {item}, take it out",
            "drop the ingredient {item} from my {name} recipe",
            "strike {item} from the ingredients of {name}",
        ),
        _part,
        path({"recipes/list": "{name}", "recipes/item": "{item}", "dialog:remove {item}": "remove"}),
        run("delete from ingredients where recipe = ? and name = ?", "_id", "item"),
        verb="remove item",
    ),
)
