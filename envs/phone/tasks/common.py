"""Routes written as data, the form that nearly every template uses, and the tags of operations."""

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
    """Makes a route from a mapping of screens to moves. On any other screen the route goes back.

    A move is a label to touch, ``("hold", label)`` for a label to hold, or a mapping of fields to their contents that
    has the button under ``then``. ``{slots}`` are filled in everywhere. If the slots contain ``_id``, the route goes
    back from the screens of any other item.

    Args:
        steps: Screen, or ``dialog:title`` -> move.
        new: Whether a form must be for a new item; None accepts any form.

    Returns:
        The route.
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
    """Makes the change of one SQL statement.

    Args:
        statement: The statement, with ``?`` for each parameter.
        names: The slots that hold the parameters.

    Returns:
        The function from slots to the change.
    """
    return lambda s: [(statement, tuple(s[n] for n in names))]
