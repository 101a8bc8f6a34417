"""Rewords the goal of one task: without courtesy, in fewer words, or as one side of a condition.

What is drawn for the phone (names, times, amounts) always stays word for word.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from homeostat.envs.phone.apps.calendar import DAYS
from homeostat.envs.phone.apps.tasks import PRIORITIES
from homeostat.envs.phone.tasks.base import World
from homeostat.envs.phone.tasks.instance import Instance
from homeostat.nano.data.goal_frames import ABOVE, POLITE, WHETHER

__all__ = ["conditional", "loosely", "plain"]

_ARTICLES = frozenset(("the", "a", "an", "my"))
_ADDED = ("add", "create", "put", "make", "write", "start", "enter")
_ASKING = frozenset(["tell", "look", "find", "what", "how", "who", "which", "when", "i", "new", "in", "of", "is"])


def plain(goal: str) -> str:
    """Strips a goal's courtesy: a ``please`` at either end and a question mark.

    Args:
        goal: A goal as a template words it.

    Returns:
        The goal without them.
    """
    return goal.rstrip("?").removeprefix("please ").removesuffix(" please")


def loosely(rng: random.Random, instance: Instance) -> str:
    """Words an instance's goal more loosely than its template does.

    Articles may be left out, ``new`` or nothing may replace ``add``, and ``i want to`` may be put before the goal.

    Args:
        rng: The random generator that chooses the changes.
        instance: The task whose goal is reworded.

    Returns:
        The reworded goal. Values drawn for the phone stay word for word.
    """
    goal = plain(instance.goal)
    words = goal.split()
    if rng.random() < 0.6:
        dropped = rng.random()
        words = [w for n, w in enumerate(words) if w not in _ARTICLES or rng.random() > dropped]
    if words[0] in _ADDED and "add" in instance.template.tags and len(words) > 3 and rng.random() < 0.4:
        words = words[1:] if words[1] == "new" or rng.random() < 0.5 else ["new", *words[1:]]
    elif words[0] not in _ASKING and rng.random() < 0.3:
        return rng.choice(POLITE).format(g=" ".join(words))
    return " ".join(words)


def _two_values(rng: random.Random, world: World) -> tuple[str, str, bool]:
    """Draws two values; the third element says whether they are equal."""
    pools: tuple[Sequence[str], ...] = (DAYS, PRIORITIES, ("on", "off"), ("yes", "no"), world.words.some("noun", 4))
    pool = rng.choice(pools)
    value = rng.choice(list(pool))
    same = rng.random() < 0.5
    other = value if same else rng.choice([p for p in pool if p != value])
    return value, other, same


def conditional(rng: random.Random, world: World, instance: Instance, other: Instance) -> Instance:
    """Puts an instance's goal into a condition on two known values, so that the condition selects this task.

    Args:
        rng: The random generator that draws the values and the wording.
        world: The phone whose words the values are drawn from.
        instance: The task that the condition selects.
        other: The task that the condition rules out.

    Returns:
        The same task, with the conditional sentence as its goal.
    """
    if rng.random() < 0.3:
        low, high = sorted(rng.sample(range(1, 1000), 2))
        is_above = rng.random() < 0.5
        money = rng.choice(("$", ""))
        v, w = (high, low) if is_above else (low, high)
        frame, value, than, holds = rng.choice(ABOVE), f"{money}{v}", f"{money}{w}", is_above
    else:
        value, than, holds = _two_values(rng, world)
        frame = rng.choice(WHETHER)
    mine, others = plain(instance.goal), plain(other.goal)
    goal = frame.format(v=value, w=than, a=mine if holds else others, b=others if holds else mine)
    return replace(instance, goal=goal)
