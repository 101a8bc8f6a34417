"""Routes as data, which is how nearly every template is written."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from homeostat import actions as a
from homeostat.envs.phone.tasks.base import Change, Slots
from homeostat.envs.phone.tasks.oracle import View

__all__ = ["ADD", "DELETE", "SEND", "Route", "path", "run"]

Route = Callable[[View, Slots], a.Action | None]
Move = str | tuple[str, str] | dict[str, str]

ADD = frozenset({"add"})
DELETE = frozenset({"delete"})
SEND = frozenset({"send"})
"""Tags that rules can forbid (see :mod:`~homeostat.envs.phone.tasks.rules`)."""


def path(steps: Mapping[str, Move], *, new: bool | None = None) -> Route:
    """A route: screen (or ``dialog:title``) -> what to do there; anywhere else, back.

    A string is a label to touch, ``("hold", label)`` one to hold, a mapping the fields to fill with ``then``, the
    button. ``{slots}`` are filled in everywhere. Where the slots hold ``_id``, screens of another item lead back;
    ``new`` says that a form must (or must not) be for a new item.
    """

    def route(v: View, s: Slots) -> a.Action | None:
        if v.screen == "dialog":
            known = {k[7:].format(**s): m for k, m in steps.items() if k.startswith("dialog:")}
            move = known.get(v.title)
        else:
            move = steps.get(v.screen)
        if move is None:
            return None
        of = v.params.get("id", v.params.get("name"))
        if of is not None and "_id" in s and str(of) != s["_id"]:
            return None
        if new is not None and v.screen.endswith("/edit") and (of is None) is not new:
            return None
        if isinstance(move, dict):
            return v.fill({k: m.format(**s) for k, m in move.items() if k != "then"}, move["then"])
        if isinstance(move, tuple):
            return v.tap(move[1].format(**s), hold=True)
        return v.tap(move.format(**s))

    return route


def run(statement: str, *names: str) -> Callable[[Slots], Change]:
    """The change that one SQL statement makes, its parameters taken from the named slots."""
    return lambda s: [(statement, tuple(s[n] for n in names))]
