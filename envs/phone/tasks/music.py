"""Music: its content and its tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from homeostat.envs.phone.apps.music import Music
from homeostat.envs.phone.tasks.base import NotPossible, Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, DELETE, path, run
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import delete, read, switch
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_TO_LIST = {"music/list": "lists", "music/lists": "{list}"}
_SONG = Thing(Music(), ("the song {title}", "my song {title}", "{title} in music"))


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with songs, two to four playlists, and a present song that may be playing."""
    rng = w.rng
    songs = [(t, w.name(), rng.choice(("on", "off"))) for t in w.some("noun", rng.randint(4, 12))]
    db.executemany("insert into songs (title, singer, liked) values (?, ?, ?)", songs)
    lists = w.some("noun", rng.randint(2, 4))
    db.executemany("insert into lists (name) values (?)", [(n,) for n in lists])
    entries = [(n, song) for n in lists for song, _, _ in rng.sample(songs, rng.randint(0, 3))]
    db.executemany("insert into entries (list, song) values (?, ?)", entries)
    playing = (rng.choice(songs)[0], rng.choice(("on", "off")), rng.choice(("on", "off")))
    db.execute("update player set song = ?, playing = ?, shuffle = ?", playing)


def _play(w: World) -> Slots:
    return _SONG.pick(w, where="title not in (select song from player where playing = 'on')")


def _state(playing: str) -> Callable[[World], Slots]:
    def draw(w: World) -> Slots:
        (song,) = w.pick("select song from player where playing != ?", playing)
        return {"song": song}

    return draw


def _next(w: World) -> Slots:
    (song,) = w.pick("select song from player")
    titles = [t for (t,) in w.device.db.execute("select title from songs order by title").fetchall()]
    later = [t for t in titles if t > song]
    following = (later or titles)[0]
    if following == song:
        raise NotPossible("one song")
    return {"following": following}


def _into(w: World) -> Slots:
    slots = _SONG.pick(w)
    (name,) = w.pick(
        "select name from lists where name not in (select list from entries where song = ?)", slots["title"]
    )
    return {**slots, "list": name}


def _out_of(w: World) -> Slots:
    name, song = w.pick("select list, song from entries group by list, song having count(*) = 1")
    (i,) = w.pick("select id from lists where name = ?", name)
    return {"_id": str(i), "list": name, "title": song}


def _a_list(w: World) -> Slots:
    i, name = w.pick("select id, name from lists")
    return {"_id": str(i), "list": name}


def _shuffle(state: str) -> Template:
    def draw(w: World) -> Slots:
        w.pick("select 1 from player where shuffle != ?", state)
        return {}

    return Template(
        f"music_shuffle_{state}",
        "music",
        (
            f"turn shuffle {state} in music",
            f"switch shuffle {state}",
            f"set the shuffle of the music player to {state}",
            f"shuffle should be {state} in music",
            f"i want shuffle {state} when music plays",
        ),
        draw,
        path({"music/list": "player", "music/player": "shuffle"}),
        lambda s: [("update player set shuffle = ?", (state,))],
        verb=f"shuffle {state}",
    )


TEMPLATES = (
    Template(
        "music_play",
        "music",
        (
            "play the song {title}",
            "play {title} in music",
            "i want to hear the song {title}",
            "start the song {title}",
            "put on the song {title}",
        ),
        _play,
        path({"music/list": "{title}", "music/item": "play"}),
        run("update player set song = ?, playing = 'on'", "title"),
        verb="play",
    ),
    Template(
        "music_pause",
        "music",
        (
            "pause the music",
            "pause what plays in music",
            "stop playing for now",
            "halt the song",
            "silence, pause the player",
        ),
        _state("off"),
        path({"music/list": "player", "music/player": "pause"}),
        run("update player set playing = 'off'"),
        verb="pause",
    ),
    Template(
        "music_resume",
        "music",
        (
            "resume the music",
            "go on playing in music",
            "let the song play on",
            "resume the player",
            "continue the song in the player",
        ),
        _state("on"),
        path({"music/list": "player", "music/player": "resume"}),
        run("update player set playing = 'on'"),
        verb="resume",
    ),
    Template(
        "music_next",
        "music",
        (
            "skip to the next song",
            "next song please",
            "go to the next song in the player",
            "i do not like this song, skip it",
            "let the player go on to the next song",
        ),
        _next,
        path({"music/list": "player", "music/player": "next"}),
        run("update player set song = ?", "following"),
        verb="next",
    ),
    switch(
        _SONG,
        "liked",
        "on",
        ("like {it}", "mark {it} as liked", "i love {it}, like it", "give {it} a like", "{it} should be liked"),
        "like",
    ),
    switch(
        _SONG,
        "liked",
        "off",
        (
            "unlike {it}",
            "take the like off {it}",
            "i no longer like {it}",
            "remove the like from {it}",
            "{it} should not be liked",
        ),
        "unlike",
    ),
    read(_SONG, "singer", "the singer of {it}", ("who sings {it}?", "who is the singer of {it}?")),
    delete(_SONG),
    Template(
        "music_add_entry",
        "music",
        (
            "add the song {title} to the list {list}",
            "put the song {title} into the list {list} in music",
            "the list {list} should have the song {title}",
            "in music add {title} to {list}",
            "i want {title} in my music list {list}",
        ),
        _into,
        path({"music/list": "{title}", "music/item": "add", "dialog:add to list": "{list}"}),
        run("insert into entries (list, song) values (?, ?)", "list", "title"),
        tags=ADD,
        verb="add entry",
    ),
    Template(
        "music_remove_entry",
        "music",
        (
            "take the song {title} out of the list {list}",
            "remove the song {title} from the list {list} in music",
            "the list {list} should go without the song {title}",
            "in music drop {title} from {list}",
            "i do not want {title} in my music list {list}",
        ),
        _out_of,
        path(
            {
                "music/list": "lists",
                "music/lists": "{list}",
                "music/songs": "{title}",
                "dialog:remove {title}": "remove",
            }
        ),
        run("delete from entries where list = ? and song = ?", "list", "title"),
        verb="remove entry",
    ),
    Template(
        "music_new_list",
        "music",
        (
            "make a new list {list} in music",
            "create a music list called {list}",
            "add the list {list} to music",
            "new list {list} for my songs",
            "i need a list of songs called {list}",
        ),
        lambda w: {"list": w.fresh("noun", "select name from lists")},
        path({"music/list": "lists", "music/lists": "new", "music/start": {"name": "{list}", "then": "save"}}),
        run("insert into lists (name) values (?)", "list"),
        tags=ADD,
        carry="list",
        verb="new list",
    ),
    Template(
        "music_delete_list",
        "music",
        (
            "delete the list {list} in music",
            "remove the music list {list}",
            "erase the list {list} of songs",
            "get rid of my music list {list}",
            "i no longer need the list {list} in music, delete it",
        ),
        _a_list,
        path(
            {"music/list": "lists", "music/lists": "{list}", "music/songs": "delete", "dialog:delete {list}": "delete"}
        ),
        lambda s: [
            ("delete from lists where id = ?", (s["_id"],)),
            ("delete from entries where list = ?", (s["list"],)),
        ],
        tags=DELETE,
        verb="delete list",
    ),
    _shuffle("on"),
    _shuffle("off"),
    Template(
        "music_read_song",
        "music",
        (
            "which song is in the player?",
            "what is the song in the music player?",
            "tell me the song that the player has",
            "look up the present song in music",
            "find out which song stands in the player",
        ),
        lambda w: {"answer": w.pick("select song from player")[0]},
        path({"music/list": "player"}),
        at="music/player",
        answer=lambda s: s["answer"],
        noun="the song in the music player",
        verb="read song",
    ),
)
