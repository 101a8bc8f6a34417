"""Two reference policies for comparison with models: a random one, and an oracle for simple pages."""

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
    """Chooses the next action on the current page."""

    def __call__(self, env: MiniWobEnv) -> a.Action:
        """Chooses the next action.

        Args:
            env: The environment.

        Returns:
            The action.

        Raises:
            EnvError: The policy knows none.
        """
        ...


class RandomPolicy:
    """Clicks a random element that looks clickable, or any point if the page has none."""

    def __init__(self, seed: int) -> None:
        """Seeds the policy.

        Args:
            seed: The seed of its choices.
        """
        self._rng = random.Random(seed)

    def __call__(self, env: MiniWobEnv) -> a.Action:
        """Returns a click."""
        root = env.dom()
        nodes = root.walk() if root is not None else ()
        points = [n.point for n in nodes if is_clickable(n) and n.point is not None]
        width, height = env.fit.page
        anywhere = (self._rng.random() * width, self._rng.random() * height)
        return a.Click(point=env.fit.to_screen(self._rng.choice(points) if points else anywhere))


def oracle_policy(env: MiniWobEnv) -> a.Action:
    """Returns the oracle's next action.

    Args:
        env: The environment.

    Returns:
        The action.

    Raises:
        UnknownName: The task has no oracle.
        EnvError: The oracle does not understand the page.
    """
    if env.info.name not in ORACLES:
        raise UnknownName.of("oracle", env.info.name, ORACLES)
    root = env.dom()
    nodes = tuple(root.walk()) if root is not None else ()
    try:
        return ORACLES[env.info.name](View(env.info.goal, nodes, env.actions, env.fit))
    except (LookupError, ValueError, StopIteration) as error:
        raise EnvError(f"the oracle of {env.info.name!r} does not understand {env.info.goal!r}: {error!r}") from error


@dataclass(frozen=True)
class Played:
    """The outcome of an episode.

    Attributes:
        success: Whether the task is solved.
        reward: The page's raw reward.
        steps: The number of actions.
        failure: Why the policy gave up; empty if it did not.
    """

    success: bool
    reward: float
    steps: int
    failure: str = ""


def play(env: MiniWobEnv, policy: Policy, task: str, seed: int) -> Played:
    """Plays one episode, from its start to its end or to the step budget.

    Args:
        env: The environment.
        policy: The policy.
        task: The task's name.
        seed: The seed of the episode.

    Returns:
        The outcome.
    """
    info, failure = env.reset_task(task, seed=seed), ""
    while not env.ended and env.steps < info.max_steps and not failure:
        try:
            env.act(policy(env))
        except EnvError as error:
            failure = str(error)
    return Played(env.success(), env.reward, env.steps, failure)
