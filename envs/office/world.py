"""The office: its records, and how a seed fills it."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Literal, get_args

from homeostat.envs.office.words import DAYS, FILLERS, NAMES, PLACES, PRODUCTS, TOPICS

__all__ = ["SHELVES", "Record", "Shelf", "World"]

Shelf = Literal["mail", "agenda", "contact", "note", "file", "page", "order"]
"""Where a record is kept. Each shelf has a tool of its own that reads it."""
SHELVES: tuple[Shelf, ...] = get_args(Shelf)


@dataclass
class Record:
    """Something that a tool shows.

    Attributes:
        shelf: Where it is kept.
        key: What it is asked for by: a mail's sender, a day, a name, a title, an address or an order number.
        what: What its fact is, such as ``door code``.
        fact: The fact that a task may ask for.
        text: The text that the tool shows, which holds the fact.
    """

    shelf: Shelf
    key: str
    what: str
    fact: str
    text: str


@dataclass
class World:
    """The office's state.

    Attributes:
        records: Everything that can be read.
        effects: What was done, in order: the kind of effect and its arguments in lower case.
    """

    records: list[Record]
    effects: list[tuple[str, ...]] = field(default_factory=list)

    def refill(self, rng: random.Random) -> None:
        """Fills the office anew, with three records on every shelf. No two of its facts are equal.

        Args:
            rng: The source of all draws.
        """
        self.records, self.effects = _records(rng), []

    def find(self, shelf: Shelf, key: str) -> Record | None:
        """Finds a record.

        Args:
            shelf: Where it is kept.
            key: What it is asked for by; case and spaces at the ends are ignored.

        Returns:
            The record; None if there is none.
        """
        asked = key.strip().lower()
        return next((r for r in self.records if r.shelf == shelf and r.key.lower() == asked), None)

    def keys(self, shelf: Shelf) -> list[str]:
        """Returns what the records of a shelf are asked for by.

        Args:
            shelf: The shelf.

        Returns:
            The keys, in the order of the records.
        """
        return [record.key for record in self.records if record.shelf == shelf]

    def did(self, *effect: str) -> None:
        """Notes an effect.

        Args:
            effect: Its kind and its arguments.
        """
        self.effects.append(tuple(part.strip().lower() for part in effect))


def _records(rng: random.Random) -> list[Record]:
    names, topics = rng.sample(NAMES, 6), rng.sample(TOPICS, 9)
    days, places, products = rng.sample(DAYS, 3), rng.sample(PLACES, 3), rng.sample(PRODUCTS, 3)
    codes = [str(code) for code in rng.sample(range(1000, 10_000), 12)]
    times = [f"{hour}:{minute}" for hour in range(10, 19) for minute in ("05", "20", "35", "50")]
    hours = rng.sample(times, 6)
    found: list[Record] = []

    def add(shelf: Shelf, key: str, what: str, fact: str, sentence: str) -> None:
        lines = [rng.choice(FILLERS), sentence, rng.choice(FILLERS)]
        found.append(Record(shelf, key, what, fact, " ".join(lines)))

    for n in range(3):
        add("mail", names[n], "door code", codes[n], f"The door code is {codes[n]}.")
        topic = topics[n]
        add("agenda", days[n], f"{topic} meeting", hours[n], f"{hours[n]} {topic} meeting, room {rng.randint(1, 9)}.")
        phone = f"555-{codes[3 + n]}"
        add("contact", names[3 + n], "phone number", phone, f"{names[3 + n]}, phone {phone}.")
        add("note", f"{topics[3 + n]} note", "PIN", codes[6 + n], f"The PIN is {codes[6 + n]}.")
        add("file", f"{topics[6 + n]}.txt", "budget", codes[9 + n], f"The budget is {codes[9 + n]} euros.")
        add("page", f"www.{places[n]}.example", "closing time", hours[3 + n], f"Closing time: {hours[3 + n]}.")
        number = str(rng.randint(100, 299) + 200 * n)
        add("order", number, "product", products[n], f"Order {number}: one {products[n]}, on its way.")
    return found
