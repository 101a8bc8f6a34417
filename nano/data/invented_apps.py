"""Invented apps: collections with made-up names, fields and buttons, which teach an action apart from its app.

A model that only ever meets ``contacts`` learns that app by heart, and then can't do there what it does in every other
app. Nothing about an invented app can be learned by heart. The model has to read from the screen what
``the {field} of the {one} {title}`` is and where it is (domain randomisation: Tobin et al. 2017,
https://arxiv.org/abs/1703.06907). The templates are those of ``homeostat.envs.phone.tasks.verbs`` and a few similar
ones for buttons, a second list and a settings page.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.collection import Collection, Field
from homeostat.envs.phone.apps.settings import CHOICES, SWITCHES
from homeostat.envs.phone.tasks.base import Template
from homeostat.envs.phone.tasks.words import Words, split_of
from homeostat.nano.data.invented_screens import Invented
from homeostat.nano.data.invented_templates import invented_templates

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
_TAKEN = frozenset(["id", "new", "edit", "delete", "save", "cancel", "back", "home", "list", "item"])


@dataclass(frozen=True)
class Invention:
    """An invented app.

    Attributes:
        app: The app.
        templates: Its task templates by name.
        fill: Fills the app's tables with content.
    """

    app: Collection
    templates: dict[str, Template]
    fill: Callable[[sqlite3.Connection, Words], None]


@cache
def _labels() -> tuple[str, ...]:
    """The names of fields in the phone's own apps."""
    found = {f.name for app in APPS.values() if isinstance(app, Collection) for f in app.fields}
    found |= set(CHOICES) | {key for page in SWITCHES.values() for key in page}
    return tuple(sorted(n for n in found if n.isalpha() and len(n) <= 8))


class _Namer:
    """Draws different names for one app: half are field names of the phone's own apps, half are nouns."""

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
    """Invents one app with its templates. All of its words are training words.

    Args:
        rng: The random generator.
        number: A number that no other app has; it makes the table's name unique.

    Returns:
        The app.
    """
    words = Words(rng, "train", APPS)
    while True:
        found = _invent(rng, words, number)
        try:  # a drawn name may be an SQL keyword
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
    app: Invented = type("Invented", (Invented,), members)()
    draw = rng.choice(_TITLES)
    return Invention(app, invented_templates(rng, app, draw, first), _filler(app, draw, first))


def _filler(
    app: Invented, draw: str, values: dict[str, Callable[[Words], str]]
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


@cache
def inventions(seed: int, n: int = 600) -> tuple[Invention, ...]:
    """Invents many apps. A seed always gives the same apps.

    Args:
        seed: The seed.
        n: The number of apps.

    Returns:
        The apps.
    """
    rng = random.Random(f"inventions {seed}")
    return tuple(invent(rng, i) for i in range(n))
