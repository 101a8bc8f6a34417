"""What other goals would ask for on the screen that an episode shows.

A screen alone does not say what to do: the goal does. Several goals for one screen teach a model to read the goal, at a
small part of the cost of several screens.
"""

from __future__ import annotations

import random
from collections.abc import Collection

from homeostat import actions as a
from homeostat.envs.core import Env
from homeostat.envs.phone.apps import APPS, BASIC
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.base import NotPossible, World
from homeostat.envs.phone.tasks.instance import draw
from homeostat.envs.phone.tasks.splits import templates_of
from homeostat.envs.phone.tasks.words import Words

__all__ = ["other_goals", "training_tasks"]

_HERE = 0.65  # share of the goals that are about the app in front
_FORBIDDEN = 0.2  # share, where there are rules, of the goals that a rule forbids
_AWAY = 0.5  # share kept of the goals whose next action leaves the screen: they are many and easy
_DRAWS = 5  # draws for every goal that is asked for


def training_tasks() -> tuple[str, ...]:
    """Returns the tasks that models may be trained on: those of the training templates, one at a time.

    Joined and compositional tasks are left out: they measure how a model combines what it has learnt.

    Returns:
        Their names.
    """
    return tuple(templates_of("train"))


def other_goals(env: Env, rng: random.Random, count: int, tasks: Collection[str]) -> list[tuple[str, a.Action]]:
    """Draws goals of other tasks on the present screen, each with the first action of its solution.

    Args:
        env: The phone, in the middle of an episode.
        rng: The random generator.
        count: The number of goals.
        tasks: The names of the tasks that the goals may come from.

    Returns:
        Goals and actions: fewer than ``count`` where the phone's content allows no more; none where an adversity lies
        between the phone and the agent, because the agent then sees another screen.
    """
    if not isinstance(env, PhoneEnv) or env.instance is None or env.status is not None:
        return []
    device, rules = env.device, env.instance.rules
    world = World(device, Words(rng, env.split, set(APPS) - set(BASIC) if set(device.apps) != set(BASIC) else ()))
    fitting = [t for n, t in TEMPLATES.items() if n in tasks and (t.app == "any" or t.app in device.apps)]
    here = [t for t in fitting if t.app == device.app] or fitting
    forbidden = [t for t in fitting if any(rule.forbids(t) for rule in rules)]
    found: list[tuple[str, a.Action]] = []
    for _ in range(_DRAWS * count if fitting else 0):
        if len(found) == count:
            break
        pool = here if rng.random() < _HERE else fitting
        if forbidden and rng.random() < _FORBIDDEN:
            pool = forbidden
        template = rng.choice(pool)
        try:
            goal = draw(template, world, rules)
        except NotPossible:
            continue
        action = goal.oracle(device, ())
        leaves = isinstance(action, a.Open | a.SystemButton)
        # A menu does not show which entry it belongs to, so the screen can't tell whether to leave it.
        unclear = leaves and device.dialog and template.app == device.app
        if unclear or (leaves and rng.random() >= _AWAY):
            continue
        found.append((goal.goal, action))
    return found
