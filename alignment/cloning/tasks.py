"""Which episodes are demonstrated: training tasks on training words and seeds, never those of dev or test."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import partial

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.cloning.demonstrations import Demonstration, Demonstrator, OtherGoals, demonstrate
from homeostat.envs.core import Closable, Env
from homeostat.envs.harness.environments import EnvKind, env_kind, make_env
from homeostat.envs.harness.runner import Case
from homeostat.envs.harness.suite import Suite, load_suite
from homeostat.errors import ConfigError

__all__ = ["Lessons", "Source", "sources"]


@dataclass(frozen=True)
class Source:
    """The training episodes of a suite.

    Attributes:
        suite: The suite on the split ``train``, with the tasks that models may be trained on.
        left_out: The suite's other tasks, which are held out.
    """

    suite: Suite
    left_out: tuple[str, ...]


def sources(suites: list[str], env: str | None, seed: int, episodes: int) -> list[Source]:
    """Finds the training episodes.

    Args:
        suites: Names or files of suites; none for the environment's own suite, or all its tasks.
        env: The environment's name; None for the phone. It goes without suites.
        seed: The seed of the draws.
        episodes: The number of episodes that are wanted.

    Returns:
        One source for each suite.

    Raises:
        ConfigError: Suites and an environment are given, the environment has no oracle, or every task is held out.
        UnknownName: There is no such suite or environment.
    """
    if suites and env is not None:
        raise ConfigError(f"env {env!r}: a suite names its environment itself; leave out env or suite")
    if not suites:
        kind = env_kind(env or "phone")
        if not kind.default_suite:
            return [_source(Suite(name=kind.name, env=kind.name, tasks=("*",)), seed, episodes)]
        suites = [kind.default_suite]
    return [_source(load_suite(name), seed, episodes) for name in suites]


def _source(suite: Suite, seed: int, episodes: int) -> Source:
    kind = env_kind(suite.env)
    kind.next_action()  # raises ConfigError for an environment without a solution
    asked = suite.task_names()
    allowed = frozenset(kind.load(kind.training_tasks)() if kind.training_tasks else asked)
    tasks = tuple(name for name in asked if name in allowed)
    if not tasks:
        raise ConfigError(
            f"suite {suite.name!r}: all {len(asked)} tasks are held out from training; give a suite of training tasks"
        )
    changes = {"tasks": tasks, "split": "train", "seed": seed, "episodes": episodes}
    return Source(suite.model_copy(update=changes), tuple(name for name in asked if name not in allowed))


@dataclass
class Lessons:
    """The demonstrated episodes by number. An episode depends on the seed and its number only.

    Attributes:
        model: The model that is trained, for its prompts.
        sources: Where the episodes come from, in turns.
        seed: The seed.
        noise: The share of steps with a random action.
        goals: The number of other goals that are asked on every screen.
    """

    model: TransformersModel
    sources: list[Source]
    seed: int = 0
    noise: float = 0.0
    goals: int = 0
    _cases: list[list[Case]] = field(init=False)
    _envs: dict[int, Env] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        """Draws the episodes."""
        self._cases = [source.suite.cases() for source in self.sources]

    def case(self, number: int) -> Case:
        """Returns the task and the seed of an episode.

        Args:
            number: The episode's number, from 0.

        Returns:
            The case.
        """
        which, place = number % len(self.sources), number // len(self.sources)
        return self._cases[which][place]

    def episode(self, number: int) -> list[Demonstration]:
        """Demonstrates an episode.

        Args:
            number: The episode's number, from 0.

        Returns:
            Its demonstrations; none where the solution does not reach the task's end.
        """
        which = number % len(self.sources)
        suite = self.sources[which].suite
        kind, case, rng = env_kind(suite.env), self.case(number), random.Random(f"clone {self.seed} {number}")
        if which not in self._envs:
            self._envs[which] = make_env(suite.env, suite.split, suite.options)
        env = self._envs[which]
        demonstrator = Demonstrator(
            self.model,
            env,
            kind.next_action(),
            rng,
            noise=self.noise,
            goals=self.goals,
            other_goals=_other_goals(kind, suite.tasks),
        )
        return demonstrate(demonstrator, env, case.task, case.seed)

    def close(self) -> None:
        """Closes the environments."""
        for env in self._envs.values():
            if isinstance(env, Closable):
                env.close()
        self._envs.clear()


def _other_goals(kind: EnvKind, tasks: tuple[str, ...]) -> OtherGoals | None:
    return partial(kind.load(kind.other_goals), tasks=frozenset(tasks)) if kind.other_goals else None
