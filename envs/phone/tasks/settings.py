"""Settings: its tasks."""

from homeostat.envs.phone.apps.settings import CHOICES, SWITCHES
from homeostat.envs.phone.tasks.base import NotPossible, Slots, Template, World
from homeostat.envs.phone.tasks.common import path, run

__all__ = ["TEMPLATES"]

_SET = frozenset({"settings"})


def _switch(state: str) -> tuple[Template, ...]:
    def draw(w: World) -> Slots:
        page = w.rng.choice(list(SWITCHES))
        keys = list(SWITCHES[page])
        w.rng.shuffle(keys)
        for key in keys:
            (value,) = w.pick("select value from settings where key = ?", key)
            if value != state:
                return {"key": key, "page": page, "state": state}
        raise NotPossible(page)

    words = {
        "on": ("turn on", "switch on", "enable", "activate"),
        "off": ("turn off", "switch off", "disable", "deactivate"),
    }
    goals = tuple(f"{w} {{key}}" for w in words[state])
    return (
        Template(
            f"settings_turn_{state}",
            "settings",
            (*goals, f"make sure that {{key}} is {state}", f"please set {{key}} to {state}"),
            draw,
            path({"settings/main": "{page}", "settings/page": "{key}"}),
            run("update settings set value = ? where key = ?", "state", "key"),
            tags=_SET,
        ),
    )


def _choose(key: str) -> Template:
    page, options = CHOICES[key]

    def draw(w: World) -> Slots:
        (value,) = w.pick("select value from settings where key = ?", key)
        return {"page": page, "value": w.rng.choice([o for o in options if o != value])}

    spoken = {"bright": "brightness", "timeout": "screen timeout", "volume": "volume", "tone": "ring tone"}[key]
    return Template(
        f"settings_{key}",
        "settings",
        (
            f"set the {spoken} to {{value}}",
            f"change the {spoken} to {{value}}",
            f"make the {spoken} {{value}}",
            f"{spoken} {{value}} please",
        ),
        draw,
        path({"settings/main": "{page}", "settings/page": key, f"dialog:{key}": "{value}"}),
        lambda s: [("update settings set value = ? where key = ?", (s["value"], key))],
        tags=_SET,
    )


def _fact(key: str, goals: tuple[str, ...]) -> Template:
    def draw(w: World) -> Slots:
        return {"answer": w.pick("select value from settings where key = ?", key)[0]}

    return Template(
        f"settings_read_{key}",
        "settings",
        goals,
        draw,
        path({"settings/main": "about"}),
        at="settings/about",
        answer=lambda s: s["answer"],
    )


TEMPLATES = (
    *_switch("on"),
    *_switch("off"),
    *(_choose(key) for key in CHOICES),
    Template(
        "settings_rename",
        "settings",
        (
            "rename this phone to {name}",
            "change the name of the phone to {name}",
            "call my phone {name}",
            "set the phone name to {name}",
        ),
        lambda w: {"name": w.fresh("noun", "select value from settings where key = 'name'")},
        path(
            {"settings/main": "about", "settings/about": "name", "settings/rename": {"name": "{name}", "then": "save"}}
        ),
        run("update settings set value = ? where key = 'name'", "name"),
        tags=_SET,
    ),
    _fact(
        "version",
        (
            "which version does the phone run?",
            "what is the system version?",
            "tell me the software version",
            "find out the version",
        ),
    ),
    _fact(
        "storage",
        (
            "how much storage is free?",
            "what is the free storage?",
            "tell me the free storage",
            "find out the free storage",
        ),
    ),
    _fact(
        "battery",
        (
            "how full is the battery?",
            "what is the battery level?",
            "tell me the battery level",
            "find out the battery level",
        ),
    ),
)
