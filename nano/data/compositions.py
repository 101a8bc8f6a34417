"""Long goals made from atomic training templates, with the parts that a planner should split them into.

Four kinds: parts side by side, parts that share their verb (``delete the note a and the task b``), a value that one
part finds out and a later one uses, and a condition on such a value. Half of the parts are said loosely, as people say
the links of a chain (``alarm 07:00 off``), and may stand after an opening that is no part of the task.

None of the hundred compositional templates of ``homeostat.envs.phone.tasks.composed``, nor their wording, is used:
those are for testing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.instance import Instance, draw

__all__ = ["FRAMES", "composition", "conditional", "loosely"]

_LISTS = (", then ", "; then ", ", after that ", ". then ", ", and ", "; ", ". ")
_LAST = (", last ", ", next ", ", and then ", ", and ", " and ", "; at last ", ", finally ", ". then ")
_FIRST = ("", "", "", "first ", "now ", "next ", "please ", "i want three things: ")
_OPENERS = (": ", ". ", ", ", "; ")
_COUNTED = ("do {n} things{s}", "{n} things{s}", "please do {n} things{s}", "{n} small jobs{s}")
_NUMBERS = {2: "two", 3: "three", 4: "four"}
_BOTH = (
    "{list}{s}{verb} both",
    "{verb} both{s}{list}",
    "{verb} these{s}{list}",
    "i no longer need {list}, {verb} them",
)
_ALL = ("{list}{s}{verb} all of them", "{verb} these{s}{list}", "{list}{s}{verb} them all")
_ARTICLES = frozenset(("the", "a", "an", "my"))
_ADDED = ("add", "create", "put", "make", "write", "start", "enter")
_ASKING = frozenset(["tell", "look", "find", "what", "how", "who", "which", "when", "i", "new", "in", "of", "is"])
_STARS = ("star", "pin", "unpin", "mute", "unmute", "complete", "tick", "untick", "like")
_ACTING = frozenset(("delete", "remove", "erase", "add", "create", "open", *_STARS))
_POLITE = ("i want to {g}", "can you {g}", "please {g}", "i need to {g}", "{g} please")
_SAID = ("the answer", "it", "that", "this")
_LOOKS = ("{a}", "find out {n}", "look up {n}", "see {n}", "check {n}")
_IDLE = (
    *("before", "after", "i", "am", "my", "we", "for", "the", "a", "day", "week", "party", "trip", "work", "job"),
    *("morning", "evening", "tonight", "tomorrow", "new", "home", "at", "house", "guests", "travel", "plan", "busy"),
    *("it", "is", "time", "when", "this", "on", "holiday", "go", "away", "kids", "to", "with", "quick", "list"),
)
_THEN = (" and ", ", then ", ". then ", "; after that ", ", and then ")
_WHETHER = (
    "if {v} is {w} {a}, otherwise {b}",
    "if {v} is {w}, {a}, if not {b}",
    "{a} if {v} is {w}, else {b}",
    "when {v} is {w} {a}, if it is not {b}",
    "should {v} be {w} then {a}, otherwise {b}",
)
_ABOVE = (
    "if {v} is above {w} {a}, otherwise {b}",
    "if {v} is more than {w}, {a}, if not {b}",
    "{a} if {v} is over {w}, else {b}",
)
FRAMES = (
    *_COUNTED,
    *_NUMBERS.values(),
    *_BOTH,
    *_ALL,
    *_POLITE,
    *_LISTS,
    *_LAST,
    *_FIRST,
    *_SAID,
    *_LOOKS,
    *_THEN,
    *_WHETHER,
    *_ABOVE,
)


def _plain(goal: str) -> str:
    return goal.rstrip("?").removeprefix("please ").removesuffix(" please")


def loosely(rng: random.Random, instance: Instance) -> str:
    """The instance's goal in fewer words, or in a few more: articles left out, ``new`` or nothing for ``add``, an
    ``i want to``. What is drawn for the phone stays word for word.
    """
    goal = _plain(instance.goal)
    words = goal.split()
    if rng.random() < 0.6:
        dropped = rng.random()
        words = [w for n, w in enumerate(words) if w not in _ARTICLES or rng.random() > dropped]
    if words[0] in _ADDED and "add" in instance.template.tags and len(words) > 3 and rng.random() < 0.4:
        words = words[1:] if words[1] == "new" or rng.random() < 0.5 else ["new", *words[1:]]
    elif words[0] not in _ASKING and rng.random() < 0.3:
        return rng.choice(_POLITE).format(g=" ".join(words))
    return " ".join(words)


def _part(rng: random.Random, instance: Instance) -> str:
    return loosely(rng, instance) if rng.random() < 0.5 else _plain(instance.goal)


def _opening(rng: random.Random, world: World, parts: int) -> str:
    """Nothing, a count, or a few words that ask for nothing."""
    roll, after = rng.random(), rng.choice(_OPENERS)
    if roll < 0.5:
        return rng.choice(_FIRST)
    if roll < 0.65 and parts in _NUMBERS:
        return rng.choice(_COUNTED).format(n=_NUMBERS[parts], s=after)
    idle = [rng.choice(_IDLE) if rng.random() < 0.5 else world.words.noun() for _ in range(rng.randint(1, 5))]
    return " ".join(idle) + after


def _number(text: str) -> int | None:
    digits = text.lstrip("$").rstrip("abcdefghijklmnopqrstuvwxyz% ")
    return int(digits) if digits.isdigit() else None


def _pair(rng: random.Random, world: World) -> tuple[str, str, bool]:
    """Two values, and whether the first is the second."""
    pools: tuple[Sequence[str], ...] = (DAYS, PRIORITIES, ("on", "off"), ("yes", "no"), world.words.some("noun", 4))
    pool = rng.choice(pools)
    value = rng.choice(list(pool))
    same = rng.random() < 0.5
    other = value if same else rng.choice([p for p in pool if p != value])
    return value, other, same


def conditional(rng: random.Random, world: World, instance: Instance, other: Instance) -> Instance:
    """The same task, its goal said with a condition whose value is known, that holds for it and not for ``other``."""
    if rng.random() < 0.3:
        low, high = sorted(rng.sample(range(1, 1000), 2))
        is_above = rng.random() < 0.5
        money = rng.choice(("$", ""))
        v, w = (high, low) if is_above else (low, high)
        frame, value, than, holds = rng.choice(_ABOVE), f"{money}{v}", f"{money}{w}", is_above
    else:
        value, than, holds = _pair(rng, world)
        frame = rng.choice(_WHETHER)
    mine, others = _plain(instance.goal), _plain(other.goal)
    goal = frame.format(v=value, w=than, a=mine if holds else others, b=others if holds else mine)
    return replace(instance, goal=goal)


def _draw(rng: random.Random, world: World, pool: Sequence[Template]) -> Instance:
    for _ in range(30):
        try:
            return draw(rng.choice(pool), world)
        except NotPossible:
            continue
    raise NotPossible("nothing fits this phone")


def _list(rng: random.Random, world: World, parts: Sequence[str]) -> str:
    said, mixed = parts[0], rng.random() < 0.3
    join = rng.choice(_LISTS)
    for part in parts[1:-1]:
        said += (rng.choice(_LISTS) if mixed else join) + part
    last = rng.choice(_LAST) if rng.random() < 0.8 else join
    return _opening(rng, world, len(parts)) + said + last + parts[-1]


def _side_by_side(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    parts = [_part(rng, _draw(rng, world, pool)) for _ in range(rng.choice((2, 3, 3, 3, 4)))]
    return _list(rng, world, parts), parts


def _one_verb(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    verb = _plain(_draw(rng, world, pool).goal).split()[0]
    parts = list[str]()
    for _ in range(60):
        template = rng.choice(pool)
        goals = [g for g in template.goals if g.split()[0] == verb and not g.endswith("?")]
        if goals and len(parts) < 3:
            try:
                instance = draw(template, world)
            except NotPossible:
                continue
            parts.append(_plain(rng.choice(goals).format(**instance.slots)))
    if len(parts) < 2:
        raise NotPossible(verb)
    parts = parts[: rng.choice((2, 3, 3))]
    things = [p.removeprefix(f"{verb} ") for p in parts]
    if verb in _ACTING and rng.random() < 0.5:
        named = ", ".join(things[:-1]) + rng.choice((" and ", ", and ")) + things[-1]
        frame = rng.choice(_BOTH if len(parts) == 2 else _ALL)
        return frame.format(list=named, verb=verb, s=rng.choice(_OPENERS)), parts
    short = [parts[0], *things[1:]]
    return ", ".join(short[:-1]) + rng.choice((" and ", ", and ")) + short[-1], parts


def _find(rng: random.Random, world: World, reads: Sequence[Template]) -> tuple[Instance, str, str]:
    """A reading part: its instance, how the long goal says it, and the part."""
    instance = _draw(rng, world, reads)
    part = _plain(instance.goal)
    noun = instance.template.noun.format(**instance.slots)
    said = rng.choice(_LOOKS).format(a=part, n=noun) if noun else part
    return instance, said, part if said == part else f"what is {noun}"


def _carried(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    reads = [t for t in pool if t.answer is not None]
    carries = [t for t in pool if t.carry is not None]
    found, said, part = _find(rng, world, reads)
    parts, spoken = [part], [said]
    assert found.answer is not None
    for _ in range(rng.choice((1, 1, 2))):
        template = rng.choice(carries)
        assert template.carry is not None
        slots, phrasing = template.draw(world), rng.choice(template.goals)
        parts.append(_plain(phrasing.format(**{**slots, template.carry: "{1}"})))
        spoken.append(_plain(phrasing.format(**{**slots, template.carry: rng.choice(_SAID)})))
    if rng.random() < 0.4:
        plain = _part(rng, _draw(rng, world, pool))
        parts.append(plain)
        spoken.append(plain)
    return _opening(rng, world, len(parts)) + rng.choice(_THEN).join(spoken[:2]) + "".join(
        rng.choice(_LAST) + s for s in spoken[2:]
    ), parts


def _condition(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    found, said, part = _find(rng, world, [t for t in pool if t.answer is not None])
    does = [t for t in pool if t.answer is None and not t.front]
    one, two = (_plain(_draw(rng, world, does).goal) for _ in range(2))
    assert found.answer is not None
    number = _number(found.answer)
    if number is not None and rng.random() < 0.7:
        value = f"{'$' * found.answer.startswith('$')}{rng.randint(1, 2 * number + 10)}"
        frame = rng.choice(_ABOVE)
    else:
        value = found.answer if rng.random() < 0.5 else world.words.noun()
        frame = rng.choice(_WHETHER)
    whole = frame.format(v=rng.choice(_SAID), w=value, a=one, b=two)
    parts = [part, frame.format(v="{1}", w=value, a=one, b=two)]
    goal = _opening(rng, world, 2) + said + rng.choice((": ", ". ", ", then ", " and ")) + whole
    if rng.random() < 0.5:
        plain = _plain(_draw(rng, world, pool).goal)
        parts.append(plain)
        goal += rng.choice((". then ", ". ", ", and then ", "; after that ")) + plain
    return goal, parts


def composition(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    """A goal and its parts (``{1}`` in a part: the first part's answer). Raises ``NotPossible``."""
    makers = (_side_by_side, _side_by_side, _one_verb, _carried, _carried, _condition)
    return rng.choice(makers)(rng, world, pool)
