"""Joined goals: two atomic tasks in one sentence. The second task may use the first task's answer."""

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
from homeostat.envs.phone.tasks.instance import Instance, TaskInstance, draw, same_text
from homeostat.envs.phone.tasks.rules import Rule

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
class Joined(TaskInstance):
    """Two atomic tasks that are done one after the other.

    Attributes:
        first: The first task.
        second: The second task.
        goal: The goal as the user states it.
        parts: The two subtasks as a planner should write them. ``{1}`` stands for the first task's answer.
        after: The fingerprint of the database that both tasks ask for.
        stage: The index of the subtask that the oracle is working on.
        rules: Always empty.
    """

    first: Instance
    second: Instance
    goal: str
    parts: tuple[str, str]
    after: tuple[Any, ...]
    stage: int = 0

    rules: tuple[Rule, ...] = ()

    @property
    def subtasks(self) -> tuple[Instance, ...]:
        """The first and the second task."""
        return (self.first, self.second)

    @property
    def subtask_goals(self) -> tuple[str, ...]:
        """The two subtasks as a planner should write them."""
        return self.parts

    def reached(self, device: Device, answers: Sequence[str]) -> bool:
        """Returns whether both changes and no others were made, and the first task's answer (if any) was given."""
        if fingerprint(device.db, self.second.template.watch | self.first.template.watch) != self.after:
            return False
        wanted = self.first.answer
        return wanted is None or any(same_text(wanted, given) for given in answers)

    def rebase(self, db: sqlite3.Connection) -> None:
        """Recomputes the fingerprints after content that is unrelated to the tasks was put on the phone."""
        one, two = self.first.template, self.second.template
        change = [*one.change(self.first.slots), *two.change(self.second.slots)]
        self.first.rebase(db)
        self.second.before = fingerprint(db, two.watch)
        self.second.after = fingerprint_after(db, change, two.watch)
        self.after = fingerprint_after(db, change, one.watch | two.watch)

    def oracle(self, device: Device, answers: Sequence[str]) -> a.Action:
        """Returns the first task's next action until that task is done, then the second task's."""
        if self.stage == 0 and self.first.reached(device, answers):
            self.stage = 1
        if self.stage == 1 and self.reached(device, answers):
            return a.Terminate(status="success")
        subtask = self.first if self.stage == 0 else self.second
        return subtask.oracle(device, answers if self.stage == 0 else ())

    def progress(self) -> list[Any]:
        """Returns the subtask that the oracle is working on."""
        return [self.stage, 0, []]

    def restore_progress(self, progress: list[Any]) -> None:
        """Puts back the subtask that the oracle is working on."""
        self.stage = progress[0]


def _strip(goal: str) -> str:
    return goal.rstrip("?").removeprefix("please ").removesuffix(" please")


def draw_joined(
    rng: random.Random, world: World, *, carried: bool, templates: Iterable[Template] = tuple(BASIC.values())
) -> Joined:
    """Draws two tasks of different templates and joins their goals in one sentence.

    Args:
        rng: The generator that chooses the templates and the sentence.
        world: The filled phone; it stays as it is.
        carried: Whether the first task's answer fills a slot of the second task.
        templates: The templates to choose from.

    Returns:
        The joined task.

    Raises:
        NotPossible: The two templates do not fit each other or this phone; draw again.
    """
    pool = list(templates)
    if carried:
        one = rng.choice([t for t in pool if t.answer is not None])
        two = rng.choice([t for t in pool if t.carry is not None])
    else:
        one, two = rng.sample([t for t in pool if t.answer is None and not t.front], 2)
    if one.tags & two.tags or (not carried and one.app == two.app):
        raise NotPossible("two tasks of one kind")
    first = draw(one, world)
    second, spoken, planned = _second(two, world, first, carried)
    change = [*one.change(first.slots), *two.change(second.slots)]
    after = fingerprint_after(world.device.db, change, one.watch | two.watch)
    second.after = fingerprint_after(world.device.db, change, two.watch)
    goal = rng.choice(JOINS).format(_strip(first.goal), _strip(spoken))
    return Joined(first, second, goal, (_strip(first.goal), _strip(planned)), after)


def _second(template: Template, world: World, first: Instance, carried: bool) -> tuple[Instance, str, str]:
    """Returns the second task, its goal as the user says it, and its goal as a planner should write it."""
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
