"""Several things with the same attribute: how they are listed, added up and compared."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from homeostat.nano.plans import phrases as say
from homeostat.nano.plans.speech import Speaker, enumerated

__all__ = ["Several", "several"]


@dataclass
class Several:
    """Several things and the same attribute of each, which the plan asks for one after another.

    Attributes:
        attribute: The attribute.
        plural: Its plural.
        thing: The kind of thing, or "".
        look: How the attribute's values look (``$``, ``:``, ``kb`` or "").
        xs: The things' names.
        numbers: The placeholders of the values, such as ``{1}``.
    """

    attribute: str
    plural: str
    thing: str
    look: str
    xs: list[str]
    numbers: list[str]

    def each(self, rng: random.Random, x: str) -> str:
        """Words the attribute of one thing.

        Args:
            rng: The random generator.
            x: The thing's name.

        Returns:
            A noun phrase.
        """
        forms: tuple[str, ...] = ("the {a} of the {t} {x}", "the {t} {x}'s {a}")
        if not Speaker.made_up(self.thing):
            forms = ("the {a} of {x}", "{x}'s {a}", *(forms if self.thing else ()))
        return rng.choice(forms).format(a=self.attribute, t=self.thing, x=x)

    def listed(self, rng: random.Random, last: str = " and ") -> str:
        """Lists all things by name, with or without their kind.

        Args:
            rng: The random generator.
            last: The link before the last name.

        Returns:
            The list as text.
        """
        several = self.thing.removesuffix("y") + "ies" if self.thing.endswith("y") else f"{self.thing}s"
        named = (f"the {several} ", f"my {several} ")
        things = rng.choice(named if Speaker.made_up(self.thing) else (*named, "")) if self.thing else ""
        return things + enumerated(rng, self.xs, last)

    def all(self, rng: random.Random) -> str:
        """Words the attributes of all things in one phrase.

        Args:
            rng: The random generator.

        Returns:
            A noun phrase or an indirect question.
        """
        asks = say.ASKED.get(self.attribute, ())
        if asks and rng.random() < 0.35:
            return rng.choice(asks).format(l=self.listed(rng))
        if rng.random() < 0.3:
            return enumerated(rng, [self.each(rng, x) for x in self.xs], " and ")
        forms = ("the {p} of {l}", "the {a} of {l}", "{l}'s {p}")
        return rng.choice(forms).format(p=self.plural, a=self.attribute, l=self.listed(rng))

    def best(self, rng: random.Random, largest: bool) -> tuple[str, str]:
        """Words which thing has the largest or the smallest value.

        Args:
            rng: The random generator.
            largest: Whether the largest value is meant.

        Returns:
            The superlative or comparative, and the phrase.
        """
        word = rng.choice(say.EXTREMES.get(self.look, say.EXTREMES[""])[0 if largest else 1])
        listed = self.listed(rng, rng.choice((" and ", " or ")))
        short = say.SHORT.get(self.attribute)
        if short and rng.random() < 0.4:
            word = rng.choice(short[0 if largest else 1])
            return word, rng.choice(say.BEST_SHORT).format(w=word, l=listed)
        return word, rng.choice(say.BEST).format(w=word, l=listed, a=self.attribute)


def several(s: Speaker, add: Callable[[str], int], most: int = 3) -> Several:
    """Draws two things or more, and adds a subtask that looks up the attribute of each.

    Args:
        s: Draws the things.
        add: Adds a subtask to the plan and returns its number.
        most: The largest number of things.

    Returns:
        The things.
    """
    attribute, plural, thing, asks, look = s.attribute()
    xs = [s.word() for _ in range(s.rng.choice((2, 2, most)))]
    numbers = [f"{{{add(asks.format(x=x))}}}" for x in xs]
    return Several(attribute, plural, thing, look, xs, numbers)
