"""Computations that a plan may contain: sums, comparisons, the name that belongs to the best value.

AGENT-NEXUS's tasks need reasoning between two subtasks (arXiv 2506.08972, section 4). The planner names an operation
and its inputs, and this module computes it exactly. Inputs are texts that were read from a screen: ``$12``, ``5kb``,
``1,200``, ``09:30``. A result keeps the notation of the first input.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal, get_args

from homeostat.errors import PlanError
from homeostat.foreign_text import quoted

__all__ = ["NO", "OPERATIONS", "YES", "Operation", "compute"]

YES, NO = "yes", "no"

Operation = Literal[
    "sum",
    "difference",
    "product",
    "average",
    "count",
    "largest",
    "smallest",
    "name of the largest",
    "name of the smallest",
    "above",
    "below",
    "equal",
    "contains",
]
"""The operations by name.

The result of ``above``, ``below``, ``equal`` and ``contains`` is ``yes`` or ``no``. ``name of the largest`` and ``name
of the smallest`` take value, name, value, name, and so on. Times are compared in minutes. A ``difference`` has no sign.
"""

OPERATIONS: tuple[Operation, ...] = get_args(Operation)
"""The operations that a subtask of a plan may ask for, by name."""

_LONGEST = 400  # characters of an input: the pattern's time grows with the square of the length
_QUANTITY = re.compile(
    r"(?P<head>[^\d\-+]*?)(?P<hours>\d{1,2}):(?P<minutes>\d\d)(?P<tail>\D*)"
    r"|(?P<before>[^\d\-+]*?)(?P<number>[-+]?\d[\d,]*(?:\.\d+)?)(?P<after>\D*)"
)


@dataclass(frozen=True)
class _Quantity:
    """A number and the text around it."""

    number: Decimal
    before: str = ""
    after: str = ""
    clock: bool = False

    def like(self, number: Decimal) -> str:
        """Writes another number in this notation."""
        if self.clock:
            return f"{self.before}{int(number) // 60:02d}:{int(number) % 60:02d}{self.after}"
        written = f"{number:f}"
        if "." in written:
            written = written.rstrip("0").rstrip(".")
        places = -int(self.number.as_tuple().exponent)
        if places > 0 and -int(number.as_tuple().exponent) <= places:
            written = f"{number:.{places}f}"
        return f"{self.before}{written}{self.after}"


def compute(operation: Operation, inputs: Sequence[str]) -> str:
    """Computes an operation.

    Args:
        operation: The operation.
        inputs: The inputs, as texts.

    Returns:
        The result, as a text.

    Raises:
        PlanError: The operation is unknown, an input contains no number, or the number of inputs is wrong.
    """
    known: dict[Operation, Callable[[Sequence[str]], str]] = {
        "sum": lambda v: _like(v, sum(_numbers(v), Decimal(0))),
        "difference": lambda v: _like(_two(v, operation), abs(_numbers(v)[0] - _numbers(v)[1])),
        "product": lambda v: _like(v, _product(_numbers(v))),
        "average": lambda v: _like(v, round(sum(_numbers(v), Decimal(0)) / len(v), 2)),
        "count": lambda v: str(len(v)),
        "largest": lambda v: v[_best(v, max)],
        "smallest": lambda v: v[_best(v, min)],
        "name of the largest": lambda v: _named(v, max, operation),
        "name of the smallest": lambda v: _named(v, min, operation),
        "above": lambda v: _yes(_numbers(_two(v, operation))[0] > _numbers(v)[1]),
        "below": lambda v: _yes(_numbers(_two(v, operation))[0] < _numbers(v)[1]),
        "equal": lambda v: _yes(_same(*_two(v, operation))),
        "contains": lambda v: _yes(_plain(_two(v, operation)[1]) in _plain(v[0])),
    }
    if operation not in known:
        raise PlanError(f"operation {quoted(operation)} is unknown; use one of {', '.join(OPERATIONS)}")
    if not inputs:
        raise PlanError(f"{operation!r} has no inputs; give at least one")
    try:
        return known[operation](inputs)
    except ArithmeticError:  # numbers beyond the precision of Decimal, 28 digits
        raise PlanError(f"{operation!r} of {quoted(list(inputs))} has too many digits; use smaller numbers") from None


def _read(text: str) -> _Quantity:
    match = _QUANTITY.fullmatch(text.strip()) if len(text) <= _LONGEST else None
    if match is None:
        raise PlanError(
            f"{quoted(text)} does not contain exactly one number; let a subtask read a value such as '$12' or '5'"
        )
    if match["hours"] is not None:
        minutes = 60 * int(match["hours"]) + int(match["minutes"])
        return _Quantity(Decimal(minutes), match["head"], match["tail"], clock=True)
    return _Quantity(Decimal(match["number"].replace(",", "")), match["before"], match["after"])


def _numbers(values: Sequence[str]) -> list[Decimal]:
    return [_read(v).number for v in values]


def _like(values: Sequence[str], number: Decimal) -> str:
    return _read(values[0]).like(number)


def _product(numbers: Sequence[Decimal]) -> Decimal:
    result = Decimal(1)
    for number in numbers:
        result *= number
    return result


def _best(values: Sequence[str], which: Callable[[Sequence[Decimal]], Decimal]) -> int:
    numbers = _numbers(values)
    return numbers.index(which(numbers))


def _named(values: Sequence[str], which: Callable[[Sequence[Decimal]], Decimal], operation: str) -> str:
    if len(values) % 2:
        raise PlanError(f"{operation!r} has {len(values)} inputs; give value, name, value, name, …")
    return values[1::2][_best(values[::2], which)]


def _two(values: Sequence[str], operation: str) -> Sequence[str]:
    if len(values) != 2:
        raise PlanError(f"{operation!r} has {len(values)} inputs; give two")
    return values


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _same(one: str, other: str) -> bool:
    """Whether two inputs are equal as texts, or as numbers if both are numbers (``$5`` and ``5``)."""
    if _plain(one) == _plain(other):
        return True
    try:
        return _read(one).number == _read(other).number
    except PlanError:
        return False


def _yes(holds: bool) -> str:
    return YES if holds else NO
