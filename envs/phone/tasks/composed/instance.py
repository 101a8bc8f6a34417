"""A drawn compositional task: goal, resolved parts, their checks, and the oracle that does them in order."""

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
from homeostat.envs.phone.tasks.composed.core import OPERATIONS, Composed, Part
from homeostat.envs.phone.tasks.instance import Instance, same_text

__all__ = ["ComposedInstance", "draw_composed"]

_TRIES = 60


@dataclass
class ComposedInstance:
    """The parts that are to be done, in order (those whose condition fails are left out).

    ``goals``: each part's own goal, every value filled in. ``told``: the answers that the user asked for. ``seen``:
    which reading parts' answers have been on the screen.
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

    rules: tuple[Any, ...] = ()
    forbidden = False

    @property
    def notes(self) -> int:
        """How many of the oracle's answers nobody asked for: it keeps what it reads for later parts."""
        return sum(i.answer is not None for i in self.instances) - len(self.told)

    def rebase(self, db: sqlite3.Connection) -> None:
        """Take the fingerprints anew: something that has nothing to do with the task was put on the phone."""
        watch = frozenset[str]().union(*(i.template.watch for i in self.instances))
        db.execute("savepoint parts")
        try:
            for part in self.instances:
                part.before = fingerprint(db, part.template.watch)
                for statement, params in part.template.change(part.slots):
                    db.execute(statement, params)
                part.after = fingerprint(db, part.template.watch)
            self.after = fingerprint(db, watch)
        finally:
            db.execute("rollback to parts")
            db.execute("release parts")

    def reached(self, device: Device, answers: Sequence[str]) -> bool:
        """Whether all changes and no other are there, and what the user asked was answered."""
        watch = frozenset[str]().union(*(i.template.watch for i in self.instances))
        if fingerprint(device.db, watch) != self.after:
            return False
        return all(any(same_text(wanted, given) for given in answers) for wanted in self.told)

    def oracle(self, device: Device, answers: Sequence[str]) -> a.Action:
        """The next action of the part whose turn it is. What a part reads is answered: a note for later parts."""
        while self.stage < len(self.instances):
            part = self.instances[self.stage]
            mine = answers[self.heard :] if part.answer is not None else ()
            if not part.reached(device, mine):
                return part.oracle(device, mine)
            self.stage += 1
            self.heard = len(answers)
        return a.Terminate(status="success")

    def look(self, device: Device) -> None:
        """Take note of what is on the screen: a reading part is done once its answer was in front."""
        for n, part in enumerate(self.instances):
            if part.answer is not None and n not in self.seen and isinstance(part.oracle(device, ()), a.Answer):
                self.seen.add(n)

    def checks(self, device: Device, answers: Sequence[str]) -> tuple[bool, ...]:
        """V_i: for every part, whether what it changes is there now (what it reads: was seen, or was answered)."""
        done = []
        for n, part in enumerate(self.instances):
            if part.answer is not None:
                done.append(n in self.seen or any(same_text(part.answer, given) for given in answers))
            else:
                done.append(_holds(part, fingerprint(device.db, part.template.watch)))
        return tuple(done)


def _delta(before: tuple[Any, ...], after: tuple[Any, ...]) -> tuple[list[Counter[Any]], list[Counter[Any]]]:
    """Rows that came and rows that went, table by table."""
    pairs = [(Counter(b), Counter(c)) for b, c in zip(before, after, strict=True)]
    return [c - b for b, c in pairs], [b - c for b, c in pairs]


def _holds(part: Instance, now: tuple[Any, ...]) -> bool:
    came, went = _delta(part.before, part.after)
    for is_, new, old, was in zip(now, came, went, part.before, strict=True):
        rows, start = Counter[Any](is_), Counter[Any](was)
        if any(rows[row] < n for row, n in new.items()):
            return False
        if any(rows[row] > start[row] - n for row, n in old.items()):
            return False
    return True


class _Drawing:
    """Values as they become known, part by part."""

    def __init__(self, template: Composed, world: World) -> None:
        self.template, self.world = template, world
        self.slots: dict[str, Slots] = {}
        self.values: dict[str, str] = {k: draw(world) for k, draw in template.draws.items()}

    def value(self, source: str) -> str:
        """The value of a source. Raises ``KeyError`` where it is not known yet."""
        if source.startswith("="):
            return source[1:]
        key, _, slot = source.partition(".")
        if key.startswith("#") or key in self.values:
            return self.values[key]
        slots = self.slots[key]
        if slot:
            return slots[slot]
        answer = TEMPLATES[self.template.parts[key].template].answer
        assert answer is not None, f"{self.template.name}: part {key} reads nothing"
        return answer(slots)

    def compute(self) -> None:
        """Make every computation whose sources are known."""
        for key, c in self.template.computes.items():
            if f"#{key}" not in self.values:
                try:
                    self.values[f"#{key}"] = OPERATIONS[c.operation](*map(self.value, c.of))
                except KeyError:
                    continue

    def draw_until(self, key: str) -> None:
        """Draw this part's slots, and with a conditional one's those of its alternatives: on the same phone."""
        parts = self.template.parts
        condition = parts[key].when.removeprefix("not ")
        for k, part in parts.items():
            if k not in self.slots and (k == key or (condition and part.when.removeprefix("not ") == condition)):
                self.slots[k] = self._draw(part)

    def _draw(self, part: Part) -> Slots:
        """The part's slots on the phone as it stands. Raises ``NotPossible``."""
        template = TEMPLATES[part.template]
        wanted = {slot: self.value(source) for slot, source in part.same.items()}
        for _ in range(_TRIES):
            slots = template.draw(self.world)
            if all(slots[k] == v for k, v in wanted.items()) and (wanted or self._another(template, slots)):
                return {**slots, **{slot: self.value(source) for slot, source in part.takes.items()}}
        raise NotPossible(f"no {part.template} with {wanted}")

    def _another(self, template: Template, slots: Slots) -> bool:
        """Whether no part before is about the same row."""
        others = ((TEMPLATES[self.template.parts[k].template], s) for k, s in self.slots.items())
        return "_id" not in slots or all(o.app != template.app or s.get("_id") != slots["_id"] for o, s in others)

    def goal(self) -> str:
        """The whole goal, in one of the template's phrasings."""
        words = {k: SimpleNamespace(**s) for k, s in self.slots.items()}
        drawn = {k: v for k, v in self.values.items() if not k.startswith("#")}
        return self.world.rng.choice(self.template.goals).format(**words, **drawn)


def draw_composed(template: Composed, world: World) -> ComposedInstance:
    """An instance on this world. Each part is drawn on the phone as the parts before it leave it, and no part may undo
    what another one did. Raises ``NotPossible`` where the template does not fit.
    """
    db, drawing = world.device.db, _Drawing(template, world)
    instances: list[Instance] = []
    told: list[str] = []
    db.execute("savepoint parts")
    try:
        for key, part in template.parts.items():
            drawing.compute()
            atomic = TEMPLATES[part.template]
            drawing.draw_until(key)
            slots = drawing.slots[key]
            if part.when:
                condition = drawing.values[f"#{part.when.removeprefix('not ')}"]
                if (condition == "yes") is part.when.startswith("not "):
                    continue
            instances.append(_apply(atomic, slots, world.rng, world.device))
            if part.told and atomic.answer is not None:
                told.append(atomic.answer(slots))
        watch = frozenset[str]().union(*(i.template.watch for i in instances))
        after = fingerprint(db, watch)
        if not all(_holds(i, fingerprint(db, i.template.watch)) for i in instances if i.answer is None):
            raise NotPossible("a part undoes another")
    finally:
        db.execute("rollback to parts")
        db.execute("release parts")
    goals = tuple(i.goal for i in instances)
    return ComposedInstance(template, drawing.goal(), goals, tuple(instances), tuple(told), after)


def _apply(template: Template, slots: Slots, rng: random.Random, device: Device) -> Instance:
    before = fingerprint(device.db, template.watch)
    try:
        for statement, params in template.change(slots):
            device.db.execute(statement, params)
    except sqlite3.IntegrityError as error:  # say, a chat that is there already
        raise NotPossible(str(error)) from None
    after = fingerprint(device.db, template.watch)
    if template.answer is None and not template.front and before == after:
        raise NotPossible("nothing to do")
    return Instance(template, slots, rng.choice(template.goals).format(**slots), (), before, after)
