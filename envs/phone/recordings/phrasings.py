"""The phrasings of questions about recordings. Training, dev and test share no phrasing."""

from __future__ import annotations

import random
from collections.abc import Mapping

from homeostat.envs.phone.tasks.words import Split

__all__ = ["PHRASINGS", "ask"]

PHRASINGS: dict[str, Mapping[Split, tuple[str, ...]]] = {
    "first app": {
        "train": (
            "which app was opened first?",
            "what was the first app to be opened?",
            "the recording opens which app first?",
        ),
        "dev": ("of all apps, which one came up first?",),
        "test": ("which app did the user begin with?", "name the app that was opened before all others."),
    },
    "last app": {
        "train": (
            "which app was opened last?",
            "what was the last app to be opened?",
            "the recording opens which app last?",
        ),
        "dev": ("of all apps, which one came up last?",),
        "test": ("which app did the user end with?", "name the app that was opened after all others."),
    },
    "next app": {
        "train": (
            "which app was opened right after {app}?",
            "what app came next after {app}?",
            "after {app}, which app was opened?",
        ),
        "dev": ("which app followed {app}?",),
        "test": (
            "when {app} was left, which app was the next one?",
            "name the app that was opened directly after {app}.",
        ),
    },
    "app before": {
        "train": (
            "which app was opened right before {app}?",
            "what app came just before {app}?",
            "before {app}, which app was opened?",
        ),
        "dev": ("which app preceded {app}?",),
        "test": ("from which app did the user come to {app}?", "name the app that was opened directly before {app}."),
    },
    "times opened": {
        "train": (
            "how many times was {app} opened?",
            "how often was {app} opened?",
            "count the times that {app} was opened.",
        ),
        "dev": ("how many times did {app} come to the front?",),
        "test": ("on how many occasions did the user go into {app}?", "{app} was entered how many times?"),
    },
    "times deleted": {
        "train": (
            "how many {items} were deleted?",
            "count the {items} that were deleted.",
            "what is the number of deleted {items}?",
        ),
        "dev": ("how many {items} are gone at the end?",),
        "test": ("by how many did the {items} get fewer?", "how many of the {items} did the user erase?"),
    },
    "typed": {
        "train": (
            "what was typed into the field {field}?",
            "which text was entered for {field}?",
            "what was written into {field}?",
        ),
        "dev": ("what did the keyboard put into {field}?",),
        "test": ("which text did the field {field} get?", "what did the user fill in for {field}?"),
    },
    "alarm": {
        "train": (
            "which time did the alarm get?",
            "to what time was the alarm set?",
            "for when is the alarm that was saved?",
        ),
        "dev": ("at what time will the saved alarm ring?",),
        "test": ("the alarm that the user set is for which time?", "what time was chosen for the alarm?"),
    },
    "note said": {
        "train": (
            "what did the note {title} say?",
            "what is the text of the note {title}?",
            "which text did the note {title} show?",
        ),
        "dev": ("what could be read in the note {title}?",),
        "test": ("what was written in the note {title}?", "the note {title} held which words?"),
    },
    "number read": {
        "train": (
            "what is the number of {title}?",
            "which phone number did {title} have?",
            "what number was shown for {title}?",
        ),
        "dev": ("which number could be read beside {title}?",),
        "test": ("under which number is {title} in the contacts?", "which digits did the page of {title} show?"),
    },
    "price read": {
        "train": ("what is the price of {title}?", "how much did {title} cost?", "which price was shown for {title}?"),
        "dev": ("which price could be read for {title}?",),
        "test": ("for how much was {title} offered?", "what did the shop want for {title}?"),
    },
    "shorter list": {
        "train": (
            "why did the list of {items} get shorter?",
            "what made the list of {items} shorter?",
            "why are there fewer {items} at the end?",
        ),
        "dev": ("what happened that the {items} became fewer?",),
        "test": ("for what reason did the {items} lose a row?", "what explains that a row of the {items} is missing?"),
    },
    "dialog": {
        "train": ("what made the dialog appear?", "why did the dialog come up?", "what opened the dialog?"),
        "dev": ("what brought the dialog onto the screen?",),
        "test": ("for what reason was there a dialog?", "what explains that a dialog showed up?"),
    },
}


def ask(kind: str, split: Split, rng: random.Random, **words: str) -> str:
    """Words a question.

    Args:
        kind: The form of the question, a key of :data:`PHRASINGS`.
        split: The split of the phrasings.
        rng: The generator that chooses the phrasing.
        words: The words to fill in.

    Returns:
        The question.
    """
    return rng.choice(PHRASINGS[kind][split]).format(**words)
