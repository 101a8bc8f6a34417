"""The phone's own screens: dialogs, the notification shade, and the launcher."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

from homeostat.envs.phone.effects import do, launch, sql
from homeostat.envs.phone.ui import Screen, Widget, item

__all__ = ["dialog_screen", "launcher_screen", "shade_screen"]


def dialog_screen(dialog: list[Any]) -> Screen:
    """Builds the screen of a dialog.

    Args:
        dialog: ``[title, options]``; each option is a label and an effect.

    Returns:
        The screen.
    """
    title, options = dialog
    return Screen("", (Widget("dialog", title), *(Widget("option", t, tap=e) for t, e in options)))


def shade_screen(db: sqlite3.Connection) -> Screen:
    """Builds the notification shade. A tap opens the notification's app and removes the notification.

    Args:
        db: The phone's database.

    Returns:
        The screen.
    """
    rows = db.execute("select id, app, text from notifications order by id").fetchall()
    body = [
        item(app, sub=text, tap=do(sql("delete from notifications where id = ?", i), launch(app)))
        for i, app, text in rows
    ]
    return Screen("alerts", tuple(body), (Widget("button", "clear", tap=sql("delete from notifications")),))


def launcher_screen(apps: Iterable[str]) -> Screen:
    """Builds the launcher: one icon for every app, by name.

    Args:
        apps: The names of the installed apps.

    Returns:
        The screen.
    """
    return Screen("apps", tuple(Widget("icon", n, tap=launch(n)) for n in sorted(apps)))
