"""Two policies to measure models against: chance, and an oracle for pages of plain targets."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Protocol

from homeostat import actions as a
from homeostat.envs.miniwob.elements import is_clickable
from homeostat.envs.miniwob.env import MiniWobEnv
from homeostat.envs.miniwob.oracle import ORACLES, View
from homeostat.errors import EnvError, UnknownName

__all__ = ["Played", "Policy", "RandomPolicy", "oracle_policy", "play"]


class Policy(Protocol):
    """What to do on the present page."""

    def __call__(self, env: MiniWobEnv) -> a.Action:
        """The next action. Raises ``EnvError`` where it knows none."""
        ...


class RandomPolicy:
    """Clicks an element that looks clickable, each as likely as any other; any point of a page that has none."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)

    def __call__(self, env: MiniWobEnv) -> a.Action:
        """A click."""
        root = env.dom()
        nodes = root.walk() if root is not None else ()
        points = [n.point for n in nodes if is_clickable(n) and n.point is not None]
        width, height = env.fit.page
        anywhere = (self._rng.random() * width, self._rng.random() * height)
        return a.Click(point=env.fit.to_screen(self._rng.choice(points) if points else anywhere))


def oracle_policy(env: MiniWobEnv) -> a.Action:
    """The oracle's next action. Raises ``UnknownName`` for a task that has none, ``EnvError`` where it is at a loss."""
    if env.info.name not in ORACLES:
        raise UnknownName.of("oracle", env.info.name, ORACLES)
    root = env.dom()
    nodes = tuple(root.walk()) if root is not None else ()
    try:
        return ORACLES[env.info.name](View(env.info.goal, nodes, env.actions, env.fit))
    except (LookupError, ValueError, StopIteration) as error:
        raise EnvError(f"the oracle of {env.info.name!r} is at a loss before {env.info.goal!r}: {error!r}") from error


@dataclass(frozen=True)
class Played:
    """How an episode went. ``reward`` is the page's own, ``failure`` why the policy gave up ("" where it did not)."""

    success: bool
    reward: float
    steps: int
    failure: str = ""


def play(env: MiniWobEnv, policy: Policy, task: str, seed: int) -> Played:
    """One episode from its start to its end or to ``max_steps``."""
    info, failure = env.reset_task(task, seed=seed), ""
    while not env.ended and env.steps < info.max_steps and not failure:
        try:
            env.act(policy(env))
        except EnvError as error:
            failure = str(error)
    return Played(env.success(), env.reward, env.steps, failure)
