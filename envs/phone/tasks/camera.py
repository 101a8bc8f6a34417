"""Camera: its content and its tasks."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from homeostat import actions as a
from homeostat.envs.phone.apps.camera import MODES, TAKE, TIMERS
from homeostat.envs.phone.tasks.base import Slots, Template, World
from homeostat.envs.phone.tasks.common import path, run
from homeostat.envs.phone.tasks.oracle import View
from homeostat.envs.phone.tasks.words import Words

__all__ = ["TEMPLATES", "fill"]

_MAIN = "camera/main"


def fill(db: sqlite3.Connection, w: Words) -> None:
    """Draws the camera's settings. The gallery holds the photos."""
    rng = w.rng
    state = (rng.choice(MODES), rng.choice(("on", "off")), rng.choice(TIMERS), rng.choice(("on", "off")))
    db.execute("update camera set mode = ?, flash = ?, timer = ?, grid = ?", state)


def _nothing(w: World) -> Slots:
    return {}


def _other(column: str, options: tuple[str, ...]) -> Callable[[World], Slots]:
    def draw(w: World) -> Slots:
        (old,) = w.pick(f"select {column} from camera")
        return {"new": w.rng.choice([o for o in options if o != old])}

    return draw


def _read(column: str, noun: str, *goals: str) -> Template:
    return Template(
        f"camera_read_{column}",
        "camera",
        goals,
        lambda w: {"answer": w.pick(f"select {column} from camera")[0]},
        path({}),
        at=_MAIN,
        answer=lambda s: s["answer"],
        noun=noun,
        verb=f"read {column}",
    )


def _take(mode: str, flash: str, name: str, *goals: str) -> Template:
    """Makes the template of one shot in a mode, with the flash on or off if the task asks for it."""

    def route(v: View, s: Slots) -> a.Action | None:
        if v.screen == "dialog":
            return v.tap(mode) if v.title == "mode" else None
        if v.screen != _MAIN:
            return None
        if v.value("mode") != mode:
            return v.tap("mode")
        if flash and v.value("flash") != flash:
            return v.tap("flash")
        return v.tap("take")

    change = [("update camera set mode = ?", (mode,))]
    change += [("update camera set flash = ?", (flash,))] if flash else []
    return Template(
        f"camera_{name}",
        "camera",
        goals,
        _nothing,
        route,
        lambda s: [*change, (TAKE, ())],
        verb=f"take {name}",
    )


def _switch(column: str, state: str) -> Template:
    def draw(w: World) -> Slots:
        w.pick(f"select 1 from camera where {column} != ?", state)
        return {}

    verb = {"on": "turn on", "off": "turn off"}[state]
    return Template(
        f"camera_{column}_{state}",
        "camera",
        (
            f"{verb} the {column} of the camera",
            f"switch the camera's {column} {state}",
            f"set the {column} in camera to {state}",
            f"the camera should have the {column} {state}",
            f"i want the {column} of the camera {state}",
        ),
        draw,
        path({_MAIN: column}),
        lambda s: [(f"update camera set {column} = ?", (state,))],
        verb=f"{column} {state}",
    )


TEMPLATES = (
    _take(
        "photo",
        "",
        "photo",
        "take a photo",
        "take a photo with the camera",
        "shoot one photo",
        "please take a photo now",
        "use the camera for a photo",
    ),
    _take(
        "video",
        "",
        "video",
        "take a video",
        "shoot a video with the camera",
        "film a short video",
        "please make a video now",
        "use the camera for a video",
    ),
    _take(
        "portrait",
        "",
        "portrait",
        "take a portrait",
        "shoot a portrait with the camera",
        "make a portrait of me",
        "please take a portrait now",
        "use the camera for a portrait",
    ),
    _take(
        "photo",
        "on",
        "flash_photo",
        "take a photo with the flash on",
        "shoot a photo with flash",
        "use the flash and take a photo",
        "it is dark, take a photo with the flash",
        "turn the flash on and take a photo",
    ),
    _take(
        "portrait",
        "off",
        "soft_portrait",
        "take a portrait with the flash off",
        "shoot a portrait without flash",
        "turn the flash off and take a portrait",
        "no flash please, take a portrait",
        "make a portrait with no flash",
    ),
    Template(
        "camera_mode",
        "camera",
        (
            "set the camera to {new}, but take nothing",
            "change the mode of the camera to {new}",
            "put the camera into the mode {new}",
            "the camera's mode should be {new}",
            "switch the camera mode to {new}",
        ),
        _other("mode", MODES),
        path({_MAIN: "mode", "dialog:mode": "{new}"}),
        run("update camera set mode = ?", "new"),
        verb="choose mode",
    ),
    Template(
        "camera_timer",
        "camera",
        (
            "set the timer of the camera to {new}",
            "change the camera's timer to {new}",
            "the camera timer should be {new}",
            "make the timer in camera {new}",
            "put the timer of the camera to {new}",
        ),
        _other("timer", TIMERS),
        path({_MAIN: "timer", "dialog:timer": "{new}"}),
        run("update camera set timer = ?", "new"),
        verb="choose timer",
    ),
    _switch("flash", "on"),
    _switch("flash", "off"),
    _switch("grid", "on"),
    _switch("grid", "off"),
    _read(
        "mode",
        "the mode of the camera",
        "which mode is the camera in?",
        "what is the mode of the camera?",
        "tell me the camera's mode",
        "look up the mode of the camera",
        "find out which mode the camera has",
    ),
    _read(
        "timer",
        "the timer of the camera",
        "what is the timer of the camera set to?",
        "which timer does the camera use?",
        "tell me the camera's timer",
        "look up the timer of the camera",
        "find out what the camera timer is",
    ),
)
