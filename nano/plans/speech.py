"""How people word a goal's tasks, values and sentences: in any phrasing, with words left out or moved."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.nano.data.rewording import loosely, plain
from homeostat.nano.plans import phrases as say
from homeostat.nano.plans.shortening import shortened

__all__ = ["Speaker", "chain", "enumerated"]

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


class Speaker:
    """Draws tasks and values of one phone, and words them.

    Args:
        rng: The random generator.
        world: The phone.
        templates: The templates that tasks come from.
    """

    def __init__(self, rng: random.Random, world: World, templates: Sequence[Template]) -> None:
        self.rng, self.world = rng, world
        self.does = [t for t in templates if t.answer is None and not t.front]
        self.reads = [t for t in templates if t.answer is not None]
        self.takes = [t for t in self.does if t.carry is not None]
        self.all = list(templates)

    def word(self) -> str:
        """Draws a noun, a name or a title, as a phone may have it as content.

        Returns:
            One word, or two.
        """
        kinds: tuple[Callable[[], str], ...] = (self.world.words.noun, self.world.words.name, self.world.words.title)
        return self.rng.choice(kinds)()

    def instance(self, pool: Sequence[Template]) -> Instance:
        """Draws a task.

        Args:
            pool: The templates that it may come from.

        Returns:
            The task.

        Raises:
            NotPossible: If 30 drawn templates don't fit this phone.
        """
        for _ in range(30):
            try:
                return draw(self.rng.choice(pool), self.world)
            except NotPossible:
                continue
        raise NotPossible("no template fits this phone after 30 draws")

    def task(self, pool: Sequence[Template] | None = None) -> tuple[str, str]:
        """Draws a task and words it.

        Args:
            pool: The templates that it may come from. None: those that do something, without an answer.

        Returns:
            The wording in the goal, and the full text of the subtask.

        Raises:
            NotPossible: If 30 drawn templates don't fit this phone.
        """
        instance = self.instance(pool or self.does)
        part = plain(instance.goal)
        return shortened(self.rng, part) if self.rng.random() < 0.55 else self.loose(instance, part), part

    def loose(self, instance: Instance, part: str) -> str:
        """Words a task loosely in four of ten cases.

        Args:
            instance: The task.
            part: The full text of the subtask.

        Returns:
            The wording.
        """
        return loosely(self.rng, instance) if self.rng.random() < 0.4 else part

    def find(self) -> tuple[str, str, str]:
        """Draws a value that a subtask finds out.

        Returns:
            The value as a noun phrase (empty if it has none), the sentence that asks for it, and the full text of the
            subtask.

        Raises:
            NotPossible: If 30 drawn templates don't fit this phone.
        """
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
        """Draws an attribute of the phone's own apps, or a made-up attribute of a made-up kind of thing.

        Returns:
            A row as in ``phrases.ATTRIBUTES``.
        """
        rng = self.rng
        if rng.random() < 0.6:
            return rng.choice(say.ATTRIBUTES)
        attribute, thing = self.world.words.noun(), self.world.words.noun()
        asks = f"what is the {attribute} of the {thing} {{x}}"
        return attribute, f"{attribute}s", thing, asks, rng.choice(("$", ":", ""))

    @staticmethod
    def made_up(thing: str) -> bool:
        """Whether a kind of thing can't be guessed from its attribute, so that the goal has to name it.

        Args:
            thing: The kind of thing.

        Returns:
            True for kinds that are not in ``phrases.ATTRIBUTES``.
        """
        return thing not in {known for _, _, known, _, _ in say.ATTRIBUTES}

    def noun(self, attribute: str, thing: str, x: str) -> str:
        """Words an attribute of a thing, for example ``the price of the product tea``.

        Args:
            attribute: The attribute.
            thing: The kind of thing, or "".
            x: The thing's name.

        Returns:
            A noun phrase.
        """
        thing = f"{thing} " if thing else ""
        forms: tuple[str, ...] = ("the {a} of the {t}{x}", "the {t}{x}'s {a}", "the {a} of my {t}{x}")
        if not self.made_up(thing.strip()):
            forms = ("the {a} of {x}", "{x}'s {a}", *(forms if thing else ()))
        return self.rng.choice(forms).format(a=attribute, t=thing, x=x)

    def use(self, value: str, said: str) -> tuple[str, str]:
        """Draws a task that uses a value.

        Args:
            value: The value's placeholder in the plan, such as ``{1}``.
            said: What the goal calls the value.

        Returns:
            The wording in the goal, with ``said``, and the full text of the subtask, with ``value``.

        Raises:
            NotPossible: If the drawn phrasing takes no value.
        """
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
            raise NotPossible("the drawn phrasing takes no value")
        part = plain(phrasing.format(**{**slots, slot: value}))
        spoken = plain(phrasing.format(**{**slots, slot: "@"}))
        spoken = shortened(rng, spoken) if rng.random() < 0.4 else spoken
        return spoken.replace("@", said), part

    def use_both(self, name: str, value: str, said_name: str, said_value: str) -> tuple[str, str]:
        """Draws a task that uses a name and a value.

        Args:
            name: The name's placeholder in the plan.
            value: The value's placeholder in the plan.
            said_name: What the goal calls the name.
            said_value: What the goal calls the value.

        Returns:
            The wording in the goal, and the full text of the subtask.
        """

        def two(goal: str) -> list[str]:
            return list(dict.fromkeys(re.findall(r"\{(\w+)\}", goal)))[:2]

        template = self.rng.choice([t for t in self.does if any(len(two(g)) == 2 for g in t.goals)])
        phrasing = self.rng.choice([g for g in template.goals if len(two(g)) == 2])
        first, second = two(phrasing)
        slots = template.draw(self.world)
        part = plain(phrasing.format(**{**slots, first: name, second: value}))
        return plain(phrasing.format(**{**slots, first: said_name, second: said_value})), part


def enumerated(rng: random.Random, items: Sequence[str], last: str = "") -> str:
    """Joins items with commas and an ``and``.

    Args:
        rng: Chooses the last link if none is given.
        items: The items.
        last: The link before the last item. Empty: a drawn one.

    Returns:
        The list as text.
    """
    last = last or rng.choice((" and ", ", and ", " and the ", " and "))
    last = " and " if last == " and the " and items[-1].startswith("the ") else last
    return ", ".join(items[:-1]) + last + items[-1] if len(items) > 1 else items[0]


def chain(rng: random.Random, world: World, said: Sequence[str]) -> str:
    """Joins the sentences of a goal after an opening, which may be empty.

    Args:
        rng: The random generator.
        world: The phone, which gives nouns for the opening.
        said: The sentences.

    Returns:
        The goal.
    """
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
