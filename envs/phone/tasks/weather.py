"""Weather: its content and its tasks."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from homeostat.envs.phone.apps.weather import SKIES, UNITS, Weather, degrees
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, path, run
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import delete, read, switch, tell
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_CITY = Thing(Weather(), ("the city {name}", "{name} in weather", "the city {name} in weather"), "shown = 'yes'")
_HOME = "select name from climate join cities c on c.id = home"


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with cities, some of them hidden. On three of four phones a visible city is the home city."""
    rng = w.rng
    names = w.some("noun", rng.randint(6, 12))
    shown = rng.randint(3, len(names) - 2)
    cities = [
        (
            name,
            rng.choice(SKIES),
            str(rng.randint(-15, 38)),
            f"{rng.randrange(20, 100, 5)}%",
            f"{rng.randint(3, 90)}kmh",
            rng.choice(("on", "off")) if i < shown else "off",
            "yes" if i < shown else "no",
        )
        for i, name in enumerate(names)
    ]
    db.executemany(
        "insert into cities (name, sky, temp, humid, gusts, alerts, shown) values (?, ?, ?, ?, ?, ?, ?)", cities
    )
    home = rng.randint(1, shown) if rng.random() < 3 / 4 else 0
    db.execute("update climate set unit = ?, home = ?", (rng.choice(UNITS), home))


def _temp(w: World) -> Slots:
    slots = _CITY.pick(w, "temp")
    return {**slots, "answer": degrees(slots["temp"], w.pick("select unit from climate")[0])}


def _hidden(w: World) -> Slots:
    i, name = w.pick("select id, name from cities where shown = 'no'")
    return {"_id": str(i), "name": name}


def _unit(w: World) -> Slots:
    (old,) = w.pick("select unit from climate")
    return {"new": w.rng.choice([u for u in UNITS if u != old])}


def _new_home(w: World) -> Slots:
    i, name = w.pick("select id, name from cities where shown = 'yes' and id not in (select home from climate)")
    return {"city": str(i), "name": name}


TEMPLATES = (
    replace(
        read(
            _CITY,
            "temp",
            "the temp in {it}",
            ("how warm is it in {it}?", "what is the temperature in {it}?", "how cold is it in {it}?"),
        ),
        draw=_temp,
    ),
    read(_CITY, "sky", "the sky in {it}", ("what is the sky like in {it}?", "how does the sky look in {it}?")),
    read(_CITY, "humid", "the humidity in {it}", ("how humid is it in {it}?",)),
    read(_CITY, "gusts", "the speed of the gusts in {it}", ("how strong are the gusts in {it}?",)),
    Template(
        "weather_add",
        "weather",
        (
            "add the city {name} to weather",
            "add {name} to my cities",
            "put the city {name} into weather",
            "i want to see the city {name} in weather too, add it",
            "show the city {name} in the weather app as well",
        ),
        _hidden,
        path({"weather/list": "add", "weather/add": "{name}"}),
        run("update cities set shown = 'yes' where id = ?", "_id"),
        tags=ADD,
        verb="add",
    ),
    delete(_CITY),
    switch(
        _CITY,
        "alerts",
        "on",
        (
            "turn on the alerts for {it}",
            "switch the alerts for {it} on",
            "i want alerts for {it}",
            "activate weather alerts for {it}",
            "alert me about {it}, turn that on",
        ),
    ),
    switch(
        _CITY,
        "alerts",
        "off",
        (
            "turn off the alerts for {it}",
            "switch the alerts for {it} off",
            "i want no more alerts for {it}",
            "stop the weather alerts for {it}",
            "do not alert me about {it}, turn that off",
        ),
    ),
    Template(
        "weather_unit",
        "weather",
        (
            "show the temperature in {new}",
            "change the unit in weather to {new}",
            "set the weather unit to {new}",
            "i want to see the weather in {new}",
            "weather should use {new}",
        ),
        _unit,
        path({"weather/list": "options", "weather/options": "unit", "dialog:unit": "{new}"}),
        run("update climate set unit = ?", "new"),
        verb="choose unit",
    ),
    tell(
        "weather_read_unit",
        "weather",
        (
            "which unit does weather use?",
            "what is the unit of the temperature in weather?",
            "tell me the unit that is set in weather",
            "look up the unit in weather",
            "is weather set to celsius or kelvin?",
        ),
        lambda w: {"answer": w.pick("select unit from climate")[0]},
        path({"weather/list": "options"}),
        at="weather/options",
        noun="the unit in weather",
        verb="read unit",
    ),
    Template(
        "weather_home",
        "weather",
        (
            "make {name} the home city in weather",
            "set my home city to {name}",
            "the home city in weather should be {name}",
            "change the home city to {name}",
            "i live in {name} now, set it as home in weather",
        ),
        _new_home,
        path({"weather/list": "options", "weather/options": "home", "weather/home": "{name}"}),
        lambda s: [("update climate set home = ?", (int(s["city"]),))],
        verb="set home",
    ),
    tell(
        "weather_read_home",
        "weather",
        (
            "what is my home city in weather?",
            "which city is home in weather?",
            "tell me the home city",
            "look up my home city in the weather app",
            "find out which city weather has as home",
        ),
        lambda w: {"answer": w.pick(_HOME)[0]},
        path({"weather/list": "options"}),
        at="weather/options",
        noun="my home city in weather",
        verb="read home",
    ),
)
