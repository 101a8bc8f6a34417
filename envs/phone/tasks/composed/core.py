"""Templates of compositional tasks: atomic tasks in order, with values and conditions carried between them.

The three kinds follow UI-NEXUS (arXiv 2506.08972, section 3): *concatenation* of independent subtasks, *transition* of
a value or a condition from one subtask to the next, and *deep dive* with reasoning between subtasks. A template names
its subtasks, the sources of their slots, and its own phrasings. Everything else (the checks, the oracle, the resolved
subtasks) follows from the atomic templates.

A *source* says where a slot's value comes from:

- ``a``: the answer of the subtask with the key ``a``;
- ``a.name``: the slot ``name`` of the subtask ``a``;
- ``#x``: the computed value ``x``;
- ``=text``: the literal ``text``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from homeostat.envs.phone.tasks.base import World
from homeostat.errors import ConfigError

__all__ = ["OPERATIONS", "Composed", "Compute", "Kind", "Subtask", "concatenation", "deepdive", "transition"]

Kind = Literal["concatenation", "transition", "deepdive"]


@dataclass(frozen=True)
class Subtask:
    """One subtask of a compositional template: an atomic template by name.

    Attributes:
        template: The name of the atomic template.
        takes: Slot -> source. The source's value replaces the drawn value of the slot.
        same: Slot -> source. The subtask is about the existing row whose slot has the source's value.
        when: A computed condition, ``x`` or ``not x``. The subtask is left out if it does not hold. "": no condition.
        told: Whether the user asked for the subtask's answer.
    """

    template: str
    takes: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    told: bool = False


@dataclass(frozen=True)
class Compute:
    """A value that has to be computed: an operation on sources. A condition has the value ``yes`` or ``no``.

    Attributes:
        operation: A key of :data:`OPERATIONS`.
        of: The sources of the operands, in order.
    """

    operation: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Composed:
    """A compositional template.

    Attributes:
        name: The task's name.
        kind: The kind of composition.
        subtasks: Key -> subtask, in order.
        goals: Phrasings, with ``{a.name}`` for the slots of subtasks and ``{key}`` for the slots of ``draws``.
        computes: Key -> computation. It runs as soon as its sources are known.
        draws: Key -> generator of a further slot of the goal.

    Raises:
        ConfigError: A source, condition or operation is not defined.
    """

    name: str
    kind: Kind
    subtasks: Mapping[str, Subtask]
    goals: tuple[str, ...]
    computes: Mapping[str, Compute] = field(default_factory=dict)
    draws: Mapping[str, Callable[[World], str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Rejects sources, conditions and operations that are not defined."""
        known = {*self.subtasks, *self.draws, *(f"#{k}" for k in self.computes)}
        sources = [s for p in self.subtasks.values() for s in (*p.takes.values(), *p.same.values())]
        sources += [s for c in self.computes.values() for s in c.of]
        for source in sources:
            if not source.startswith("=") and source.split(".")[0] not in known:
                raise ConfigError(f"template {self.name!r} has the source {source!r}; known: {sorted(known)}")
        for subtask in self.subtasks.values():
            if subtask.when and subtask.when.removeprefix("not ") not in self.computes:
                raise ConfigError(f"template {self.name!r} has the condition {subtask.when!r}; add it to computes")
        for c in self.computes.values():
            if c.operation not in OPERATIONS:
                raise ConfigError(f"template {self.name!r} computes {c.operation!r}; known: {sorted(OPERATIONS)}")


def _number(text: str) -> int:
    return int("".join(c for c in text if c.isdigit()) or 0)


def _like(model: str, number: int) -> str:
    """Returns the number with the currency sign or unit of ``model``: ``$5`` gives dollars, ``5kb`` kilobytes."""
    head = model[: len(model) - len(model.lstrip("$"))]
    tail = model[len(model.rstrip("abcdefghijklmnopqrstuvwxyz%")) :]
    return f"{head}{number}{tail}"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _best(values: tuple[str, ...], which: Callable[..., int]) -> str:
    """Returns the name that follows the best value in a sequence (value, name, value, name, …)."""
    pairs = list(zip(values[::2], values[1::2], strict=True))
    numbers = [_number(v) for v, _ in pairs]
    return pairs[numbers.index(which(numbers))][1]


OPERATIONS: dict[str, Callable[..., str]] = {
    "sum": lambda *v: _like(v[0], sum(map(_number, v))),
    "difference": lambda a, b: _like(a, abs(_number(a) - _number(b))),
    "largest": lambda *v: max(v, key=_number),
    "smallest": lambda *v: min(v, key=_number),
    "name of the largest": lambda *v: _best(v, max),
    "name of the smallest": lambda *v: _best(v, min),
    "above": lambda a, b: _yes(_number(a) > _number(b)),
    "below": lambda a, b: _yes(_number(a) < _number(b)),
    "equal": lambda a, b: _yes(a == b),
}
"""The operations of :class:`Compute`, by name. Times compare as numbers (``09:30`` as 930)."""


def concatenation(name: str, subtasks: Mapping[str, Subtask], *goals: str) -> Composed:
    """Makes a template of independent subtasks."""
    return Composed(name, "concatenation", subtasks, goals)


def transition(name: str, subtasks: Mapping[str, Subtask], *goals: str, **computes: Compute) -> Composed:
    """Makes a template in which a value or a condition is carried from one subtask to another."""
    return Composed(name, "transition", subtasks, goals, computes)


def deepdive(
    name: str,
    subtasks: Mapping[str, Subtask],
    computes: Mapping[str, Compute],
    *goals: str,
    **draws: Callable[[World], str],
) -> Composed:
    """Makes a template with reasoning between its subtasks."""
    return Composed(name, "deepdive", subtasks, goals, computes, draws)
