"""Long goals made from atomic training templates, together with the subtasks that a planner should split them into.

There are four kinds of goals:

- independent subtasks side by side;
- subtasks that share their verb (``delete the note a and the task b``);
- a value that one subtask finds out and a later one uses;
- a condition on such a value.

Half of the subtasks are worded loosely, as people word the links of a chain (``alarm 07:00 off``). A goal may begin
with an opening that asks for nothing.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from homeostat.envs.phone.tasks.base import NotPossible, Template, World
from homeostat.envs.phone.tasks.instance import Instance, draw
from homeostat.nano.data import goal_frames as frames
from homeostat.nano.data.rewording import loosely, plain

__all__ = ["composition"]

_STARS = ("star", "pin", "unpin", "mute", "unmute", "complete", "tick", "untick", "like")
_ACTING = frozenset(("delete", "remove", "erase", "add", "create", "open", *_STARS))


def _worded(rng: random.Random, instance: Instance) -> str:
    return loosely(rng, instance) if rng.random() < 0.5 else plain(instance.goal)


def _opening(rng: random.Random, world: World, subtasks: int) -> str:
    """Draws an opening: nothing, a count of the subtasks, or a few words that ask for nothing."""
    roll, after = rng.random(), rng.choice(frames.OPENERS)
    if roll < 0.5:
        return rng.choice(frames.FIRST)
    if roll < 0.65 and subtasks in frames.NUMBERS:
        return rng.choice(frames.COUNTED).format(n=frames.NUMBERS[subtasks], s=after)
    idle = [rng.choice(frames.IDLE) if rng.random() < 0.5 else world.words.noun() for _ in range(rng.randint(1, 5))]
    return " ".join(idle) + after


def _number(text: str) -> int | None:
    """Reads the whole number in a value such as ``$12``, ``30 min`` or ``8kb``; None if there is none."""
    digits = text.lstrip("$").rstrip("abcdefghijklmnopqrstuvwxyz% ")
    return int(digits) if digits.isdigit() else None


def _draw(rng: random.Random, world: World, pool: Sequence[Template]) -> Instance:
    for _ in range(30):
        try:
            return draw(rng.choice(pool), world)
        except NotPossible:
            continue
    raise NotPossible("no template fits this phone after 30 draws")


def _listed(rng: random.Random, world: World, subtasks: Sequence[str]) -> str:
    text, mixed = subtasks[0], rng.random() < 0.3
    join = rng.choice(frames.LISTS)
    for subtask in subtasks[1:-1]:
        text += (rng.choice(frames.LISTS) if mixed else join) + subtask
    last = rng.choice(frames.LAST) if rng.random() < 0.8 else join
    return _opening(rng, world, len(subtasks)) + text + last + subtasks[-1]


def _side_by_side(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    subtasks = [_worded(rng, _draw(rng, world, pool)) for _ in range(rng.choice((2, 3, 3, 3, 4)))]
    return _listed(rng, world, subtasks), subtasks


def _one_verb(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    verb = plain(_draw(rng, world, pool).goal).split()[0]
    subtasks = list[str]()
    for _ in range(60):
        template = rng.choice(pool)
        goals = [g for g in template.goals if g.split()[0] == verb and not g.endswith("?")]
        if goals and len(subtasks) < 3:
            try:
                instance = draw(template, world)
            except NotPossible:
                continue
            subtasks.append(plain(rng.choice(goals).format(**instance.slots)))
    if len(subtasks) < 2:
        raise NotPossible(f"fewer than two tasks begin with {verb!r}")
    subtasks = subtasks[: rng.choice((2, 3, 3))]
    objects = [s.removeprefix(f"{verb} ") for s in subtasks]
    if verb in _ACTING and rng.random() < 0.5:
        named = ", ".join(objects[:-1]) + rng.choice((" and ", ", and ")) + objects[-1]
        frame = rng.choice(frames.BOTH if len(subtasks) == 2 else frames.ALL)
        return frame.format(list=named, verb=verb, s=rng.choice(frames.OPENERS)), subtasks
    short = [subtasks[0], *objects[1:]]
    return ", ".join(short[:-1]) + rng.choice((" and ", ", and ")) + short[-1], subtasks


def _find(rng: random.Random, world: World, reads: Sequence[Template]) -> tuple[Instance, str, str]:
    """Draws a subtask that finds out a value: its instance, its wording in the long goal, and the subtask's text."""
    instance = _draw(rng, world, reads)
    subtask = plain(instance.goal)
    noun = instance.template.noun.format(**instance.slots)
    wording = rng.choice(frames.LOOKS).format(a=subtask, n=noun) if noun else subtask
    return instance, wording, subtask if wording == subtask else f"what is {noun}"


def _carried(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    reads = [t for t in pool if t.answer is not None]
    carries = [t for t in pool if t.carry is not None]
    found, wording, subtask = _find(rng, world, reads)
    subtasks, wordings = [subtask], [wording]
    assert found.answer is not None
    for _ in range(rng.choice((1, 1, 2))):
        template = rng.choice(carries)
        assert template.carry is not None
        slots, phrasing = template.draw(world), rng.choice(template.goals)
        subtasks.append(plain(phrasing.format(**{**slots, template.carry: "{1}"})))
        wordings.append(plain(phrasing.format(**{**slots, template.carry: rng.choice(frames.SAID)})))
    if rng.random() < 0.4:
        more = _worded(rng, _draw(rng, world, pool))
        subtasks.append(more)
        wordings.append(more)
    return _opening(rng, world, len(subtasks)) + rng.choice(frames.THEN).join(wordings[:2]) + "".join(
        rng.choice(frames.LAST) + w for w in wordings[2:]
    ), subtasks


def _condition(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    found, wording, subtask = _find(rng, world, [t for t in pool if t.answer is not None])
    does = [t for t in pool if t.answer is None and not t.front]
    one, two = (plain(_draw(rng, world, does).goal) for _ in range(2))
    assert found.answer is not None
    number = _number(found.answer)
    if number is not None and rng.random() < 0.7:
        value = f"{'$' * found.answer.startswith('$')}{rng.randint(1, 2 * number + 10)}"
        frame = rng.choice(frames.ABOVE)
    else:
        value = found.answer if rng.random() < 0.5 else world.words.noun()
        frame = rng.choice(frames.WHETHER)
    whole = frame.format(v=rng.choice(frames.SAID), w=value, a=one, b=two)
    subtasks = [subtask, frame.format(v="{1}", w=value, a=one, b=two)]
    goal = _opening(rng, world, 2) + wording + rng.choice((": ", ". ", ", then ", " and ")) + whole
    if rng.random() < 0.5:
        more = plain(_draw(rng, world, pool).goal)
        subtasks.append(more)
        goal += rng.choice((". then ", ". ", ", and then ", "; after that ")) + more
    return goal, subtasks


def composition(rng: random.Random, world: World, pool: Sequence[Template]) -> tuple[str, list[str]]:
    """Makes a long goal and its subtasks.

    Args:
        rng: The random generator.
        world: The phone whose content the tasks are about.
        pool: The templates that the subtasks come from.

    Returns:
        The goal, and the texts of its subtasks in order. ``{1}`` in a subtask stands for the first one's answer.

    Raises:
        NotPossible: If the drawn kind of goal can't be made from this phone's content.
    """
    makers = (_side_by_side, _side_by_side, _one_verb, _carried, _carried, _condition)
    return rng.choice(makers)(rng, world, pool)
