"""Fills a phone with content."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Callable, Iterable

from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.settings import CHOICES, SWITCHES
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks import (
    browser,
    calculator,
    camera,
    drawing,
    expenses,
    gallery,
    mail,
    maps,
    music,
    recipes,
    recorder,
    weather,
)
from homeostat.envs.phone.tasks.base import World
from homeostat.envs.phone.tasks.words import Split, Words

__all__ = ["CONTENT", "fill"]

CONTENT: dict[str, Callable[[sqlite3.Connection, Words], None]] = {
    "browser": browser.fill,
    "calculator": calculator.fill,
    "camera": camera.fill,
    "drawing": drawing.fill,
    "expenses": expenses.fill,
    "gallery": gallery.fill,
    "mail": mail.fill,
    "maps": maps.fill,
    "music": music.fill,
    "recipes": recipes.fill,
    "recorder": recorder.fill,
    "weather": weather.fill,
}


def fill(rng: random.Random, split: Split, more: Iterable[str] = ()) -> World:
    """Creates a phone with content in every app, all from one vocabulary.

    Args:
        rng: The random generator.
        split: The vocabulary.
        more: The apps to install besides the basic ones.

    Returns:
        The filled phone.
    """
    device = Device({*BASIC, *more})
    reserved = set(APPS) - set(BASIC) if set(device.apps) != set(BASIC) else ()  # no song is called camera
    db, w = device.db, Words(rng, split, reserved)
    write = db.executemany
    db.execute("begin")
    write(
        "insert into settings values (?, ?)",
        [(k, rng.choice(("on", "off"))) for page in SWITCHES.values() for k in page],
    )
    write("insert into settings values (?, ?)", [(k, rng.choice(options)) for k, (_, options) in CHOICES.items()])
    facts = {
        "name": w.noun(),
        "version": f"{rng.randint(10, 19)}.{rng.randint(0, 9)}",
        "storage": f"{rng.randint(8, 250)}gb",
    }
    write("insert into settings values (?, ?)", [*facts.items(), ("battery", f"{rng.randint(5, 99)}")])
    times = w.some("time", rng.randint(2, 6))
    rows = [(t, w.noun(), rng.choice(("on", "off"))) for t in times]
    write("insert into alarms (time, label, state) values (?, ?, ?)", rows)
    db.execute("update timer set minutes = ?", (str(rng.randint(1, 59)),))
    notes = [(t, w.phrase(), rng.choice(("yes", "no", "no", "no"))) for t in w.some("title", rng.randint(3, 12))]
    write("insert into notes (title, body, pinned) values (?, ?, ?)", notes)
    names = w.some("name", rng.randint(4, 16))
    people = [(n, w.phone(), rng.choice(("on", "off"))) for n in names]
    write("insert into contacts (name, phone, star) values (?, ?, ?)", people)
    chats = w.some("name", rng.randint(2, 8))
    write("insert into chats values (?, ?)", [(n, rng.choice(("yes", "no", "no"))) for n in chats])
    said = [(n, rng.choice((n, n, "me")), w.phrase()) for n in chats for _ in range(rng.randint(0, 2))]
    write("insert into messages (chat, who, text) values (?, ?, ?)", [*said, *((n, n, w.phrase()) for n in chats)])
    events = [(t, rng.choice(DAYS), w.time()) for t in w.some("title", rng.randint(3, 12))]
    write("insert into events (title, day, time) values (?, ?, ?)", events)
    kinds = [rng.choice(("file", "file", "file", "folder")) for _ in range(rng.randint(4, 14))]
    names = w.some("noun", len(kinds))
    files = [
        (n, f"{rng.randint(1, 900)}kb", k, rng.choice(("yes", "no", "no"))) for n, k in zip(names, kinds, strict=True)
    ]
    write("insert into files (name, size, kind, star) values (?, ?, ?, ?)", files)
    todo = [(t, rng.choice(("on", "off")), rng.choice(PRIORITIES)) for t in w.some("title", rng.randint(3, 12))]
    write("insert into tasks (title, done, level) values (?, ?, ?)", todo)
    products = [(n, f"${rng.randint(1, 999)}") for n in w.some("noun", rng.randint(5, 16))]
    write("insert into products (name, price) values (?, ?)", products)
    cart = rng.sample(products, rng.randint(0, 3))
    write("insert into cart (name) values (?)", [(n,) for n, _ in cart])
    alerts = [(rng.choice(("calendar", "messages", "shop", "tasks")), w.phrase(2)) for _ in range(rng.randint(0, 3))]
    write("insert into notifications (app, text) values (?, ?)", alerts)
    for name, fill_app in CONTENT.items():
        if name in device.apps:
            fill_app(db, w)
    db.execute("commit")
    return World(device, w)
