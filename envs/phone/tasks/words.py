"""The words that fill the phone, in three disjoint vocabularies: train, dev and test.

The CRC of a word's letters assigns it to its vocabulary permanently. Training also draws made-up words, so that a model
has to read and copy words instead of remembering them. Everything is in lower case, and a word has at most eight
characters.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from string import ascii_lowercase
from typing import Literal
from zlib import crc32

__all__ = ["NAMES", "NOUNS", "Split", "Words", "is_drawn", "split_of"]

Split = Literal["train", "dev", "test"]

NAMES = tuple(
    """
    aaron ada adam agnes ahmed aisha alan albert alex alice alma amara amir ana andre anita anton arjun astrid
    bella ben bianca boris bruno carla carlos carmen cecil celia chen chloe clara colin dalia daniel dario david
    diana diego dora edgar edith elena elias ella emil emma eric erik esther eva fatima felix fiona flora frank
    freya gabriel george gina grace greta gustav hana hannah harry hector heidi helen hugo ian ida igor imran
    ines irene iris isaac ivan ivy jack jana jasmin jean joel johan jonas jorge josef judy julia karim karl kate
    keiko kevin kim lara laura lea leila lena leo liam lily linda lisa louis lucas lucy lydia magnus malik marco
    maria marta martin mateo maya mehmet mia miguel mila milan mina mona nadia naomi nina noah nora olga oliver
    olivia omar oscar otto pablo paula pavel petra pia priya quinn rachel rafael ralph raul rita robert rosa
    ruben ruth sam samira sandra sara sasha selma sergio simon sofia sonia stefan stella susan tanya tara teresa
    theo thomas tim tina tobias tom uma ursula valentin vera victor viola walter wanda wei xavier yara yasmin
    yuki zoe zora
    """.split()
)
NOUNS = tuple(
    """
    anchor apple apron arrow atlas autumn bacon badge bakery ball bamboo banana barrel basil basket battery
    beach bean bear bell belt bench berry bike bird biscuit blanket boat bone book boots border bottle bowl box
    branch bread brick bridge broom brush bucket budget bus butter button cabin cable cactus cake camera camp
    canal candle canvas car carbon card carpet carrot castle cat cave chain chair chalk cheese cherry chess
    circle circus cliff cloud clove coal coat cocoa coffee coin comb copper corn cotton couch crane cream crown
    cup curtain dance deer dentist desk diary dinner doctor dog door dragon drawer dream dress drum duck eagle
    east egg elbow engine essay fabric falcon farm feather fence ferry fever field fig film finger fire fish
    flag flame flour flower flute folder forest fork fox frame fridge frog fruit garage garden garlic gate ghost
    gift ginger giraffe glass globe gloves goal gold grape grass gravel guitar gym hammer harbor hat hawk helmet
    honey horse hotel house ice invoice island jacket jam jar jazz jelly jewel juice jungle kettle key kitchen
    kite knife ladder lake lamp laptop lawyer leaf leather lemon letter lettuce library lime lion lizard lunch
    magnet mango map maple marble market mask meadow meat medal melon menu metal milk mirror mixer money monkey
    moon moss mouse museum music nail napkin needle nest north novel nut oak oats ocean office oil olive onion
    orange orchid oven owl oyster paddle paint palace panda paper park parrot party pasta pasture peach pear
    pencil pepper piano picnic pillow pilot pine pizza planet plant plate plum pocket poem pond pony poster
    potato powder prize puzzle quartz queen quilt rabbit radio rain ribbon rice ring river robot rocket roof
    rope rose rug ruler salad salt sand sandal sauce saw scarf school scooter seed shadow sheep shell shelf ship
    shirt shoe shovel silk silver sister skate sled snail snow soap sock soda sofa soup spider spinach spoon
    spring stamp star steak stone storm stove straw street string sugar suit summer sun swan sweater swim table
    tango tape taxi tea team temple tennis tent theater ticket tie tiger timber toast tomato tool torch towel
    tower toy tractor train tree trophy truck tulip tunnel turkey turtle umbrella vase velvet village vinegar
    violin visa wagon wallet walnut water wax wedding whale wheat wheel whistle willow wind window wine winter
    wolf wood wool yard yarn yogurt zebra
    """.split()
)
_ONSETS = "b c d f g h j k l m n p r s t v w z br ch cl dr fl gr pl pr sh sl st th tr".split()
_VOWELS = "a e i o u a e i o u ai ea ee oo ou y".split()
_CODAS = " l m n r s t d k p nd rt st ck x".split(" ")


def split_of(word: str) -> Split:
    """Returns the vocabulary of a word.

    Args:
        word: The word.

    Returns:
        The split: 7 of 10 words belong to train, 1 to dev, 2 to test.
    """
    bucket = crc32(word.encode()) % 10
    return "train" if bucket < 7 else "dev" if bucket == 7 else "test"


_REAL = frozenset(NAMES + NOUNS)
_BY_SPLIT = {
    s: (tuple(w for w in NAMES if split_of(w) == s), tuple(w for w in NOUNS if split_of(w) == s))
    for s in ("train", "dev", "test")
}


def is_drawn(word: str) -> bool:
    """Returns whether a phone's content may hold this real word.

    Args:
        word: The word.

    Returns:
        True for a listed word. The made-up words of training are not listed anywhere.
    """
    return word in _REAL


class Words:
    """Draws words of one vocabulary.

    Args:
        rng: The random generator.
        split: The vocabulary.
        reserved: Words that are never drawn: the names of apps.
    """

    def __init__(self, rng: random.Random, split: Split, reserved: Iterable[str] = ()) -> None:
        self.rng = rng
        self.split = split
        self._reserved = frozenset(reserved)
        self._names, self._nouns = _BY_SPLIT[split]

    def _made_up(self) -> str:
        """Draws a made-up word.

        Half of them are pronounceable, half are random letters, so that training shows every pair of letters.
        """
        rng = self.rng
        while True:
            if rng.random() < 0.5:
                word = "".join(
                    rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.randint(1, 2))
                )
            else:
                word = "".join(rng.choice(ascii_lowercase) for _ in range(rng.randint(3, 8)))
            if 3 <= len(word) <= 8 and word not in _REAL:
                return word

    def _one(self, pool: tuple[str, ...]) -> str:
        while True:
            made_up = self.split == "train" and self.rng.random() < 0.6
            word = self._made_up() if made_up else self.rng.choice(pool)
            if word not in self._reserved:
                return word

    def name(self) -> str:
        """Draws a person's name."""
        return self._one(self._names)

    def noun(self) -> str:
        """Draws a noun."""
        return self._one(self._nouns)

    def title(self) -> str:
        """Draws one or two words."""
        return self.noun() if self.rng.random() < 0.7 else self.phrase(2)

    def phrase(self, words: int | None = None) -> str:
        """Draws a short text for a message or a note.

        Args:
            words: The number of words; None for one to three.

        Returns:
            At most 24 characters; two words have at most 12.
        """
        n = words or self.rng.choice((1, 2, 2, 3))
        while True:
            text = " ".join(self.noun() for _ in range(n))
            if len(text) <= 24 and (n != 2 or len(text) <= 12):
                return text

    def phone(self) -> str:
        """Draws six digits."""
        return "".join(self.rng.choice("0123456789") for _ in range(6))

    def time(self) -> str:
        """Draws a time of day in steps of five minutes."""
        return f"{self.rng.randrange(24):02d}:{self.rng.randrange(0, 60, 5):02d}"

    def some(self, draw: str, n: int) -> list[str]:
        """Draws different values.

        Args:
            draw: The name of one of the methods above.
            n: The number of values.

        Returns:
            The values, in the order in which they were drawn.
        """
        seen: dict[str, None] = {}
        while len(seen) < n:
            seen[getattr(self, draw)()] = None
        return list(seen)
