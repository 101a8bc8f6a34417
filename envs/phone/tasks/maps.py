"""Maps: its content and its tasks."""

from __future__ import annotations

import sqlite3

from homeostat import actions as a
from homeostat.envs.phone.apps.maps import KINDS, WAYS, Maps, minutes
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import path
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import add, change, choose, delete, read, rename, tell
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_PLACE = Thing(Maps(), ("the place {name}", "the place {name} in maps", "{name} in maps"))


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with places, a means of travel, and a trip on two of three phones."""
    rng = w.rng
    places = [(n, w.noun(), rng.choice(KINDS), str(rng.randint(1, 40))) for n in w.some("noun", rng.randint(4, 12))]
    db.executemany("insert into places (name, road, kind, km) values (?, ?, ?, ?)", places)
    db.execute("update way set way = ?", (rng.choice(list(WAYS)),))
    if rng.random() < 2 / 3:
        db.execute("update trip set place = ?, way = ?", (rng.randint(1, len(places)), rng.choice(list(WAYS))))


def _name(w: World) -> str:
    return w.fresh("noun", "select name from places")


def _start(w: World) -> Slots:
    slots = _PLACE.pick(w, where="id not in (select place from trip)")
    return {**slots, "way": w.rng.choice(list(WAYS))}


def _minutes(w: World) -> Slots:
    slots = {**_PLACE.pick(w, "km"), "way": w.rng.choice(list(WAYS))}
    return {**slots, "answer": minutes(slots["km"], slots["way"])}


def _trip(w: World) -> Slots:
    name, way, km = w.pick("select p.name, t.way, p.km from trip t join places p on p.id = t.place")
    return {"to": name, "way": way, "minutes": minutes(km, way)}


def _by(v: View, s: Slots) -> a.Action | None:
    """Chooses the means of travel on the route's screen, then answers or starts."""
    if v.screen == "maps/route" and str(v.params["id"]) == s["_id"] and v.value("way") == s["way"]:
        return a.Answer(text=s["answer"]) if "answer" in s else v.tap("start")
    return _TO_ROUTE(v, s)


_TO_ROUTE = path({"maps/list": "{name}", "maps/item": "route", "maps/route": "way", "dialog:way": "{way}"})


def _read_trip(field: str, noun: str, goals: tuple[str, ...]) -> Template:
    """Makes a template that reads something on the trip's screen."""
    return Template(
        f"maps_read_trip_{field}",
        "maps",
        goals,
        _trip,
        path({"maps/list": "trip"}),
        at="maps/trip",
        answer=lambda s: s[field],
        noun=noun,
        verb=f"read trip {field}",
    )


TEMPLATES = (
    add(_PLACE, {"name": _name, "road": lambda w: w.words.noun()}, ("save the place {name}, road {road}, in maps",)),
    delete(_PLACE),
    rename(_PLACE),
    read(_PLACE, "road", "the road of {it}", ("on which road is {it}?",)),
    read(_PLACE, "km", "the distance in km to {it}", ("how far is it to {it}?", "how many km is it to {it}?")),
    read(_PLACE, "kind", "the kind of {it}", ("what kind of place is {it}?",)),
    change(
        _PLACE,
        "road",
        lambda w: w.words.noun(),
        "the road of {it}",
        ("{it} is on another road, {new}, correct it",),
    ),
    choose(_PLACE, "kind", "the kind of {it}", ("{it} is a {new}, correct its kind",)),
    Template(
        "maps_start",
        "maps",
        (
            "start the route to the place {name}, the way is {way}",
            "take me to {name} in maps, i will {way}",
            "begin a trip to the place {name}, way {way}",
            "i {way} to the place {name}, start the route in maps",
            "i want to {way} to the place {name}, start the route",
        ),
        _start,
        _by,
        lambda s: [("update trip set place = ?, way = ?", (int(s["_id"]), s["way"]))],
        verb="start",
    ),
    tell(
        "maps_read_minutes",
        "maps",
        (
            "how many minutes is it to the place {name} if i {way}?",
            "how long is the route to {name} in maps, way {way}?",
            "tell me the minutes to the place {name}, the way is {way}",
            "look up how long it takes to {way} to the place {name}",
            "if i {way} to the place {name}, how many minutes is that?",
        ),
        _minutes,
        _by,
        noun="the minutes to {way} to the place {name}",
        verb="read minutes",
    ),
    Template(
        "maps_stop",
        "maps",
        (
            "stop the trip in maps",
            "end my trip",
            "stop the route that i am on",
            "i am there, stop the trip in maps",
            "cancel the trip that is under way",
        ),
        _trip,
        path({"maps/list": "trip", "maps/trip": "stop"}),
        lambda s: [("update trip set place = 0, way = ''", ())],
        verb="stop",
    ),
    _read_trip(
        "to",
        "the place that my trip goes to",
        (
            "where does my trip go?",
            "to which place am i on the way?",
            "tell me where the trip in maps leads",
            "look up where i am going in maps",
            "which place does my present trip lead to?",
        ),
    ),
    _read_trip(
        "way",
        "the way of my present trip",
        (
            "is it drive, ride, cycle or walk on my present trip?",
            "which way does the trip in maps use?",
            "tell me the way of my present trip",
            "look up the way of the trip that is under way",
            "find out the way of the trip in maps",
        ),
    ),
    _read_trip(
        "minutes",
        "the minutes of my present trip",
        (
            "how many minutes does my present trip take?",
            "how long is the trip in maps?",
            "tell me the minutes of my trip",
            "look up how long my present trip is",
            "find out the minutes of the trip that is under way",
        ),
    ),
)
