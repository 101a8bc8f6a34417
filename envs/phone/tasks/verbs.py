"""Templates that every collection can have: add, delete, read, change, rename, switch, choose.

Each function makes one template for one app. The phrasings are those of the verb, filled with the expressions by which
goals refer to the app's items. The parameter ``more`` adds phrasings of this app only. The slots are the title's own
name, ``_id`` for the row, ``new`` for the new value of a change, and ``answer``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from homeostat.envs.phone.tasks.base import NotPossible, Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, Route, path
from homeostat.envs.phone.tasks.thing import Thing

__all__ = ["Draw", "add", "change", "choose", "delete", "read", "rename", "switch", "tell"]

Draw = Callable[[World], str]


def _article(word: str) -> str:
    return "an" if word[0] in "aeiou" else "a"


def add(
    thing: Thing,
    draws: Mapping[str, Draw],
    more: tuple[str, ...] = (),
    carry: str | None = None,
    said: tuple[str, ...] = (),
) -> Template:
    """Makes the template that adds a row.

    Args:
        thing: The app's items.
        draws: Field -> generator of its value.
        more: Further phrasings.
        carry: The slot that another task's answer may fill.
        said: The expressions for the values, if ``the amount {amount}`` does not fit.

    Returns:
        The template.
    """
    app, title = thing.app, thing.app.title
    rest = [name for name in draws if name != title]
    spoken = " and ".join(said or (f"the {name} {{{name}}}" for name in rest))
    short = ", ".join(said or (f"{name} {{{name}}}" for name in rest))
    a = f"{_article(app.one)} {app.one}"
    goals = (
        f"add {a} {{{title}}} with {spoken}",
        f"create {a} called {{{title}}}, {short}",
        f"new {app.one} {{{title}}}: {short}",
        f"put {a} {{{title}}} into {app.name} with {spoken}",
        f"make a new {app.one} {{{title}}} with {spoken}",
        f"i need a new {app.one} {{{title}}}, {short}",
    )
    if not rest:
        goals = (
            f"add {a} {{{title}}}",
            f"create {a} called {{{title}}}",
            f"new {app.one} {{{title}}}",
            f"put {{{title}}} into {app.name}",
            f"make a new {app.one} {{{title}}}",
            f"i need a new {app.one} called {{{title}}}",
        )
    form = {name: f"{{{name}}}" for name in draws}
    names = ", ".join(draws)
    return Template(
        f"{app.name}_add",
        app.name,
        (*goals, *more),
        lambda w: {name: draw(w) for name, draw in draws.items()},
        path({**thing.way, thing.at("list"): "new", thing.at("edit"): {**form, "then": "save"}}, new=True),
        lambda s: [
            (f"insert into {app.table} ({names}) values ({', '.join('?' for _ in draws)})", tuple(s[n] for n in draws))
        ],
        tags=ADD,
        carry=carry,
        verb="add",
    )


def delete(thing: Thing, more: tuple[str, ...] = ()) -> Template:
    """Makes the template that deletes a row and what belongs to it.

    Args:
        thing: The app's items.
        more: Further phrasings.

    Returns:
        The template.
    """
    app = thing.app
    frames = (
        "delete {it}",
        "remove {it}",
        "erase {it}",
        "get rid of {it}",
        "throw {it} away",
        "i no longer need {it}, delete it",
    )
    return Template(
        f"{app.name}_delete",
        app.name,
        thing.ways(frames, more),
        thing.pick,
        path(
            {
                **thing.way,
                thing.at("list"): thing.title,
                thing.at("item"): "delete",
                f"dialog:delete {thing.title}": "delete",
            }
        ),
        lambda s: [(statement, tuple(params)) for _, statement, params in app.removal(int(s["_id"]))],
        tags=DELETE,
        verb="delete",
    )


def read(thing: Thing, field: str, noun: str, ask: tuple[str, ...] = ()) -> Template:
    """Makes the template that reads a field.

    Args:
        thing: The app's items.
        field: The field's name.
        noun: The expression for the answer, such as ``the amount of {it}``.
        ask: Further questions, with ``{it}``.

    Returns:
        The template.
    """
    frames = ("what is {noun}?", "tell me {noun}", "look up {noun}", "find out {noun}", "i need to know {noun}")
    return Template(
        f"{thing.app.name}_read_{field}",
        thing.app.name,
        thing.ways(frames, ask, noun=noun),
        lambda w: _answer(thing.pick(w, field), field),
        path({**thing.way, thing.at("list"): thing.title}),
        at=thing.at("item"),
        answer=lambda s: s["answer"],
        noun=noun.replace("{it}", thing.its[0]),
        verb=f"read {field}",
    )


def tell(
    name: str,
    app: str,
    goals: tuple[str, ...],
    draw: Callable[[World], Slots],
    route: Route,
    noun: str,
    verb: str,
    at: str = "",
) -> Template:
    """Makes the template of any other answer.

    Args:
        name: The task's name.
        app: The app's name.
        goals: The phrasings.
        draw: Draws the slots, ``answer`` among them.
        route: The oracle's route.
        noun: The expression for the answer.
        verb: The operation.
        at: The screen on which the answer is visible; "" if the route gives the answer itself.

    Returns:
        The template.
    """
    return Template(name, app, goals, draw, route, at=at, answer=lambda s: s["answer"], noun=noun, verb=verb)


def _answer(slots: Slots, field: str) -> Slots:
    return {**slots, "answer": slots[field]}


def change(thing: Thing, field: str, draw: Draw, noun: str, more: tuple[str, ...] = ()) -> Template:
    """Makes the template that changes a typed field.

    Args:
        thing: The app's items.
        field: The field's name.
        draw: The generator of the new value.
        noun: The expression for the field.
        more: Further phrasings.

    Returns:
        The template.
    """
    app = thing.app

    def slots(w: World) -> Slots:
        old = thing.pick(w, field)
        new = draw(w)
        if new == old[field]:
            raise NotPossible(new)
        return {**old, "new": new}

    frames = (
        "change {noun} to {new}",
        "set {noun} to {new}",
        "{noun} should be {new}",
        "update {noun} to {new}",
        "correct {noun}, it is {new}",
    )
    return Template(
        f"{app.name}_change_{field}",
        app.name,
        thing.ways(frames, more, noun=noun),
        slots,
        path(
            {
                **thing.way,
                thing.at("list"): thing.title,
                thing.at("item"): "edit",
                thing.at("edit"): {field: "{new}", "then": "save"},
            },
            new=False,
        ),
        lambda s: [(f"update {app.table} set {field} = ? where id = ?", (s["new"], s["_id"]))],
        carry="new",
        verb=f"change {field}",
    )


def rename(thing: Thing, draw: str = "noun", more: tuple[str, ...] = ()) -> Template:
    """Makes the template that changes the title.

    Args:
        thing: The app's items.
        draw: The name of the method of ``Words`` that draws the new title.
        more: Further phrasings.

    Returns:
        The template.
    """
    app, title = thing.app, thing.app.title
    frames = (
        "rename {it} to {new}",
        "change the name of {it} to {new}",
        "call {it} {new} from now on",
        "give {it} the name {new}",
        "{it} should be called {new}",
    )
    return Template(
        f"{app.name}_rename",
        app.name,
        thing.ways(frames, more),
        lambda w: {**thing.pick(w), "new": w.fresh(draw, thing.taken(title))},
        path(
            {
                **thing.way,
                thing.at("list"): thing.title,
                thing.at("item"): "edit",
                thing.at("edit"): {title: "{new}", "then": "save"},
            },
            new=False,
        ),
        lambda s: [(f"update {app.table} set {title} = ? where id = ?", (s["new"], s["_id"]))],
        verb="rename",
    )


def switch(thing: Thing, field: str, state: str, goals: tuple[str, ...], name: str = "") -> Template:
    """Makes the template that turns a switch on or off.

    Args:
        thing: The app's items.
        field: The switch.
        state: ``on`` or ``off``.
        goals: The phrasings, with ``{it}``.
        name: The end of the task's name; "" for the field and the state.

    Returns:
        The template.
    """
    app = thing.app
    return Template(
        f"{app.name}_{name or f'{field}_{state}'}",
        app.name,
        thing.ways(goals),
        lambda w: thing.pick(w, where=f"{field} != ?", params=(state,)),
        path({**thing.way, thing.at("list"): thing.title, thing.at("item"): field}),
        lambda s: [(f"update {app.table} set {field} = ? where id = ?", (state, s["_id"]))],
        verb=f"{field} {state}",
    )


def choose(thing: Thing, field: str, noun: str, more: tuple[str, ...] = ()) -> Template:
    """Makes the template that selects another option of a choice.

    Args:
        thing: The app's items.
        field: The choice.
        noun: The expression for the field.
        more: Further phrasings.

    Returns:
        The template.
    """
    app = thing.app
    options = app.field(field).options

    def slots(w: World) -> Slots:
        old = thing.pick(w, field)
        return {**old, "new": w.rng.choice([o for o in options if o != old[field]])}

    frames = (
        "change {noun} to {new}",
        "set {noun} to {new}",
        "{noun} should be {new}",
        "switch {noun} to {new}",
        "make {noun} {new}",
    )
    return Template(
        f"{app.name}_choose_{field}",
        app.name,
        thing.ways(frames, more, noun=noun),
        slots,
        path({**thing.way, thing.at("list"): thing.title, thing.at("item"): field, f"dialog:{field}": "{new}"}),
        lambda s: [(f"update {app.table} set {field} = ? where id = ?", (s["new"], s["_id"]))],
        verb=f"choose {field}",
    )
