"""Fills text patterns, which have alternatives ``(a|b)``, shared words ``<find>`` and slots ``{who}`` to draw.

The shared words are the entries of ``goals/words.yaml``.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.settings import SWITCHES
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.tasks.base import NotPossible
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.nano.data.rewording import plain
from homeostat.nano.plans.speech import Speaker

__all__ = ["Filler", "lines", "read"]

_TEMPLATES = templates_of("train")
_DRAWN_BY = {  # slots with few possible values on a phone: the template that draws them, and that template's slot
    "bright": ("settings_bright", "value"),
    "volume": ("settings_volume", "value"),
    "tone": ("settings_tone", "value"),
    "unit": ("weather_unit", "new"),
    "colour": ("drawing_paint", "colour"),
    "cell": ("drawing_paint", "cell"),
    "way": ("maps_start", "way"),
    "place_kind": ("maps_choose_kind", "new"),
    "kind": ("expenses_choose_kind", "new"),
    "album": ("gallery_count", "album"),
    "box": ("mail_count", "box"),
}
_SPANS = {
    "half an hour": "00:30",
    "an hour": "01:00",
    "one hour": "01:00",
    "two hours": "02:00",
    "2 hours": "02:00",
    "three hours": "03:00",
    "a quarter of an hour": "00:15",
    "an hour and a half": "01:30",
    "ten minutes": "00:10",
    **{f"{n} minutes": f"00:{n:02d}" for n in (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)},
}
_FACTS = ("price", "phone", "road", "city", "year")


@cache
def read(name: str) -> Any:
    """Reads a file of ``nano/plans/goals``.

    Args:
        name: The file's name without its extension.

    Returns:
        The parsed YAML.
    """
    return yaml.safe_load((resources.files("homeostat.nano.plans") / "goals" / f"{name}.yaml").read_text("utf-8"))


def lines(text: str) -> tuple[str, ...]:
    """Splits a text into lines and leaves out empty ones.

    Args:
        text: The text.

    Returns:
        The lines.
    """
    return tuple(line for line in text.splitlines() if line.strip())


@cache
def _words() -> dict[str, tuple[str, ...]]:
    return {name: lines(text) for name, text in read("words").items()}


def _draws(s: Speaker) -> dict[str, Callable[[], str]]:
    rng, words = s.rng, s.world.words
    return {
        "who": words.name,
        "text": words.phrase,
        "phone": words.phone,
        "time": words.time,
        "day": lambda: rng.choice(list(DAYS)),
        "level": lambda: rng.choice(list(PRIORITIES)),
        "num": lambda: str(rng.randint(1, 99)),
        "money": lambda: f"${rng.randint(1, 500)}",
        "few": lambda: str(rng.randint(2, 9)),
        "plus": lambda: f"${rng.randint(1, 60)}",
        "span": lambda: rng.choice(list(_SPANS)),
        "min": lambda: str(rng.randint(1, 90)),
        "serves": lambda: str(rng.randint(1, 12)),
        "onoff": lambda: rng.choice(("on", "off")),
        "app": lambda: rng.choice(list(APPS)).replace("_", " "),
        "key": lambda: rng.choice([k for page in SWITCHES.values() for k in page]),
        "fact": lambda: words.noun() if rng.random() < 0.4 else rng.choice(_FACTS),
        "field": words.noun,
        "thing": words.noun,
        "word": lambda: rng.choice((s.word(), s.word(), rng.choice(list(DAYS)), words.time(), "on")),
    }


class Filler:
    """Fills patterns. Each slot is drawn once and keeps its value in all patterns that this object fills.

    Args:
        s: Draws words, and gives the random generator.
        slots: Values that are already known.
    """

    def __init__(self, s: Speaker, slots: Mapping[str, str] | None = None) -> None:
        self.s, self.slots = s, dict(slots or {})
        self._draws = _draws(s)

    @property
    def rng(self) -> random.Random:
        """The random generator."""
        return self.s.rng

    def one_of(self, text: str) -> str:
        """Chooses one of several patterns and fills it.

        Args:
            text: Patterns, separated by ``|`` outside of parentheses.

        Returns:
            The filled pattern.
        """
        return self.fill(self.rng.choice(re.split(r"\|(?![^(]*\))", text)))

    def word(self, name: str) -> str:
        """Chooses a line of an entry of ``words.yaml`` and fills it.

        Args:
            name: The entry.

        Returns:
            The filled line.
        """
        return self.fill(self.rng.choice(_words()[name]))

    def fill(self, text: str) -> str:
        """Chooses a pattern's alternatives and draws its slots.

        Args:
            text: The pattern.

        Returns:
            The text.

        Raises:
            NotPossible: If a slot has no value left that another slot doesn't have.
        """
        text = self._chosen(text)
        while found := re.search(r"\{([^{}]*)\}", text):
            text = text[: found.start()] + self._chosen(self.slot(found.group(1))) + text[found.end() :]
        return re.sub(r" +([,.;:?])", r"\1", re.sub(r"\s+", " ", text)).strip()

    def _chosen(self, text: str) -> str:
        while found := re.search(r"<(\w+)>", text):
            text = f"{text[: found.start()]} {self.rng.choice(_words()[found.group(1)])} {text[found.end() :]}"
        while found := re.search(r"\(([^()]*)\)", text):
            text = text[: found.start()] + self.rng.choice(found.group(1).split("|")) + text[found.end() :]
        return text

    def slot(self, name: str) -> str:
        """Returns the value of a slot and draws it if it is new.

        Args:
            name: The slot's name. Digits at its end distinguish slots of one kind. ``clock`` is the slot ``span`` as a
                time of day.

        Returns:
            The value.
        """
        if name == "clock":
            return _SPANS[self.slot("span")]
        if name not in self.slots:
            self.slots[name] = self._drawn(name.rstrip("0123456789"))
        return self.slots[name]

    def _drawn(self, kind: str) -> str:
        draw = self._draws.get(kind, self.s.word)
        for _ in range(20):
            if kind in _DRAWN_BY:
                template, slot = _DRAWN_BY[kind]
                value = _TEMPLATES[template].draw(self.s.world)[slot]
            else:
                value = draw()
            if value not in self.slots.values():
                return value
        raise NotPossible(kind)

    def value(self, text: str) -> str:
        """Fills the slots of a plan's text.

        Args:
            text: The text. ``$1`` stands for the value that the first subtask finds out.

        Returns:
            The text, with ``{1}`` for ``$1``.
        """
        return re.sub(r"\{([a-z_]\w*)\}", lambda m: self.slot(m.group(1)), re.sub(r"\$(\d)", r"{\1}", text))

    def part(self, line: str) -> str:
        """Writes a subtask as the first phrasing of a training template.

        Args:
            line: The template's name and its slots, for example ``notes_add title={note}``.

        Returns:
            The subtask's text.
        """
        name, *given = line.split()
        slots = {k: self.value(v) for k, _, v in (g.partition("=") for g in given)}
        return plain(_TEMPLATES[self.value(name)].goals[0].format(**slots))
