"""Invented apps: collections with made-up names, fields and buttons, so that an act is learned apart from the app it
is done in.

A model that only ever meets ``contacts`` learns that app by heart, and then can't do there what it does everywhere
else. On an invented app nothing can be known by heart: what ``the {field} of the {one} {title}`` is, and where, has to
be read off the screen (domain randomisation: Tobin et al. 2017, https://arxiv.org/abs/1703.06907). Templates are those
of ``homeostat.envs.phone.tasks.verbs`` and a few of its kind for buttons, a second list and a page of settings.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.apps.settings import CHOICES, SWITCHES
from homeostat.envs.phone.tasks.base import NotPossible, Slots, Template, World
from homeostat.envs.phone.tasks.common import path, run
from homeostat.envs.phone.tasks.verbs import Thing, add, change, choose, delete, read, rename, switch
from homeostat.envs.phone.tasks.words import Words, split_of
from homeostat.envs.phone.ui import (
    Context,
    Screen,
    Widget,
    back,
    button,
    do,
    form_field,
    go,
    item,
    menu,
    sql,
    toast,
    toggle,
)

__all__ = ["Invention", "invent", "inventions"]

_VALUES: tuple[Callable[[Words], str], ...] = (
    lambda w: w.noun(),
    lambda w: w.phrase(2),
    lambda w: w.phrase(),
    lambda w: w.name(),
    lambda w: w.phone(),
    lambda w: w.time(),
    lambda w: f"${w.rng.randint(1, 900)}",
    lambda w: str(w.rng.randint(1, 99)),
    lambda w: f"{w.rng.randint(1, 900)}{w.rng.choice(('kb', 'gb', 'km', 'g', '%'))}",
    lambda w: f"{w.rng.randint(2, 90)} min",
    lambda w: w.rng.choice(DAYS),
)
_TITLES = ("noun", "noun", "title", "name")
_SWITCHED = {
    "on": ("turn {f} on for {it}", "switch {f} of {it} on", "{f} on for {it}", "{it} should have {f} on", "{f} {it}"),
    "off": ("turn {f} off for {it}", "switch {f} of {it} off", "{f} off for {it}", "{it} should have {f} off"),
}
_PRESSED = ("{f} {it}", "{f} {it} please", "i want to {f} {it}", "{it}: {f}")
_SET = ("change {n} to {{new}}", "set {n} to {{new}}", "{n} should be {{new}}", "update {n} to {{new}}", "{n}: {{new}}")
_ASKED = ("what is {n}?", "tell me {n}", "look up {n}", "find out {n}", "i need to know {n}")
_TURNED = ("turn {s} {n}", "switch {n} {s}", "turn {n} {s}", "{n} {s}", "{n} should be {s}")
_TAKEN = frozenset(["id", "new", "edit", "delete", "save", "cancel", "back", "home", "list", "item"])


class _Invented(Collection):
    """A collection with ``presses`` (buttons that set a hidden field to on), a second list behind the door ``box``
    (rows whose hidden field ``box`` is on) and a page of ``singles`` behind the door ``page``; each may be missing.
    """

    one = "invention"
    table = "invented"
    fields: ClassVar[tuple[Field, ...]] = (Field("name"),)
    presses: ClassVar[tuple[str, ...]] = ()
    boxed: ClassVar[str] = ""
    paged: ClassVar[str] = ""
    singles: ClassVar[tuple[Field, ...]] = ()

    def doors(self, ctx: Context) -> Iterable[Widget]:
        if self.boxed:
            yield button(self.boxed, go("box"))
        if self.paged:
            yield button(self.paged, go("page"))

    def buttons(self, ctx: Context, i: int, row: dict[str, str]) -> Iterable[Widget]:
        for name in self.presses:
            yield button(name, do(sql(f"update {self.table} set {name} = 'on' where id = ?", i), toast(name)))

    def box(self, ctx: Context) -> Screen:
        return Screen(self.boxed, self.rows(ctx, "inbox = 'off'"))

    def page(self, ctx: Context) -> Screen:
        body = []
        for f in self.singles:
            (value,) = ctx.one(f"select {f.name} from {self.table}_page")
            write = f"update {self.table}_page set {f.name} = ?"
            if f.kind == "switch":
                body.append(toggle(f.name, value == "on", sql(write, "off" if value == "on" else "on")))
            elif f.kind == "choice":
                body.append(item(f.name, value, tap=menu(f.name, *((o, sql(write, o)) for o in f.options))))
            else:
                body.append(item(f.name, value, tap=go("one", name=f.name)))
        return Screen(self.paged, tuple(body))

    def one_value(self, ctx: Context) -> Screen:
        name = ctx.params["name"]
        (old,) = ctx.one(f"select {name} from {self.table}_page")
        save = do(sql(f"update {self.table}_page set {name} = ?", ctx.draft(name, old)), back(), toast("saved"))
        return Screen(name, (form_field(name, ctx.draft(name, old)),), (button("save", save),))

    def build(self, ctx: Context, screen: str) -> Screen:
        return super().build(ctx, "one_value" if screen == "one" else screen)


@dataclass(frozen=True)
class Invention:
    """An invented app, its templates by name, and how it is filled with content."""

    app: Collection
    templates: dict[str, Template]
    fill: Callable[[sqlite3.Connection, Words], None]


@cache
def _labels() -> tuple[str, ...]:
    """What fields are called on the phone's own apps."""
    found = {f.name for app in APPS.values() if isinstance(app, Collection) for f in app.fields}
    found |= set(CHOICES) | {key for page in SWITCHES.values() for key in page}
    return tuple(sorted(n for n in found if n.isalpha() and len(n) <= 8))


class _Namer:
    """Different names for one app, half of them such as fields have on the phone's own apps, half drawn."""

    def __init__(self, rng: random.Random, words: Words) -> None:
        self.rng, self.words, self.used = rng, words, set(_TAKEN)

    def __call__(self) -> str:
        while True:
            name = self.rng.choice(_labels()) if self.rng.random() < 0.5 else self.words.noun()
            if name not in self.used and split_of(name) == "train":
                self.used.add(name)
                return name


def _field(rng: random.Random, namer: _Namer, words: Words, kinds: tuple[str, ...]) -> Field:
    kind = rng.choice(kinds)
    if kind == "choice":
        options = tuple(dict.fromkeys(words.noun() for _ in range(rng.randint(3, 4))))
        return Field(namer(), "choice", options, default=options[0])
    if kind == "switch":
        return Field(namer(), "switch", default="off")
    return Field(namer(), "fact" if kind == "fact" else "text")


def invent(rng: random.Random, number: int) -> Invention:
    """One app with its templates. ``number`` makes its table's name its own. All words are training words."""
    words = Words(rng, "train", APPS)
    while True:
        found = _invent(rng, words, number)
        try:  # a drawn name may be a word of SQL
            sqlite3.connect(":memory:").executescript(found.app.schema)
        except sqlite3.OperationalError:
            continue
        return found


def _invent(rng: random.Random, words: Words, number: int) -> Invention:
    namer = _Namer(rng, words)
    one = next(n for n in iter(words.noun, "") if len(n) <= 7 and f"{n}s" not in APPS and n not in APPS)
    namer.used |= {one, f"{one}s"}
    fields = [_field(rng, namer, words, ("text", "text", "fact", "choice", "switch")) for _ in range(rng.randint(1, 4))]
    title = Field(rng.choice(("name", "title")))
    has_box, has_page, is_open = rng.random() < 0.3, rng.random() < 0.5, rng.random() < 0.7
    presses = tuple(namer() for _ in range(rng.choice((0, 0, 1, 1, 2)) if is_open else rng.choice((0, 1, 2))))[:2]
    if is_open and len(presses) == 2:  # a footer holds three buttons
        presses = presses[:1]
    hidden = [Field(n, "hidden", default="off") for n in presses]
    singles = tuple(_field(rng, namer, words, ("text", "text", "choice", "switch")) for _ in range(rng.randint(1, 4)))
    if has_box:
        hidden.append(Field("inbox", "hidden", default="on"))
    columns = tuple(dict.fromkeys([title, *fields, *hidden]))
    table = f"invented_{number}"
    shown = [f.name for f in fields if f.kind in ("text", "choice", "fact")]
    first = {f.name: rng.choice(_VALUES) for f in (*fields, *singles)}
    page = ", ".join(f"{f.name} text not null default ''" for f in singles)
    members: dict[str, Any] = {
        "__doc__": "An invented app.",
        "name": f"{one}s",
        "colour": tuple(rng.randint(30, 170) for _ in range(3)),
        "one": one,
        "table": table,
        "fields": columns,
        "beside": rng.choice(shown) if shown and rng.random() < 0.4 else "",
        "more": f"create table {table}_page ({page});" if has_page else "",
        "inside": "inbox = 'on'" if has_box else "",
        "presses": presses,
        "boxed": namer() if has_box else "",
        "paged": namer() if has_page else "",
        "singles": singles if has_page else (),
        "editable": is_open,
        "new": is_open or rng.random() < 0.3,
        "deletable": is_open or rng.random() < 0.5,
    }
    app: _Invented = type("Invented", (_Invented,), members)()
    draw = rng.choice(_TITLES)
    return Invention(app, _templates(rng, app, draw, first), _filler(app, draw, first))


def _filler(
    app: _Invented, draw: str, values: dict[str, Callable[[Words], str]]
) -> Callable[[sqlite3.Connection, Words], None]:
    def value(f: Field, w: Words) -> str:
        if f.kind == "switch":
            return w.rng.choice(("on", "off"))
        return w.rng.choice(f.options) if f.kind == "choice" else values[f.name](w)

    def content(db: sqlite3.Connection, w: Words) -> None:
        visible = [f for f in app.fields[1:] if f.kind != "hidden"]
        hidden = [f for f in app.fields if f.kind == "hidden"]
        names = [app.title, *(f.name for f in (*visible, *hidden))]
        for text in w.some(draw, w.rng.randint(2, 9)):
            lying = ["off" if f.name != "inbox" or w.rng.random() < 0.4 else "on" for f in hidden]
            row = [text, *(value(f, w) for f in visible), *lying]
            marks = ", ".join("?" for _ in row)
            db.execute(f"insert into {app.table} ({', '.join(names)}) values ({marks})", row)
        if app.singles:
            marks = ", ".join("?" for _ in app.singles)
            db.execute(f"insert into {app.table}_page values ({marks})", [value(f, w) for f in app.singles])

    return content


def _templates(
    rng: random.Random, app: _Invented, draw: str, values: dict[str, Callable[[Words], str]]
) -> dict[str, Template]:
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


def _boxed(app: _Invented, fields: list[Field]) -> list[Template]:
    """Reading and deleting in the second list."""
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


def _single(app: _Invented, f: Field, values: dict[str, Callable[[Words], str]]) -> list[Template]:
    """Setting one value of the page of settings, and reading it."""
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


@cache
def inventions(seed: int, n: int = 600) -> tuple[Invention, ...]:
    """``n`` apps, always the same for a seed."""
    rng = random.Random(f"inventions {seed}")
    return tuple(invent(rng, i) for i in range(n))
