"""The task templates of invented apps.

They are those of ``homeostat.envs.phone.tasks.verbs``, and a few similar ones for buttons, a second list and a settings
page.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Any

from homeostat.envs.phone.apps.collection import Field
from homeostat.envs.phone.tasks.base import NotPossible, Slots, Template, World
from homeostat.envs.phone.tasks.common import path, run
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import add, change, choose, delete, read, rename, switch
from homeostat.envs.phone.tasks.words import Words
from homeostat.nano.data.invented_screens import Invented

__all__ = ["invented_templates"]

_SWITCHED = {
    "on": ("turn {f} on for {it}", "switch {f} of {it} on", "{f} on for {it}", "{it} should have {f} on", "{f} {it}"),
    "off": ("turn {f} off for {it}", "switch {f} of {it} off", "{f} off for {it}", "{it} should have {f} off"),
}
_PRESSED = ("{f} {it}", "{f} {it} please", "i want to {f} {it}", "{it}: {f}")
_SET = ("change {n} to {{new}}", "set {n} to {{new}}", "{n} should be {{new}}", "update {n} to {{new}}", "{n}: {{new}}")
_ASKED = ("what is {n}?", "tell me {n}", "look up {n}", "find out {n}", "i need to know {n}")
_TURNED = ("turn {s} {n}", "switch {n} {s}", "turn {n} {s}", "{n} {s}", "{n} should be {s}")


def invented_templates(
    rng: random.Random, app: Invented, draw: str, values: Mapping[str, Callable[[Words], str]]
) -> dict[str, Template]:
    """Makes the templates of an app.

    Args:
        rng: The random generator.
        app: The app.
        draw: The kind of word that the items' titles are (a kind that ``Words`` draws).
        values: Field name -> a function that draws a value.

    Returns:
        The templates by name.
    """
    one, slot = app.one, f"{{{app.title}}}"
    its = [f"the {one} {slot}", f"my {one} {slot}", f"the {slot} {one}"]
    if rng.random() < 0.3:
        its = [f"{slot} in {app.name}", *its]
    where = app.inside or "1"
    thing = Thing(app, tuple(its), where)
    fields = [f for f in app.fields[1:] if f.kind != "hidden"]
    typed = [f for f in fields if f.kind == "text"]
    found: list[Template] = []
    if app.new:
        drawn = {app.title: lambda w: w.fresh(draw, f"select {app.title} from {app.table}")}
        found.append(add(thing, drawn | {f.name: _typed(values[f.name]) for f in typed}))
    if app.deletable:
        found.append(delete(thing))
    if app.editable:
        found.append(rename(thing, draw))
        found += [change(thing, f.name, _typed(values[f.name]), f"the {f.name} of {{it}}") for f in typed]
    for f in fields:
        if f.kind == "switch":
            for state, frames in _SWITCHED.items():
                found.append(switch(thing, f.name, state, tuple(g.replace("{f}", f.name) for g in frames)))
            continue
        found.append(read(thing, f.name, f"the {f.name} of {{it}}"))
        if f.kind == "choice":
            found.append(choose(thing, f.name, f"the {f.name} of {{it}}"))
    for name in app.presses:
        found.append(switch(thing, name, "on", tuple(g.replace("{f}", name) for g in _PRESSED), f"press_{name}"))
    if app.boxed:
        found += _boxed(app, fields)
    for f in app.singles:
        found += _single(app, f, values)
    return {t.name: t for t in found}


def _typed(value: Callable[[Words], str]) -> Callable[[World], str]:
    return lambda w: value(w.words)


def _boxed(app: Invented, fields: list[Field]) -> list[Template]:
    """Templates that read a field of an item in the second list."""
    slot, box = f"{{{app.title}}}", app.boxed
    its = (f"the {box} {app.one} {slot}", f"{slot} in {box} of {app.name}", f"the {app.one} {slot} in {box}")
    steps = {f"{app.name}/list": box, f"{app.name}/box": slot}
    found = []
    for f in fields:
        if f.kind == "switch":
            continue
        noun = f"the {f.name} of {its[0]}"

        def draw(w: World, f: Field = f) -> Slots:
            i, title, value = w.pick(f"select id, {app.title}, {f.name} from {app.table} where inbox = 'off'")
            return {"_id": str(i), app.title: title, "answer": value}

        found.append(
            Template(
                f"{app.name}_box_read_{f.name}",
                app.name,
                tuple(g.format(n=f"the {f.name} of {its[k % 3]}") for k, g in enumerate(_ASKED)),
                draw,
                path(steps),
                at=f"{app.name}/item",
                answer=lambda s: s["answer"],
                noun=noun,
                verb=f"read {f.name}",
            )
        )
    return found


def _single(app: Invented, f: Field, values: Mapping[str, Callable[[Words], str]]) -> list[Template]:
    """Templates that change a setting or read it."""
    nouns = (
        f"the {f.name} in {app.name}",
        f"the {app.one} {f.name}",
        f"my {f.name} in {app.name}",
        f"{f.name} in {app.name}",
    )
    table, list_, page = f"{app.table}_page", f"{app.name}/list", f"{app.name}/page"

    def old(w: World) -> str:
        value: str = w.pick(f"select {f.name} from {table}")[0]
        return value

    def new(w: World) -> Slots:
        fresh = w.rng.choice(f.options) if f.kind == "choice" else values[f.name](w.words)
        if fresh == old(w):
            raise NotPossible(fresh)
        return {"new": fresh}

    def template(name: str, frames: tuple[str, ...], draw: Callable[[World], Slots], steps: dict[str, Any]) -> Template:
        goals = tuple(g.format(n=nouns[k % len(nouns)], s=name) for k, g in enumerate(frames))
        steps = {list_: app.paged, page: f.name} | steps
        write = run(f"update {table} set {f.name} = ?", "new")
        return Template(f"{app.name}_{f.name}_{name}", app.name, goals, draw, path(steps), write, verb=f"set {f.name}")

    if f.kind == "switch":

        def turned(state: str) -> Callable[[World], Slots]:
            def draw(w: World) -> Slots:
                if old(w) == state:
                    raise NotPossible(state)
                return {"new": state}

            return draw

        return [template(s, _TURNED, turned(s), {}) for s in ("on", "off")]
    steps: dict[str, Any] = {f"dialog:{f.name}": "{new}"}
    if f.kind == "text":
        steps = {f"{app.name}/one": {f.name: "{new}", "then": "save"}}
    asked = Template(
        f"{app.name}_{f.name}_read",
        app.name,
        tuple(g.format(n=nouns[k % len(nouns)]) for k, g in enumerate(_ASKED)),
        lambda w: {"answer": old(w)},
        path({list_: app.paged}),
        at=page,
        answer=lambda s: s["answer"],
        noun=nouns[0],
        verb=f"read {f.name}",
    )
    return [template("set", _SET, new, steps), asked]
