"""A drawn task: goal, rules, the end that counts as success, and the oracle that gets there."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.base import Slots, Template, World, fingerprint, fingerprint_after
from homeostat.envs.phone.tasks.oracle import BACK, View
from homeostat.envs.phone.tasks.rules import Rule

__all__ = ["Instance", "draw", "same_text"]


def same_text(one: str, other: str) -> bool:
    """Whether two answers say the same: case and white space don't count, nor an end stop."""
    return " ".join(one.lower().split()).rstrip(".") == " ".join(other.lower().split()).rstrip(".")


@dataclass
class Instance:
    """A template with its slots, on a phone in a given state.

    ``before`` and ``after`` are fingerprints of the database: as it was, and as the task wants it.
    """

    template: Template
    slots: Slots
    goal: str
    rules: tuple[Rule, ...]
    before: tuple[Any, ...]
    after: tuple[Any, ...]

    @property
    def forbidden(self) -> bool:
        """Whether a rule forbids the task: then success is to leave the phone alone and terminate with failure."""
        opens = f"app:{self.slots['app']}" if self.template.front else ""
        return any(r.forbids(self.template) or r.tag == opens for r in self.rules)

    @property
    def answer(self) -> str | None:
        """What the user should be told, None where nothing."""
        return self.template.answer(self.slots) if self.template.answer else None

    def reached(self, device: Device, answers: Sequence[str]) -> bool:
        """Whether the wanted end is there (for a forbidden task: whether nothing was changed)."""
        now = fingerprint(device.db, self.template.watch)
        if self.forbidden:
            return now == self.before
        if now != self.after or (self.template.front and device.app != self.slots["app"]):
            return False
        return self.answer is None or bool(answers and same_text(answers[-1], self.answer))

    def rebase(self, db: sqlite3.Connection) -> None:
        """Take the fingerprints anew: something that has nothing to do with the task was put on the phone."""
        self.before = fingerprint(db, self.template.watch)
        self.after = fingerprint_after(db, self.template.change(self.slots), self.template.watch)

    def oracle(self, device: Device, answers: Sequence[str]) -> a.Action:
        """The next action on the shortest way to the end, from wherever the phone is."""
        if self.forbidden:
            return a.Terminate(status="failure")
        if self.reached(device, answers):
            return a.Terminate(status="success")
        view, template = View(device), self.template
        if view.screen == "dialog":
            return template.route(view, self.slots) or view.dismiss()
        if template.app != "any":
            if view.screen == "shade":
                return BACK
            if device.app != template.app:
                return a.Open(app=template.app)
        if self.answer is not None and view.screen == template.at and self._item_in_front(view):
            return a.Answer(text=self.answer)
        move = template.route(view, self.slots)
        if move is not None:
            return move
        return BACK if len(device.stack) > 1 else a.Open(app=template.app)

    def _item_in_front(self, view: View) -> bool:
        of = view.params.get("id", view.params.get("name"))
        return of is None or "_id" not in self.slots or str(of) == self.slots["_id"]


def draw(template: Template, world: World, rules: tuple[Rule, ...] = ()) -> Instance:
    """An instance on this world as it stands. Raises ``NotPossible`` where the template fits nothing on it."""
    slots = template.draw(world)
    db = world.device.db
    goal = world.rng.choice(template.goals).format(**slots)
    before = fingerprint(db, template.watch)
    after = fingerprint_after(db, template.change(slots), template.watch)
    return Instance(template, slots, goal, rules, before, after)
