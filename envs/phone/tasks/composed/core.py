"""Compositional tasks: atomic ones in order, with values and conditions carried between them.

The kinds are UI-NEXUS's (arXiv 2506.08972, section 3): *concatenation* of independent subtasks, *transition* of a value
or a condition from one to the next, *deep dive* with reasoning in between. A template names its parts, where their
slots come from, and its own phrasings; everything else (checks, the oracle, the resolved parts) follows from the parts.

A *source* says where a slot's value comes from: ``a`` is the answer of part ``a``, ``a.name`` its slot ``name``, ``#x``
the computed value ``x``, ``=text`` stands for itself.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from homeostat.envs.phone.tasks.base import World
from homeostat.errors import ConfigError

__all__ = ["OPERATIONS", "Composed", "Compute", "Kind", "Part", "concatenation", "deepdive", "transition"]

Kind = Literal["concatenation", "transition", "deepdive"]


@dataclass(frozen=True)
class Part:
    """One subtask: an atomic template by name.

    ``takes``: slot -> source. A slot that belongs to an existing row (``same``) selects the row that has this value;
    any other is put in. ``when``: a computed condition (``x``, or ``not x``) without which the part is not done.
    ``told``: the user asked for the answer.
    """

    template: str
    takes: Mapping[str, str] = field(default_factory=dict)
    same: Mapping[str, str] = field(default_factory=dict)
    when: str = ""
    told: bool = False


@dataclass(frozen=True)
class Compute:
    """A value found by reasoning: an operation on sources. Conditions are ``yes`` or ``no``."""

    operation: str
    of: tuple[str, ...]


@dataclass(frozen=True)
class Composed:
    """A compositional template.

    ``parts``: key -> part, in order. ``computes``: key -> computation, made as soon as its sources are known.
    ``draws``: further slots of the goal. ``goals``: phrasings with ``{a.name}`` for slots of parts, ``{key}`` for drawn
    ones. Raises :class:`ConfigError` for a source, condition or operation that there is none of.
    """

    name: str
    kind: Kind
    parts: Mapping[str, Part]
    goals: tuple[str, ...]
    computes: Mapping[str, Compute] = field(default_factory=dict)
    draws: Mapping[str, Callable[[World], str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what can't work."""
        known = {*self.parts, *self.draws, *(f"#{k}" for k in self.computes)}
        sources = [s for p in self.parts.values() for s in (*p.takes.values(), *p.same.values())]
        sources += [s for c in self.computes.values() for s in c.of]
        for source in sources:
            if not source.startswith("=") and source.split(".")[0] not in known:
                raise ConfigError(f"template {self.name!r} has the source {source!r}; known: {sorted(known)}")
        for part in self.parts.values():
            if part.when and part.when.removeprefix("not ") not in self.computes:
                raise ConfigError(f"template {self.name!r} has the condition {part.when!r}; compute it")
        for c in self.computes.values():
            if c.operation not in OPERATIONS:
                raise ConfigError(f"template {self.name!r} computes {c.operation!r}; known: {sorted(OPERATIONS)}")


def _number(text: str) -> int:
    return int("".join(c for c in text if c.isdigit()) or 0)


def _like(model: str, number: int) -> str:
    """The number in the model's notation: ``$5`` gives dollars, ``5kb`` kilobytes."""
    head = model[: len(model) - len(model.lstrip("$"))]
    tail = model[len(model.rstrip("abcdefghijklmnopqrstuvwxyz%")) :]
    return f"{head}{number}{tail}"


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _best(values: tuple[str, ...], which: Callable[..., int]) -> str:
    """Of alternating values and names, the name beside the best value: (value, name, value, name, …)."""
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
"""What a computation may do; times compare as numbers (``09:30`` as 930)."""


def concatenation(name: str, parts: Mapping[str, Part], *goals: str) -> Composed:
    """A template of independent parts."""
    return Composed(name, "concatenation", parts, goals)


def transition(name: str, parts: Mapping[str, Part], *goals: str, **computes: Compute) -> Composed:
    """A template in which a value or a condition is carried; ``computes`` by key."""
    return Composed(name, "transition", parts, goals, computes)


def deepdive(
    name: str,
    parts: Mapping[str, Part],
    computes: Mapping[str, Compute],
    *goals: str,
    **draws: Callable[[World], str],
) -> Composed:
    """A template with reasoning between its parts; ``draws``: further slots of the goal, by key."""
    return Composed(name, "deepdive", parts, goals, computes, draws)
