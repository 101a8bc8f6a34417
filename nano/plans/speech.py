"""How a goal's tasks, values and sentences are said: in any phrasing, with words left out or turned around."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.nano.data.compositions import loosely
from homeostat.nano.plans import phrases as say

__all__ = ["Several", "Speaker", "chain", "enumerated", "plain", "several"]

_OPENINGS = ("", "", "", "", "please ", "first ", "now ", "i want three things: ", "can you ", "here is what i need: ")
_IDLE = (
    "before i sleep: ",
    "for the trip: ",
    "before we go. ",
    "a new day: ",
    "the guests are here soon. ",
    "for the party: ",
    "money: ",
    "work: ",
    "it is time for some order: ",
    "tonight: ",
    "for {noun}: ",
    "{noun} and {noun}: ",
    "my plan for the {noun}: ",
)
_JOINS = (
    ", then ",
    ", and then ",
    "; then ",
    ". then ",
    ". ",
    "; ",
    ", and ",
    " and ",
    ", after that ",
    ". after that ",
)
_LASTS = (", and ", " and ", ", last ", ", finally ", ", and at last ", ". finally ", "; and ")


def plain(goal: str) -> str:
    """The goal without what is only polite."""
    return goal.rstrip("?").removeprefix("please ").removesuffix(" please")


class Speaker:
    """One phone's tasks, and how they are said."""

    def __init__(self, rng: random.Random, world: World, templates: Sequence[Template]) -> None:
        self.rng, self.world = rng, world
        self.does = [t for t in templates if t.answer is None and not t.front]
        self.reads = [t for t in templates if t.answer is not None]
        self.takes = [t for t in self.does if t.carry is not None]
        self.all = list(templates)

    def word(self) -> str:
        """A word that a phone may hold, or two."""
        kinds: tuple[Callable[[], str], ...] = (self.world.words.noun, self.world.words.name, self.world.words.title)
        return self.rng.choice(kinds)()

    def instance(self, pool: Sequence[Template]) -> Instance:
        """A task of one of these templates. Raises ``NotPossible``."""
        for _ in range(30):
            try:
                return draw(self.rng.choice(pool), self.world)
            except NotPossible:
                continue
        raise NotPossible("nothing fits this phone")

    def task(self, pool: Sequence[Template] | None = None) -> tuple[str, str]:
        """(how it is said, how its part says it)."""
        instance = self.instance(pool or self.does)
        part = plain(instance.goal)
        return self.short(part) if self.rng.random() < 0.55 else self.loose(instance, part), part

    def loose(self, instance: Instance, part: str) -> str:
        """As it is, or with an article or a verb less."""
        return loosely(self.rng, instance) if self.rng.random() < 0.4 else part

    def short(self, part: str) -> str:
        """The goal with its verb left out or moved, and its links changed."""
        rng, text = self.rng, part
        if found := re.fullmatch(r"(?:set|change|put|make|switch|turn) (?:the |my )?(.+?) (?:to|into) (.+)", text):
            name, value = found.groups()
            forms: tuple[str, ...] = (
                "{n} to {v}",
                "{n} at {v}",
                "the {n} to {v}",
                "{n}: {v}",
                "{n} {v}",
                "the {n} should be {v}",
            )
            more = ("make the {n} {v}", "i want the {n} at {v}", "change {n} to {v}", "bring the {n} to {v}")
            if "@" in value:
                forms = (
                    "{v} is the new {n}",
                    "{v} becomes the {n}",
                    "use {v} as the {n}",
                    "take {v} as the {n}",
                    *forms,
                )
            return rng.choice(forms + more).format(n=name, v=value)
        if found := re.fullmatch(
            r"(?:turn|switch) (on|off) (?:the )?(.+)|(?:turn|switch) (?:the )?(.+) (on|off)", text
        ):
            state, name = found.group(1) or found.group(4), found.group(2) or found.group(3)
            forms = ("{n} {s}", "turn {n} {s}", "{s} with {n}", "{n} should be {s}", "switch {s} {n}", "i want {n} {s}")
            return rng.choice(forms).format(n=name, s=state)
        links = [(link, options) for link, options in say.CONNECTORS if link in text]
        for link, options in rng.sample(links, min(len(links), rng.choice((0, 1, 1, 2)))):
            head, _, tail = text.rpartition(link)
            text = head + rng.choice(options) + tail
        if found := re.fullmatch(r"(?:add|create|make|save|new|start|write|enter|put) (?:a |an |the |my )?(.+)", text):
            rest = found.group(1)
            forms = (
                "{r}",
                "a {r}",
                "the {r}",
                "new {r}",
                "a new {r}",
                "i need a {r}",
                "make {r}",
                "add {r}",
                "put in {r}",
            )
            return rng.choice(forms).format(r=rest) if rng.random() < 0.6 else text
        if rng.random() < 0.2:
            text = re.sub(r"\b(the|my|a|an) ", lambda m: "" if rng.random() < 0.7 else m.group(0), text)
        return text

    def find(self) -> tuple[str, str, str]:
        """A value that is looked up: as a noun phrase, as a sentence, and the part."""
        rng = self.rng
        if rng.random() < 0.45:
            attribute, _, thing, asks, _ = self.attribute()
            x = self.word()
            noun, part = self.noun(attribute, thing, x), asks.format(x=x)
        else:
            instance = self.instance(self.reads)
            part = plain(instance.goal)
            noun = instance.template.noun.format(**instance.slots)
            if not noun:
                return "", part, part
        return noun, rng.choice(say.FINDS).format(n=noun) if rng.random() < 0.8 else part, part

    def attribute(self) -> tuple[str, str, str, str, str]:
        """One that the phone knows, or a made-up one of a made-up thing."""
        rng = self.rng
        if rng.random() < 0.6:
            return rng.choice(say.ATTRIBUTES)
        attribute, thing = self.world.words.noun(), self.world.words.noun()
        asks = f"what is the {attribute} of the {thing} {{x}}"
        return attribute, f"{attribute}s", thing, asks, rng.choice(("$", ":", ""))

    @staticmethod
    def made_up(thing: str) -> bool:
        """Whether nobody could guess it from the attribute, so that it has to be said."""
        return thing not in {known for _, _, known, _, _ in say.ATTRIBUTES}

    def noun(self, attribute: str, thing: str, x: str) -> str:
        """``the price of the product tea`` and other ways to say it."""
        thing = f"{thing} " if thing else ""
        forms: tuple[str, ...] = ("the {a} of the {t}{x}", "the {t}{x}'s {a}", "the {a} of my {t}{x}")
        if not self.made_up(thing.strip()):
            forms = ("the {a} of {x}", "{x}'s {a}", *(forms if thing else ()))
        return self.rng.choice(forms).format(a=attribute, t=thing, x=x)

    def use(self, value: str, said: str) -> tuple[str, str]:
        """A task that takes a value: (how it is said with ``said`` in the value's place, the part with ``value``)."""
        rng = self.rng
        if rng.random() < 0.7 and self.takes:
            template = rng.choice(self.takes)
            slot = template.carry
        else:
            template = rng.choice([t for t in self.does if any("{" in g for g in t.goals)])
            slot = None
        assert template is not None
        slots, phrasing = template.draw(self.world), rng.choice(template.goals)
        shown = re.findall(r"\{(\w+)\}", phrasing)
        slot = slot if slot in shown else rng.choice(shown) if shown else None
        if slot is None:
            raise NotPossible("takes no value")
        part = plain(phrasing.format(**{**slots, slot: value}))
        spoken = plain(phrasing.format(**{**slots, slot: "@"}))
        spoken = self.short(spoken) if rng.random() < 0.4 else spoken
        return spoken.replace("@", said), part

    def use_both(self, name: str, value: str, said_name: str, said_value: str) -> tuple[str, str]:
        """As ``use``, of a task that takes a name and a value."""

        def two(goal: str) -> list[str]:
            return list(dict.fromkeys(re.findall(r"\{(\w+)\}", goal)))[:2]

        template = self.rng.choice([t for t in self.does if any(len(two(g)) == 2 for g in t.goals)])
        phrasing = self.rng.choice([g for g in template.goals if len(two(g)) == 2])
        first, second = two(phrasing)
        slots = template.draw(self.world)
        part = plain(phrasing.format(**{**slots, first: name, second: value}))
        return plain(phrasing.format(**{**slots, first: said_name, second: said_value})), part


def enumerated(rng: random.Random, items: Sequence[str], last: str = "") -> str:
    """Items with commas and an ``and``."""
    last = last or rng.choice((" and ", ", and ", " and the ", " and "))
    last = " and " if last == " and the " and items[-1].startswith("the ") else last
    return ", ".join(items[:-1]) + last + items[-1] if len(items) > 1 else items[0]


def chain(rng: random.Random, world: World, said: Sequence[str]) -> str:
    """Sentences in a row, after an opening."""
    roll = rng.random()
    if roll < 0.35:
        opening = rng.choice(_IDLE)
        while "{noun}" in opening:
            opening = opening.replace("{noun}", world.words.noun(), 1)
    else:
        opening = rng.choice(_OPENINGS)
    join, text = rng.choice(_JOINS), said[0]
    mixed = rng.random() < 0.4
    for n, one in enumerate(said[1:], start=2):
        link = rng.choice(_JOINS) if mixed else join
        text += (rng.choice(_LASTS) if n == len(said) and rng.random() < 0.6 else link) + one
    return opening + text


@dataclass
class Several:
    """Several things and the same attribute of each, asked for one after another."""

    attribute: str
    plural: str
    thing: str
    look: str
    xs: list[str]
    numbers: list[str]

    def each(self, rng: random.Random, x: str) -> str:
        """One of them as a noun phrase."""
        forms: tuple[str, ...] = ("the {a} of the {t} {x}", "the {t} {x}'s {a}")
        if not Speaker.made_up(self.thing):
            forms = ("the {a} of {x}", "{x}'s {a}", *(forms if self.thing else ()))
        return rng.choice(forms).format(a=self.attribute, t=self.thing, x=x)

    def listed(self, rng: random.Random, last: str = " and ") -> str:
        """All of them, by name or as what they are."""
        several = self.thing.removesuffix("y") + "ies" if self.thing.endswith("y") else f"{self.thing}s"
        named = (f"the {several} ", f"my {several} ")
        things = rng.choice(named if Speaker.made_up(self.thing) else (*named, "")) if self.thing else ""
        return things + enumerated(rng, self.xs, last)

    def all(self, rng: random.Random) -> str:
        """Their attributes in one phrase."""
        asks = say.ASKED.get(self.attribute, ())
        if asks and rng.random() < 0.35:
            return rng.choice(asks).format(l=self.listed(rng))
        if rng.random() < 0.3:
            return enumerated(rng, [self.each(rng, x) for x in self.xs], " and ")
        forms = ("the {p} of {l}", "the {a} of {l}", "{l}'s {p}")
        return rng.choice(forms).format(p=self.plural, a=self.attribute, l=self.listed(rng))

    def best(self, rng: random.Random, largest: bool) -> tuple[str, str]:
        """(the word, a phrase) for the one with the largest or smallest value."""
        word = rng.choice(say.EXTREMES.get(self.look, say.EXTREMES[""])[0 if largest else 1])
        listed = self.listed(rng, rng.choice((" and ", " or ")))
        short = say.SHORT.get(self.attribute)
        if short and rng.random() < 0.4:
            word = rng.choice(short[0 if largest else 1])
            return word, rng.choice(say.BEST_SHORT).format(w=word, l=listed)
        return word, rng.choice(say.BEST).format(w=word, l=listed, a=self.attribute)


def several(s: Speaker, add: Callable[[str], int], most: int = 3) -> Several:
    """Two things or up to ``most``, each looked up in a part that ``add`` takes and numbers."""
    attribute, plural, thing, asks, look = s.attribute()
    xs = [s.word() for _ in range(s.rng.choice((2, 2, most)))]
    numbers = [f"{{{add(asks.format(x=x))}}}" for x in xs]
    return Several(attribute, plural, thing, look, xs, numbers)
