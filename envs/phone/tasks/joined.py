"""Joined goals: two atomic tasks in one sentence, the second perhaps with the first one's answer in it."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks import BASIC
from homeostat.envs.phone.tasks.base import NotPossible, Template, World, fingerprint, fingerprint_after
from homeostat.envs.phone.tasks.instance import Instance, draw

__all__ = ["JOINS", "Joined", "draw_joined"]

JOINS = (
    "{0}, then {1}",
    "{0} and then {1}",
    "first {0}, after that {1}",
    "{0}. then {1}",
    "{0}; when that is done {1}",
)
_IT = "the answer"


@dataclass
class Joined:
    """Two instances in order. ``parts``: their goals as a planner should write them (``{1}``: the first answer)."""

    first: Instance
    second: Instance
    goal: str
    parts: tuple[str, str]
    after: tuple[Any, ...]
    stage: int = 0

    rules: tuple[Any, ...] = ()
    forbidden = False

    def reached(self, device: Device, answers: Sequence[str]) -> bool:
        """Whether both changes (and no other) are there, and what had to be answered was."""
        if fingerprint(device.db, self.second.template.watch | self.first.template.watch) != self.after:
            return False
        wanted = self.first.answer
        return wanted is None or any(_same(wanted, given) for given in answers)

    def rebase(self, db: sqlite3.Connection) -> None:
        """Take the fingerprints anew: something that has nothing to do with the tasks was put on the phone."""
        one, two = self.first.template, self.second.template
        change = [*one.change(self.first.slots), *two.change(self.second.slots)]
        self.first.rebase(db)
        self.second.before = fingerprint(db, two.watch)
        self.second.after = fingerprint_after(db, change, two.watch)
        self.after = fingerprint_after(db, change, one.watch | two.watch)

    def oracle(self, device: Device, answers: Sequence[str]) -> a.Action:
        """The next action: the first part's until that is reached, then the second's."""
        if self.stage == 0 and self.first.reached(device, answers):
            self.stage = 1
        if self.stage == 1 and self.reached(device, answers):
            return a.Terminate(status="success")
        part = self.first if self.stage == 0 else self.second
        return part.oracle(device, answers if self.stage == 0 else ())


def _same(one: str, other: str) -> bool:
    from homeostat.envs.phone.tasks.instance import same_text

    return same_text(one, other)


def _strip(goal: str) -> str:
    return goal.rstrip("?").removeprefix("please ").removesuffix(" please")


def draw_joined(
    rng: random.Random, world: World, *, carried: bool, templates: Iterable[Template] = tuple(BASIC.values())
) -> Joined:
    """Two tasks of different templates. Raises ``NotPossible`` where they don't fit this phone."""
    pool = list(templates)
    if carried:
        one = rng.choice([t for t in pool if t.answer is not None])
        two = rng.choice([t for t in pool if t.carry is not None])
    else:
        one, two = rng.sample([t for t in pool if t.answer is None and not t.front], 2)
    if one.tags & two.tags or (not carried and one.app == two.app):
        raise NotPossible("two of one kind")
    first = draw(one, world)
    second, spoken, part = _second(two, world, first, carried)
    change = [*one.change(first.slots), *two.change(second.slots)]
    after = fingerprint_after(world.device.db, change, one.watch | two.watch)
    second.after = fingerprint_after(world.device.db, change, two.watch)
    goal = rng.choice(JOINS).format(_strip(first.goal), _strip(spoken))
    return Joined(first, second, goal, (_strip(first.goal), _strip(part)), after)


def _second(template: Template, world: World, first: Instance, carried: bool) -> tuple[Instance, str, str]:
    if not carried:
        second = draw(template, world)
        return second, second.goal, second.goal
    slots = template.draw(world)
    assert template.carry is not None
    assert first.answer is not None
    slots[template.carry] = first.answer
    phrasing = world.rng.choice(template.goals)
    second = Instance(template, slots, phrasing.format(**slots), (), first.before, ())
    spoken = phrasing.format(**{**slots, template.carry: _IT})
    return second, spoken, phrasing.format(**{**slots, template.carry: "{1}"})
