"""The facts that a recording shows, read from its moments. They are the ground truth of the questions."""

from __future__ import annotations

from typing import Literal

from homeostat import actions as a
from homeostat.envs.phone.recordings.record import Change, Moment, Recording

__all__ = ["DialogCause", "column", "dialogs", "opened", "read", "typed"]

DialogCause = Literal["held", "button", "row", "itself"]


def opened(recording: Recording) -> list[str]:
    """Returns the apps in the order in which they came to the front. An app that stays in front counts once.

    Args:
        recording: The recording.

    Returns:
        The names, with repetitions.
    """
    found, before = list[str](), "home"
    for m in recording.moments:
        if m.app not in (before, "home"):
            found.append(m.app)
        before = m.app
    return found


def typed(recording: Recording) -> list[tuple[str, str, Change | None]]:
    """Returns every text that was typed.

    Args:
        recording: The recording.

    Returns:
        For each text: the field, the field's content afterwards, and the change of the database that stored it (or
        None).
    """
    found = []
    for n, m in enumerate(recording.moments):
        if isinstance(m.action, a.Type) and not m.error:
            text = next((s.value for s in m.shown if s.role == "field" and s.text == m.focus), "")
            found.append((m.focus, text, _saved(recording.moments[n:], text)))
    return found


def _saved(moments: tuple[Moment, ...], text: str) -> Change | None:
    """Returns the next change that stores this text in the database."""
    for m in moments:
        for change in m.changes:
            if change.after is not None and text in change.after.values():
                return change
    return None


def read(recording: Recording, screen: str) -> list[tuple[str, dict[str, str]]]:
    """Returns the items whose screen was open.

    Args:
        recording: The recording.
        screen: The name of the items' screen.

    Returns:
        For each item: its title, and label -> value. Texts without a label are joined under "".
    """
    found = []
    for m in recording.moments:
        if m.screen == screen:
            title = next(s.text for s in m.shown if s.role == "title")
            pairs = {s.text: s.value for s in m.shown if s.role == "text" and s.value}
            alone = " ".join(s.text for s in m.shown if s.role == "text" and not s.value)
            if (title, {**pairs, "": alone}) not in found:
                found.append((title, {**pairs, "": alone}))
    return found


def dialogs(recording: Recording) -> list[tuple[DialogCause, str]]:
    """Returns every dialog that appeared over something else.

    Args:
        recording: The recording.

    Returns:
        For each dialog: its cause, and the label of what was touched ("" if nothing was).
    """
    found: list[tuple[DialogCause, str]] = []
    before = ""
    for m in recording.moments:
        title = next((s.text for s in m.shown if s.role == "dialog"), "") if m.screen == "dialog" else ""
        touch = m.touch
        asked = touch is not None and touch.leads == "dialog"
        if title and (title != before or asked):
            if touch is None or not asked:
                found.append(("itself", ""))
            elif touch.held:
                found.append(("held", touch.text))
            else:
                found.append(("button" if touch.role in ("button", "option") else "row", touch.text))
        before = title
    return found


def column(recording: Recording, table: str, name: str) -> list[str]:
    """Returns the different values of a column, at the start and after every change.

    Args:
        recording: The recording.
        table: The table's name.
        name: The column's name.

    Returns:
        The values in alphabetical order.
    """
    rows = [*recording.start.get(table, ())]
    rows += [c.after for m in recording.moments for c in m.changes if c.table == table and c.after is not None]
    return sorted({str(row[name]) for row in rows})
