"""Gallery: its content and its tasks."""

from __future__ import annotations

import sqlite3

from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.camera import MODES
from homeostat.envs.phone.apps.gallery import ALBUMS, Gallery
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import path
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import choose, delete, read, rename, switch
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_PHOTO = Thing(Gallery(), ("the picture {name}", "my picture {name}", "{name} in gallery"))


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with photos and videos in every album."""
    rng = w.rng
    rows = [
        (n, rng.choice(ALBUMS), rng.choice(("on", "off", "off")), rng.choice(MODES), rng.choice(DAYS))
        for n in w.some("noun", rng.randint(4, 12))
    ]
    db.executemany("insert into photos (name, album, fav, kind, day) values (?, ?, ?, ?, ?)", rows)


def _count(w: World) -> Slots:
    album = w.rng.choice(ALBUMS)
    return {"album": album, "answer": str(w.pick("select count(*) from photos where album = ?", album)[0])}


TEMPLATES = (
    delete(_PHOTO),
    rename(_PHOTO),
    choose(_PHOTO, "album", "the album of {it}", ("move {it} to the album {new}", "put {it} into the album {new}")),
    read(_PHOTO, "album", "the album of {it}", ("in which album is {it}?", "where in my albums is {it}?")),
    read(_PHOTO, "day", "the day of {it}", ("on which day did i take {it}?", "when did i take {it}?")),
    read(_PHOTO, "kind", "the kind of {it}", ("is {it} a photo, a video or a portrait?",)),
    switch(
        _PHOTO,
        "fav",
        "on",
        (
            "make {it} a favourite",
            "mark {it} as a favourite",
            "add {it} to my favourites",
            "{it} is a favourite, mark it",
            "i love {it}, make it a favourite",
        ),
        "favourite",
    ),
    switch(
        _PHOTO,
        "fav",
        "off",
        (
            "{it} is no favourite any more",
            "take {it} off my favourites",
            "remove {it} from my favourites",
            "unmark {it} as a favourite",
            "{it} should not be a favourite",
        ),
        "unfavourite",
    ),
    Template(
        "gallery_count",
        "gallery",
        (
            "how many pictures are in the album {album}?",
            "how many does the album {album} hold?",
            "tell me the number of pictures in the album {album}",
            "count the pictures in the album {album}",
            "look up how many pictures the album {album} has",
        ),
        _count,
        path({"gallery/list": "albums"}),
        at="gallery/albums",
        answer=lambda s: s["answer"],
        noun="the number of pictures in the album {album}",
        verb="count",
    ),
)
