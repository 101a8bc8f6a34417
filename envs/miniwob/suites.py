"""Suites of MiniWoB++ tasks, with seeds that no two splits share.

A split is a range of seeds: train below 2^30, dev up to 1.5 · 2^30, test up to 2^31.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from homeostat.envs.errors import ConfigError, UnknownName
from homeostat.envs.miniwob.oracle import ORACLES
from homeostat.envs.miniwob.tasks import task_names

__all__ = ["CLICK", "SEEDS", "SUITES", "MiniWobCase", "MiniWobSuite", "miniwob_suite"]

Split = Literal["train", "dev", "test"]
SEEDS: dict[str, range] = {
    "train": range(0, 2**30),
    "dev": range(2**30, 3 * 2**29),
    "test": range(3 * 2**29, 2**31),
}
CLICK = (
    "click-button",
    "click-button-sequence",
    "click-color",
    "click-dialog",
    "click-dialog-2",
    "click-link",
    "click-shape",
    "click-tab",
    "click-tab-2-easy",
    "click-test",
    "click-test-2",
    "click-widget",
    "focus-text",
    "focus-text-2",
    "grid-coordinate",
    "identify-shape",
)
SUITES = ("miniwob", "miniwob-click", "miniwob-oracle")


@dataclass(frozen=True)
class MiniWobCase:
    """One episode: a task's name and its seed."""

    task: str
    seed: int


@dataclass(frozen=True)
class MiniWobSuite:
    """A named set of tasks, on one split's seeds."""

    name: str
    split: Split
    tasks: tuple[str, ...]

    def episodes(self, n: int, seed: int) -> list[MiniWobCase]:
        """``n`` episodes: every task in turn, in an order and with seeds drawn from ``seed``."""
        if n < 1:
            raise ConfigError(f"episodes {n!r} is below 1; ask for at least one")
        rng, seeds = random.Random(f"{self.name} {self.split} {seed}"), SEEDS[self.split]
        cases: list[MiniWobCase] = []
        while len(cases) < n:
            order = rng.sample(self.tasks, len(self.tasks))
            cases += [MiniWobCase(task, rng.choice(seeds)) for task in order]
        return cases[:n]


def miniwob_suite(name: str, split: Split = "test") -> MiniWobSuite:
    """``miniwob`` (all 128 tasks), ``miniwob-click`` (one or two clicks on a plain target) or ``miniwob-oracle`` (those
    that an oracle solves). Raises ``UnknownName``.
    """
    if name not in SUITES:
        raise UnknownName.of("suite", name, SUITES)
    if split not in SEEDS:
        raise UnknownName.of("split", split, SEEDS)
    tasks = {"miniwob": task_names(), "miniwob-click": CLICK, "miniwob-oracle": tuple(ORACLES)}
    return MiniWobSuite(name, split, tasks[name])
