"""Recorder: its content and its tasks."""

from __future__ import annotations

import sqlite3

from homeostat.envs.phone.apps.recorder import QUALITIES, RECORD, TAGS, Recorder
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import ADD, path, run
from homeostat.envs.phone.tasks.thing import Thing
from homeostat.envs.phone.tasks.verbs import choose, delete, read, rename, switch
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_MEMO = Thing(Recorder(), ("the memo {name}", "my memo {name}", "the memo called {name}"))


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Fills the app with memos of some seconds or minutes."""
    rng = w.rng
    rows = [
        (n, f"{rng.randint(1, 59)}{rng.choice('sm')}", rng.choice(TAGS), rng.choice(("on", "off", "off")))
        for n in w.some("noun", rng.randint(3, 11))
    ]
    db.executemany("insert into memos (name, length, tag, keep) values (?, ?, ?, ?)", rows)
    db.execute("update recorder set quality = ?", (rng.choice(QUALITIES),))


def _quality(w: World) -> Slots:
    (old,) = w.pick("select quality from recorder")
    return {"new": next(q for q in QUALITIES if q != old)}


TEMPLATES = (
    Template(
        "recorder_record",
        "recorder",
        (
            "record a memo",
            "make a new recording",
            "record something and stop",
            "take a short memo with the recorder",
            "start the recorder and stop it again",
        ),
        lambda w: {},
        path({"recorder/list": "record", "recorder/record": "stop"}),
        lambda s: [(RECORD, ())],
        tags=ADD,
        verb="record",
    ),
    delete(_MEMO),
    rename(_MEMO),
    read(_MEMO, "length", "the length of {it}", ("how long is {it}?",)),
    read(_MEMO, "tag", "the tag of {it}", ("which tag does {it} have?", "how is {it} tagged?")),
    choose(_MEMO, "tag", "the tag of {it}", ("tag {it} as {new}", "give {it} the tag {new}")),
    switch(
        _MEMO,
        "keep",
        "on",
        ("keep {it}", "mark {it} to be kept", "i want to keep {it}", "set {it} to keep", "{it} should be kept"),
        "keep",
    ),
    switch(
        _MEMO,
        "keep",
        "off",
        (
            "do not keep {it} any more",
            "take the keep mark off {it}",
            "{it} need not be kept",
            "switch keep off for {it}",
            "{it} should not be kept any more",
        ),
        "release",
    ),
    Template(
        "recorder_quality",
        "recorder",
        (
            "set the recorder to {new}",
            "record in {new} from now on",
            "change the quality of the recorder to {new}",
            "the recorder should use {new}",
            "switch the quality of recordings to {new}",
        ),
        _quality,
        path({"recorder/list": "setup", "recorder/setup": "quality", "dialog:quality": "{new}"}),
        run("update recorder set quality = ?", "new"),
        verb="choose quality",
    ),
    Template(
        "recorder_read_quality",
        "recorder",
        (
            "does the recorder use mono or stereo?",
            "what is the quality of the recorder?",
            "tell me the quality that the recorder is set to",
            "look up the quality of recordings",
            "find out the recorder's quality",
        ),
        lambda w: {"answer": w.pick("select quality from recorder")[0]},
        path({"recorder/list": "setup"}),
        at="recorder/setup",
        answer=lambda s: s["answer"],
        noun="the quality of the recorder",
        verb="read quality",
    ),
)
