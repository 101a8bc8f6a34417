"""The words that are one token each: the closed class of words in goals, rules and labels.

Every other word is cut into pairs of characters. In particular, this holds for each word that a phone may have as
content. Compared with pairs alone, a prompt is half as long and a verb is one token instead of three, while the model
still reads and copies content character by character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from homeostat.envs.phone.apps import APPS
from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.settings import CHOICES, PAGES, SWITCHES
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.tasks.joined import JOINS
from homeostat.envs.phone.tasks.rules import MORE_RULES, RULES
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import is_drawn
from homeostat.nano.data.goal_frames import FRAMES

__all__ = ["WORD", "common_words"]

WORD = "[a-z]+(?:-[a-z]+)*"
"""Regular expression of a word."""
_ASKED = "click long_press swipe up down left right type back home enter open wait answer what is at where"
_REMINDED = "the goal is answer with one tool call keep to the rule history rules reminder none"


def _texts() -> Iterable[str]:
    for template in templates_of("train").values():
        yield from template.goals
    yield from (*JOINS, *FRAMES)
    yield from (r.text for r in (*RULES, *MORE_RULES))
    yield from (*APPS, *DAYS, *PRIORITIES, *PAGES, *CHOICES)
    for page in SWITCHES.values():
        yield from page
    for _, options in CHOICES.values():
        yield from options
    yield from (_ASKED, _REMINDED)


def common_words() -> list[str]:
    """Collects the words that are one token each.

    Returns:
        The words, sorted. Words that are drawn as a phone's content are not among them.
    """
    found = {w for text in _texts() for w in re.findall(WORD, re.sub(r"\{\w*\}|\d\w*", " ", text.lower()))}
    return sorted(w for w in found if not is_drawn(w))
