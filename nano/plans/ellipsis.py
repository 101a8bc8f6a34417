"""Goals that leave out words which two tasks share, or the name of the thing that both are about.

Examples: ``delete the notes a and b``, ``set the level of a and b to high``, ``a gets a star, and b too``, ``rename the
memo a to b and star it``. The rules work for any template and phrasing, so that the planner does not learn a verb
together with one sentence.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import takewhile

from homeostat.envs.phone.tasks.base import NotPossible, Template
from homeostat.nano.data.rewording import plain
from homeostat.nano.plans.speech import Speaker, enumerated

__all__ = ["about_one_thing", "alike"]

_SAME = ("and the same for", "and the same with", "and {m} too", "and {m} as well", "likewise", "and also")
_IT = ("it", "it", "it", "that one", "this one", "the same", "that")
_THINGS = "note|task|file|contact|event|alarm|mail|song|recipe|memo|place|city|page|picture|drawing|expense|chat|list"


def alike(s: Speaker) -> tuple[str, list[str]]:
    """Joins two or three tasks of one template, whose shared words are said once.

    Args:
        s: Draws the tasks.

    Returns:
        The goal, and the full texts of its subtasks.

    Raises:
        NotPossible: If the same task is drawn twice.
    """
    rng = s.rng
    template = rng.choice([t for t in s.does if any("{" in g for g in t.goals)])
    phrasing = rng.choice([g for g in template.goals if "{" in g])
    drawn = [template.draw(s.world) for _ in range(rng.choice((2, 2, 3)))]
    if rng.random() < 0.5:  # the tasks differ only in the thing that they are about
        shown = re.findall(r"\{(\w+)\}", phrasing)
        for slots in drawn[1:]:
            slots |= {k: drawn[0][k] for k in shown[1:]}
    parts = [plain(phrasing.format(**slots)) for slots in drawn]
    if len(set(parts)) < len(parts):
        raise NotPossible("the same task was drawn twice")
    return _together(rng, parts), parts


def _together(rng: random.Random, parts: Sequence[str]) -> str:
    words = [p.split() for p in parts]
    head = _shared(words)
    rest = [w[len(head) :] for w in words]
    tail = _shared([w[::-1] for w in rest])[::-1]
    middles = [" ".join(w[: len(w) - len(tail)]) for w in rest]
    if not all(middles) or not head:
        return enumerated(rng, list(parts))
    before, after = " ".join(head), " ".join(tail)
    roll = rng.random()
    if roll < 0.6:
        if rng.random() < 0.5:
            before = re.sub(rf"\b({_THINGS})( called| named| titled)?$", _plural(rng), before)
        text = f"{before} {enumerated(rng, middles, rng.choice((' and ', ' and ', ', and ')))} {after}"
        text = re.sub(r", (\w+) it\b", r", \1 them", text)
    elif roll < 0.8:
        kept = " ".join(head[rng.randrange(len(head)) :]) if rng.random() < 0.5 else ""
        text = enumerated(rng, [f"{before} {middles[0]} {after}", *(f"{kept} {m} {after}" for m in middles[1:])])
    elif after:
        text = enumerated(rng, [f"{before} {middles[0]} {after}", *middles[1:]])
    else:
        same = rng.choice(_SAME)
        others = enumerated(rng, middles[1:], " and ")
        more = same.format(m=others) if "{m}" in same else f"{same} {others}"
        text = f"{before} {middles[0]}{rng.choice((', ', '. ', '; ', ' '))}{more}"
    return re.sub(r"\s+", " ", text).strip()


def _shared(words: Sequence[Sequence[str]]) -> list[str]:
    """The words that all sequences begin with."""
    return [one[0] for one in takewhile(lambda column: len(set(column)) == 1, zip(*words, strict=False))]


def _plural(rng: random.Random) -> str:
    return rng.choice((r"\1s", r"\1s", r"\1s\2"))


def about_one_thing(s: Speaker) -> tuple[str, list[str]]:
    """Joins two tasks about one thing, which is named once.

    Args:
        s: Draws the tasks.

    Returns:
        The goal, and the full texts of its subtasks.

    Raises:
        NotPossible: If the drawn template has no other template about the same kind of thing.
    """
    rng = s.rng
    first = rng.choice([t for t in s.does if _thing(t) and not t.name.endswith("_delete")])
    thing = _thing(first)
    others = [t for t in s.does if t.app == first.app and t is not first and _thing(t) == thing]
    others = [t for t in others if "add" not in t.tags]
    if not others or thing is None:
        raise NotPossible("no other template is about the same kind of thing")
    slots = first.draw(s.world)
    one = rng.choice([g for g in first.goals if "{" + thing + "}" in g])
    second = rng.choice(others)
    more = second.draw(s.world) | {thing: slots[thing]}
    two = rng.choice([g for g in second.goals if "{" + thing + "}" in g])
    named = rf"(?:(?:the|my) )?(?:\w+ )?(?:called |named )?\{{{thing}\}}"
    kind = rf"(?:the|my) (?:{_THINGS}) (?:called |named )?\{{{thing}\}}"
    short = re.sub(kind if re.search(kind, two) else rf"\{{{thing}\}}", rng.choice(_IT), two, count=1)
    if rng.random() < 0.2 and re.match(named, two):
        short = re.sub(named, "it", two, count=1)
    parts = [plain(one.format(**slots)), plain(two.format(**more))]
    join = rng.choice((" and ", ", then ", ", and ", " and then ", ". then ", "; ", ". also "))
    return f"{parts[0]}{join}{plain(short.format(**more))}", parts


def _thing(template: Template) -> str | None:
    """The slot that names the thing that a template is about: the first such slot in its first phrasing."""
    found = re.search(r"\{(name|title|subject|list)\}", template.goals[0])
    return found.group(1) if found and template.app != "any" else None
