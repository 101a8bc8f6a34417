"""The words that are one token each: the closed class of goals, rules and labels.

Any other word, and above all every word that a phone may hold as content, is cut in pairs of characters. So a prompt is
half as long as in pairs alone, an intention is a word rather than three pieces, and content is still read and copied
character by character.
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
from homeostat.nano.data.compositions import FRAMES

__all__ = ["WORD", "common_words"]

WORD = "[a-z]+(?:-[a-z]+)*"
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
    """Every such word, once, sorted."""
    found = {w for text in _texts() for w in re.findall(WORD, re.sub(r"\{\w*\}|\d\w*", " ", text.lower()))}
    return sorted(w for w in found if not is_drawn(w))
