"""Long goals made from atomic training templates, with the parts that a planner should split them into.

Four kinds: parts side by side, parts that share their verb (``delete the note a and the task b``), a value that one
part finds out and a later one uses, and a condition on such a value. None of the hundred compositional templates of
``homeostat.envs.phone.tasks.composed``, nor their wording, is used: those are for testing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.instance import Instance, draw

__all__ = ["FRAMES", "composition", "conditional"]

_LISTS = (", then ", "; then ", ", after that ", ". then ", ", and ", "; ", ". ")
_LAST = (", and then ", ", and ", " and ", "; at last ", ", finally ", ". then ")
_FIRST = ("", "", "", "first ", "please ", "i want three things: ")
_SAID = ("the answer", "it", "that", "this")
_LOOKS = ("{a}", "find out {n}", "look up {n}", "see {n}", "check {n}")
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
FRAMES = (*_LISTS, *_LAST, *_FIRST, *_SAID, *_LOOKS, *_THEN, *_WHETHER, *_ABOVE)


def _plain(goal: str) -> str:
    return goal.rstrip("?").removeprefix("please ").removesuffix(" please")


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


def _list(rng: random.Random, parts: Sequence[str]) -> str:
    join = rng.choice(_LISTS)
    return rng.choice(_FIRST) + join.join(parts[:-1]) + rng.choice(_LAST) + parts[-1]


def _side_by_side(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    parts = [_plain(_draw(rng, world, pool).goal) for _ in range(rng.choice((2, 3, 3, 3, 4)))]
    return _list(rng, parts), parts


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
    short = [parts[0], *(p.removeprefix(f"{verb} ") for p in parts[1:])]
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
        plain = _plain(_draw(rng, world, pool).goal)
        parts.append(plain)
        spoken.append(plain)
    return rng.choice(_THEN).join(spoken[:2]) + "".join(rng.choice(_LAST) + s for s in spoken[2:]), parts


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
    goal = said + rng.choice((": ", ". ", ", then ", " and ")) + whole
    if rng.random() < 0.5:
        plain = _plain(_draw(rng, world, pool).goal)
        parts.append(plain)
        goal += rng.choice((". then ", ". ", ", and then ", "; after that ")) + plain
    return goal, parts


def composition(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    """A goal and its parts (``{1}`` in a part: the first part's answer). Raises ``NotPossible``."""
    makers = (_side_by_side, _side_by_side, _one_verb, _carried, _carried, _condition)
    return rng.choice(makers)(rng, world, pool)
