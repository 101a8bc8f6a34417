"""Drawn tasks: the contract that :class:`~homeostat.envs.phone.env.PhoneEnv` relies on, and the atomic task."""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.tasks.base import Slots, Template, World, fingerprint, fingerprint_after
from homeostat.envs.phone.tasks.oracle import BACK, View
from homeostat.envs.phone.tasks.rules import Rule

__all__ = ["Instance", "TaskInstance", "draw", "same_text"]


def same_text(one: str, other: str) -> bool:
    """Returns whether two answers are equal, ignoring case, white space and a final full stop.

    Args:
        one: The first answer.
        other: The second answer.

    Returns:
        True if the normalised texts are equal.
    """
    return " ".join(one.lower().split()).rstrip(".") == " ".join(other.lower().split()).rstrip(".")


class TaskInstance(ABC):
    """A task drawn on a phone in a given state: its goal, its success check and its oracle.

    The defaults below describe a task that consists of one subtask and keeps no progress of its own.

    Attributes:
        goal: The goal as the user states it.
        rules: The system rules of the episode.
    """

    goal: str
    rules: tuple[Rule, ...]

    @property
    @abstractmethod
    def subtasks(self) -> tuple[Instance, ...]:
        """The atomic tasks that this task consists of, in order."""

    @abstractmethod
    def reached(self, device: Device, answers: Sequence[str]) -> bool:
        """Returns whether the device's state and the answers given so far are the wanted ones.

        Args:
            device: The phone.
            answers: Every answer that the user received so far.

        Returns:
            True at the wanted end. For a forbidden task: true while nothing has been changed.
        """

    @abstractmethod
    def rebase(self, db: sqlite3.Connection) -> None:
        """Recomputes the fingerprints after content that is unrelated to the task was put on the phone.

        Args:
            db: The phone's database in the new initial state.
        """

    @abstractmethod
    def oracle(self, device: Device, answers: Sequence[str]) -> a.Action:
        """Returns the next action of the built-in solution, whatever state the phone is in.

        Args:
            device: The phone.
            answers: Every answer that the user received so far.

        Returns:
            The action; ``terminate`` once the end is reached.
        """

    @property
    def forbidden(self) -> bool:
        """Whether a rule forbids the task. Success then means an unchanged phone and ``terminate`` with failure."""
        return False

    @property
    def subtask_goals(self) -> tuple[str, ...]:
        """The goal of every subtask, in order."""
        return (self.goal,)

    @property
    def subtask_apps(self) -> tuple[str, ...]:
        """For every subtask that can be checked on its own, the app that it is done in; "" if it has none."""
        return ("",)

    @property
    def extra_answers(self) -> int:
        """The number of the oracle's ``answer`` actions that an agent does not need, because nobody asked for them."""
        return 0

    def succeeded(self, device: Device, answers: Sequence[str], status: str | None) -> bool:
        """Returns whether the episode is a success.

        Args:
            device: The phone.
            answers: Every answer that the user received so far.
            status: The status of the final ``terminate``; None before it.

        Returns:
            True if the end is reached and the status fits it: "failure" for a forbidden task, any other status (or
            none yet) for an allowed one.
        """
        return self.reached(device, answers) and (status == "failure") is self.forbidden

    def look(self, device: Device) -> None:  # noqa: B027 - an optional hook
        """Records what is visible after an action, for tasks whose checks depend on it.

        Args:
            device: The phone after the action.
        """

    def checks(self, device: Device, answers: Sequence[str], status: str | None) -> tuple[bool, ...]:
        """Returns, for every subtask that can be checked on its own, whether it is done now.

        Args:
            device: The phone.
            answers: Every answer that the user received so far.
            status: The status of the final ``terminate``; None before it.

        Returns:
            One value for each entry of :attr:`subtask_apps`.
        """
        return (self.succeeded(device, answers, status),)

    def progress(self) -> list[Any]:
        """Returns what the task remembers of the episode.

        Returns:
            JSON-able data ``[subtask, answers before it, subtasks seen]`` for :meth:`restore_progress`.
        """
        return [0, 0, []]

    def restore_progress(self, progress: list[Any]) -> None:  # noqa: B027 - an optional hook
        """Puts back what the task remembers of the episode.

        Args:
            progress: The value of :meth:`progress`.
        """


@dataclass
class Instance(TaskInstance):
    """An atomic task: a template with its slots, on a phone in a given state.

    Attributes:
        template: The template.
        slots: The values that fill its goal, its change and its answer.
        goal: The goal as the user states it.
        rules: The system rules of the episode.
        before: The fingerprint of the database in the initial state.
        after: The fingerprint that the task asks for.
    """

    template: Template
    slots: Slots
    goal: str
    rules: tuple[Rule, ...]
    before: tuple[Any, ...]
    after: tuple[Any, ...]

    @property
    def subtasks(self) -> tuple[Instance, ...]:
        """The task itself."""
        return (self,)

    @property
    def subtask_apps(self) -> tuple[str, ...]:
        """The template's app; "" if the task may be done in any app."""
        return ("" if self.template.app == "any" else self.template.app,)

    @property
    def forbidden(self) -> bool:
        """Whether a rule forbids the task. Success then means an unchanged phone and ``terminate`` with failure."""
        opens = f"app:{self.slots['app']}" if self.template.front else ""
        return any(r.forbids(self.template) or r.tag == opens for r in self.rules)

    @property
    def answer(self) -> str | None:
        """The answer that the user should receive; None if the task asks for none."""
        return self.template.answer(self.slots) if self.template.answer else None

    def reached(self, device: Device, answers: Sequence[str]) -> bool:
        """Returns whether the wanted end is reached. For a forbidden task: whether nothing was changed."""
        now = fingerprint(device.db, self.template.watch)
        if self.forbidden:
            return now == self.before
        if now != self.after or (self.template.front and device.app != self.slots["app"]):
            return False
        return self.answer is None or bool(answers and same_text(answers[-1], self.answer))

    def rebase(self, db: sqlite3.Connection) -> None:
        """Recomputes the fingerprints after content that is unrelated to the task was put on the phone."""
        self.before = fingerprint(db, self.template.watch)
        self.after = fingerprint_after(db, self.template.change(self.slots), self.template.watch)

    def oracle(self, device: Device, answers: Sequence[str]) -> a.Action:
        """Returns the next action on the shortest path to the end, from whatever state the phone is in."""
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
    """Draws an instance of a template on a phone in its present state.

    Args:
        template: The template.
        world: The filled phone; it stays as it is.
        rules: The system rules of the episode.

    Returns:
        The instance.

    Raises:
        NotPossible: This phone holds nothing that the template could be about.
    """
    slots = template.draw(world)
    db = world.device.db
    goal = world.rng.choice(template.goals).format(**slots)
    before = fingerprint(db, template.watch)
    after = fingerprint_after(db, template.change(slots), template.watch)
    return Instance(template, slots, goal, rules, before, after)
