"""Suites: which episodes a figure is made of. Paired by construction: the same name, split, seed and number of episodes
give the same tasks on the same phones, whatever agent runs them.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homeostat.envs.errors import ConfigError, UnknownName
from homeostat.envs.phone.adversity import Adversity, adverse
from homeostat.envs.phone.env import JOINED, PhoneEnv
from homeostat.envs.phone.tasks import BASIC
from homeostat.envs.phone.tasks.words import Split

__all__ = ["SUITES", "EpisodeSpec", "Suite", "suite"]

SUITES: dict[str, tuple[str, ...]] = {"atomic": tuple(BASIC), "joined": JOINED}


@dataclass(frozen=True)
class EpisodeSpec:
    """One episode: a task's name and its seed."""

    task: str
    seed: int


@dataclass(frozen=True)
class Suite:
    """A named set of tasks on phones filled with one split's words."""

    name: str
    split: Split
    tasks: tuple[str, ...]

    def episodes(self, n: int, seed: int) -> list[EpisodeSpec]:
        """``n`` episodes: every task in turn, in an order and with seeds drawn from ``seed``."""
        if n < 1:
            raise ConfigError(f"episodes {n!r} is below 1; ask for at least one")
        rng = random.Random(f"{self.name} {self.split} {seed}")
        specs: list[EpisodeSpec] = []
        while len(specs) < n:
            order = rng.sample(self.tasks, len(self.tasks))
            specs += [EpisodeSpec(task, rng.randrange(2**31)) for task in order]
        return specs[:n]

    def make_env(self, *, scale: int = 1, adversity: Mapping[str, Any] | None = None) -> PhoneEnv | Adversity:
        """The phone that its episodes run on, perhaps inside adversity (see :func:`adverse`)."""
        return adverse(PhoneEnv(split=self.split, scale=scale), adversity or {})


def suite(name: str, split: Split = "test") -> Suite:
    """A suite by name. Raises ``UnknownName``."""
    if name not in SUITES:
        raise UnknownName.of("suite", name, SUITES)
    if split not in ("train", "dev", "test"):
        raise UnknownName.of("split", split, ("train", "dev", "test"))
    return Suite(name, split, SUITES[name])
