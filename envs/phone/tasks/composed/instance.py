"""Drawn compositional tasks: the goal, the resolved subtasks, their checks, and an oracle that does them in order."""

from __future__ import annotations

import random
import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks import TEMPLATES
from homeostat.envs.phone.tasks.base import NotPossible, Slots, Template, World, fingerprint
from homeostat.envs.phone.tasks.composed.core import OPERATIONS, Composed, Subtask
from homeostat.envs.phone.tasks.instance import Instance, TaskInstance, same_text
from homeostat.envs.phone.tasks.rules import Rule

__all__ = ["ComposedInstance", "draw_composed"]

_TRIES = 60


@dataclass
class ComposedInstance(TaskInstance):
    """A compositional task on a phone in a given state. Subtasks whose condition does not hold are left out.

    Attributes:
        template: The compositional template.
        goal: The goal as the user states it.
        parts: The goal of every subtask, with every value filled in.
        instances: The subtasks, in order.
        told: The answers that the user asked for.
        after: The fingerprint of the database that all subtasks together ask for.
        stage: The index of the subtask that the oracle is working on.
        heard: The number of answers that were given before that subtask.
        seen: The indices of the reading subtasks whose answer has been on the screen.
        rules: Always empty.
    """

    template: Composed
    goal: str
    parts: tuple[str, ...]
    instances: tuple[Instance, ...]
    told: tuple[str, ...]
    after: tuple[Any, ...]
    stage: int = 0
    heard: int = 0
    seen: set[int] = field(default_factory=set)

    rules: tuple[Rule, ...] = ()

    @property
    def subtasks(self) -> tuple[Instance, ...]:
        """The subtasks that have to be done, in order."""
        return self.instances

    @property
    def subtask_goals(self) -> tuple[str, ...]:
        """The goal of every subtask, with every value filled in."""
        return self.parts

    @property
    def subtask_apps(self) -> tuple[str, ...]:
        """For every subtask, the app that it is done in; "" if it may be done in any app."""
        return tuple("" if i.template.app == "any" else i.template.app for i in self.instances)

    @property
    def extra_answers(self) -> int:
        """The number of the oracle's answers that nobody asked for: it notes what it reads for later subtasks."""
        return sum(i.answer is not None for i in self.instances) - len(self.told)

    def rebase(self, db: sqlite3.Connection) -> None:
        """Recomputes the fingerprints after content that is unrelated to the task was put on the phone."""
        watch = frozenset[str]().union(*(i.template.watch for i in self.instances))
        db.execute("savepoint subtasks")
        try:
            for subtask in self.instances:
                subtask.before = fingerprint(db, subtask.template.watch)
                for statement, params in subtask.template.change(subtask.slots):
                    db.execute(statement, params)
                subtask.after = fingerprint(db, subtask.template.watch)
            self.after = fingerprint(db, watch)
        finally:
            db.execute("rollback to subtasks")
            db.execute("release subtasks")

    def reached(self, device: Device, answers: Sequence[str]) -> bool:
        """Returns whether all changes and no others were made, and every answer that the user asked for was given."""
        watch = frozenset[str]().union(*(i.template.watch for i in self.instances))
        if fingerprint(device.db, watch) != self.after:
            return False
        return all(any(same_text(wanted, given) for given in answers) for wanted in self.told)

    def oracle(self, device: Device, answers: Sequence[str]) -> a.Action:
        """Returns the present subtask's next action. The oracle answers whatever a subtask reads, as a note."""
        while self.stage < len(self.instances):
            subtask = self.instances[self.stage]
            own = answers[self.heard :] if subtask.answer is not None else ()
            if not subtask.reached(device, own):
                return subtask.oracle(device, own)
            self.stage += 1
            self.heard = len(answers)
        return a.Terminate(status="success")

    def look(self, device: Device) -> None:
        """Marks every reading subtask whose answer is on the screen as seen."""
        for n, subtask in enumerate(self.instances):
            if subtask.answer is not None and n not in self.seen and isinstance(subtask.oracle(device, ()), a.Answer):
                self.seen.add(n)

    def checks(self, device: Device, answers: Sequence[str], status: str | None) -> tuple[bool, ...]:
        """Returns V_i for every subtask i.

        A subtask that changes something is done while its change holds. A subtask that reads something is done once its
        answer has been on the screen or has been given.
        """
        done = []
        for n, subtask in enumerate(self.instances):
            if subtask.answer is not None:
                done.append(n in self.seen or any(same_text(subtask.answer, given) for given in answers))
            else:
                done.append(_holds(subtask, fingerprint(device.db, subtask.template.watch)))
        return tuple(done)

    def progress(self) -> list[Any]:
        """Returns the oracle's progress and the subtasks whose answer has been on the screen."""
        return [self.stage, self.heard, sorted(self.seen)]

    def restore_progress(self, progress: list[Any]) -> None:
        """Puts back the oracle's progress and the subtasks whose answer has been on the screen."""
        self.stage, self.heard, seen = progress
        self.seen = set(seen)


def _delta(before: tuple[Any, ...], after: tuple[Any, ...]) -> tuple[list[Counter[Any]], list[Counter[Any]]]:
    """Returns the added and the removed rows, table by table."""
    pairs = [(Counter(b), Counter(c)) for b, c in zip(before, after, strict=True)]
    return [c - b for b, c in pairs], [b - c for b, c in pairs]


def _holds(subtask: Instance, now: tuple[Any, ...]) -> bool:
    """Returns whether every row that the subtask adds is there and every row that it removes is gone."""
    added, removed = _delta(subtask.before, subtask.after)
    for is_, new, old, was in zip(now, added, removed, subtask.before, strict=True):
        rows, start = Counter[Any](is_), Counter[Any](was)
        if any(rows[row] < n for row, n in new.items()):
            return False
        if any(rows[row] > start[row] - n for row, n in old.items()):
            return False
    return True


class _Drawing:
    """The slots and computed values of a template that is being drawn, subtask by subtask."""

    def __init__(self, template: Composed, world: World) -> None:
        self.template, self.world = template, world
        self.slots: dict[str, Slots] = {}
        self.values: dict[str, str] = {k: draw(world) for k, draw in template.draws.items()}

    def value(self, source: str) -> str:
        """Returns the value of a source.

        Raises:
            KeyError: The value is not known yet.
        """
        if source.startswith("="):
            return source[1:]
        key, _, slot = source.partition(".")
        if key.startswith("#") or key in self.values:
            return self.values[key]
        slots = self.slots[key]
        if slot:
            return slots[slot]
        answer = TEMPLATES[self.template.subtasks[key].template].answer
        assert answer is not None, f"{self.template.name}: subtask {key} reads nothing"
        return answer(slots)

    def compute(self) -> None:
        """Runs every computation whose sources are known."""
        for key, c in self.template.computes.items():
            if f"#{key}" not in self.values:
                try:
                    self.values[f"#{key}"] = OPERATIONS[c.operation](*map(self.value, c.of))
                except KeyError:
                    continue

    def draw_until(self, key: str) -> None:
        """Draws a subtask's slots. The alternatives of a conditional subtask are drawn with it, on the same phone."""
        subtasks = self.template.subtasks
        condition = subtasks[key].when.removeprefix("not ")
        for k, subtask in subtasks.items():
            if k not in self.slots and (k == key or (condition and subtask.when.removeprefix("not ") == condition)):
                self.slots[k] = self._draw(subtask)

    def _draw(self, subtask: Subtask) -> Slots:
        """Returns a subtask's slots on the phone in its present state.

        Raises:
            NotPossible: No row of this phone has the wanted values.
        """
        template = TEMPLATES[subtask.template]
        wanted = {slot: self.value(source) for slot, source in subtask.same.items()}
        for _ in range(_TRIES):
            slots = template.draw(self.world)
            if all(slots[k] == v for k, v in wanted.items()) and (wanted or self._another(template, slots)):
                return {**slots, **{slot: self.value(source) for slot, source in subtask.takes.items()}}
        raise NotPossible(f"no {subtask.template} with {wanted}")

    def _another(self, template: Template, slots: Slots) -> bool:
        """Returns whether no earlier subtask is about the same row."""
        others = ((TEMPLATES[self.template.subtasks[k].template], s) for k, s in self.slots.items())
        return "_id" not in slots or all(o.app != template.app or s.get("_id") != slots["_id"] for o, s in others)

    def goal(self) -> str:
        """Returns the whole goal in one of the template's phrasings."""
        words = {k: SimpleNamespace(**s) for k, s in self.slots.items()}
        drawn = {k: v for k, v in self.values.items() if not k.startswith("#")}
        return self.world.rng.choice(self.template.goals).format(**words, **drawn)


def draw_composed(template: Composed, world: World) -> ComposedInstance:
    """Draws an instance of a compositional template.

    Each subtask is drawn on the phone in the state that the subtasks before it leave, and no subtask may undo another.

    Args:
        template: The compositional template.
        world: The filled phone; it stays as it is.

    Returns:
        The instance.

    Raises:
        NotPossible: The template does not fit this phone; draw another phone.
    """
    db, drawing = world.device.db, _Drawing(template, world)
    instances: list[Instance] = []
    told: list[str] = []
    db.execute("savepoint subtasks")
    try:
        for key, subtask in template.subtasks.items():
            drawing.compute()
            atomic = TEMPLATES[subtask.template]
            drawing.draw_until(key)
            slots = drawing.slots[key]
            if subtask.when:
                condition = drawing.values[f"#{subtask.when.removeprefix('not ')}"]
                if (condition == "yes") is subtask.when.startswith("not "):
                    continue
            instances.append(_apply(atomic, slots, world.rng, world.device))
            if subtask.told and atomic.answer is not None:
                told.append(atomic.answer(slots))
        watch = frozenset[str]().union(*(i.template.watch for i in instances))
        after = fingerprint(db, watch)
        if not all(_holds(i, fingerprint(db, i.template.watch)) for i in instances if i.answer is None):
            raise NotPossible("one subtask undoes another")
    finally:
        db.execute("rollback to subtasks")
        db.execute("release subtasks")
    goals = tuple(i.goal for i in instances)
    return ComposedInstance(template, drawing.goal(), goals, tuple(instances), tuple(told), after)


def _apply(template: Template, slots: Slots, rng: random.Random, device: Device) -> Instance:
    """Makes an atomic task's change and returns the task."""
    before = fingerprint(device.db, template.watch)
    try:
        for statement, params in template.change(slots):
            device.db.execute(statement, params)
    except sqlite3.IntegrityError as error:  # for example, the chat exists already
        raise NotPossible(str(error)) from None
    after = fingerprint(device.db, template.watch)
    if template.answer is None and not template.front and before == after:
        raise NotPossible("nothing to do")
    return Instance(template, slots, rng.choice(template.goals).format(**slots), (), before, after)
