"""The phone's device: apps over one SQLite database, a back stack, dialogs, and a notification shade.

The device is deterministic: its state is a function of the database, the frames and the actions. Content never depends
on the wall clock. ``snapshot`` returns the state as JSON-able data, and ``restore`` restores it in any process.
"""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from homeostat import actions as a
from homeostat.envs.phone.apps import BASIC
from homeostat.envs.phone.apps.decoys import find_app, known_apps
from homeostat.envs.phone.effects import Effect
from homeostat.envs.phone.layout import BODY_ROWS, COLUMNS, ROWS, Placed, body_rows, elements_of, lay_out
from homeostat.envs.phone.render import render
from homeostat.envs.phone.system import dialog_screen, launcher_screen, shade_screen
from homeostat.envs.phone.theme import Theme
from homeostat.envs.phone.ui import App, Context, Frame, Screen, Widget
from homeostat.errors import ActionError, UnknownName
from homeostat.observation import Observation

__all__ = ["Device"]

PAGE = 8  # the number of rows that a swipe scrolls
LAUNCHER = "home"


class _Database(sqlite3.Connection):
    """Closes itself with its last reference. Since Python 3.13, SQLite connections warn if they are not closed."""

    def __del__(self) -> None:
        self.close()


class Device:
    """A simulated phone.

    Attributes:
        apps: The installed apps, by name.
        db: The database of all apps.
        stack: The back stack; empty on the launcher.
        dialog: The open dialog as ``[title, options]``; None if there is none.
        shade: Whether the notification shade is open.
        message: The text of the toast; "" for none.
        launcher_scroll: The number of the launcher's rows that are scrolled away.
        clock: Minutes since midnight; every action takes one minute.
        theme: The visual theme.
    """

    def __init__(self, apps: Iterable[str] = BASIC) -> None:
        """Creates a phone with empty apps.

        Args:
            apps: The names of the apps to install.

        Raises:
            UnknownName: There is no app of this name.
        """
        wanted = set(apps)
        self.apps: dict[str, App] = {name: find_app(name) for name in known_apps() if name in wanted}
        for name in wanted - set(self.apps):
            raise UnknownName.of("app", name, known_apps())
        self.db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False, factory=_Database)
        for app in self.apps.values():
            self.db.executescript(app.schema)
        self.stack: list[Frame] = []
        self.dialog: list[Any] | None = None
        self.shade, self.message = False, ""
        self.launcher_scroll = 0
        self.clock = 9 * 60
        self.theme = Theme()
        self._placed: list[Placed] | None = None

    # -- observing -----------------------------------------------------------------------------------------------------

    @property
    def app(self) -> str:
        """The name of the app in front; ``home`` for the launcher."""
        return self.stack[-1].app if self.stack else LAUNCHER

    @property
    def screen(self) -> str:
        """The name of what is in front: ``dialog``, ``shade``, ``home`` or ``app/screen``."""
        if self.dialog:
            return "dialog"
        if self.shade:
            return "shade"
        return f"{self.app}/{self.stack[-1].screen}" if self.stack else LAUNCHER

    @property
    def frame(self) -> Frame | None:
        """The frame in front; None on the launcher."""
        return self.stack[-1] if self.stack else None

    def placed(self) -> list[Placed]:
        """Returns the visible elements.

        Returns:
            The elements in reading order.
        """
        if self._placed is None:
            self._placed, _ = self._lay_out()
        return self._placed

    def rows(self) -> list[tuple[Widget, int]]:
        """Returns every widget of the body in front, visible or not.

        Returns:
            Each widget with its row relative to the body's top.
        """
        return self._lay_out()[1]

    def observe(self, scale: int = 1) -> Observation:
        """Returns the screen, drawn at 144·scale × 256·scale pixels."""
        placed = self.placed()
        pixels = render(placed, self._colour(), scale, dark=self.theme.dark)
        return Observation(pixels, elements_of(placed), self.app)

    def _colour(self) -> tuple[int, int, int]:
        if self.dialog or self.shade or not self.stack:
            return (70, 74, 84)
        return self.apps[self.app].colour

    def _build(self) -> Screen:
        if self.dialog:
            return dialog_screen(self.dialog)
        if self.shade:
            return shade_screen(self.db)
        if not self.stack:
            return launcher_screen(self.apps)
        while True:
            frame = self.stack[-1]
            try:
                return self.apps[frame.app].build(Context(self.db, frame), frame.screen)
            except LookupError:  # the shown item no longer exists
                self.stack.pop()
                if not self.stack:
                    return self._build()

    def _lay_out(self) -> tuple[list[Placed], list[tuple[Widget, int]]]:
        screen = self.theme.arrange(self._build(), self.screen)
        covered = self.dialog or self.shade
        front = None if covered else self.frame
        scroll = 0
        if front is not None:
            scroll = front.scroll = _within(front.scroll, screen)
        elif not covered:
            scroll = self.launcher_scroll = _within(self.launcher_scroll, screen)
        badge: int = self.db.execute("select count(*) from notifications").fetchone()[0]
        placed, rows = lay_out(
            screen,
            deep=front is not None and len(self.stack) > 1,
            scroll=scroll,
            focus=front.focus if front else None,
            clock=f"{self.clock // 60:02d}:{self.clock % 60:02d}",
            badge=min(badge, 9),
            message=self.message,
        )
        return self.theme.place(placed), rows

    # -- acting --------------------------------------------------------------------------------------------------------

    def act(self, action: a.Action) -> None:
        """Executes one action. As on a real phone, a touch that hits nothing has no effect.

        Raises:
            ActionError: The app is not installed, or ``type`` was used without a focused field. Nothing has changed.
        """
        match action:
            case a.Open(app=name) if name.strip().lower() not in self.apps:
                raise ActionError(str(UnknownName.of("app", name, self.apps)))
            case a.Type() if self.frame is None or self.frame.focus is None or self.dialog or self.shade:
                raise ActionError(f"can't type {action.text!r}: no field has the focus; click a field first")
        placed = self.placed()
        self.message = ""
        self.clock = (self.clock + 1) % (24 * 60)
        self._placed = None
        match action:
            case a.Click(point=point):
                self._touch(placed, point, hold=False)
            case a.LongPress(point=point):
                self._touch(placed, point, hold=True)
            case a.Swipe(point=start, to=end):
                self._swipe(start, end)
            case a.Type(text=text):
                frame = self.stack[-1]
                assert frame.focus is not None
                frame.draft[frame.focus] = " ".join(text.lower().split())
            case a.SystemButton(button=button):
                self._press(button)
            case a.Open(app=name):
                self._run(["launch", name.strip().lower()])
            case _:
                pass  # wait, answer and terminate do not change the device

    def _touch(self, placed: Iterable[Placed], point: tuple[float, float], *, hold: bool) -> None:
        x, y = point[0] * COLUMNS, point[1] * ROWS
        hit = None
        for p in placed:
            left, top, right, bottom = p.box
            if left <= x < right and top <= y < bottom:
                hit = p.widget
        if self.dialog:
            if hit is not None and hit.role == "option":
                self.dialog = None
                self._run(hit.tap)
            return
        if hit is None:
            return
        if hit.role == "field" and self.frame is not None:
            self.frame.draft.setdefault(hit.key, hit.value)
            self.frame.focus = hit.key
        else:
            self._run((hit.hold or hit.tap) if hold else hit.tap)

    def _swipe(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        down = end[1] - start[1]
        if abs(down) < 0.05 or self.dialog:
            return
        if down > 0 and start[1] < 1 / ROWS and not self.shade:
            self.shade = True
        elif self.shade:
            self.shade = down > 0
        elif self.frame is not None:
            self.frame.scroll = max(0, self.frame.scroll + (-PAGE if down > 0 else PAGE))
        else:
            self.launcher_scroll = max(0, self.launcher_scroll + (-PAGE if down > 0 else PAGE))

    def _press(self, button: str) -> None:
        if button == "Home":
            self._run(["home"])
        elif button == "Back":
            if self.dialog:
                self.dialog = None
            elif self.shade:
                self.shade = False
            else:
                self._run(["back", 1])
        elif button == "Enter" and self.frame is not None:
            self.frame.focus = None

    def _run(self, effect: Effect | None) -> None:
        match effect:
            case None:
                pass
            case ["do", effects]:
                for e in effects:
                    self._run(e)
            case ["sql", statement, params]:
                self.db.execute(statement, params)
            case ["go", screen, params]:
                self.stack.append(Frame(self.app, screen, params))
            case ["back", *times]:
                del self.stack[max(0, len(self.stack) - (times[0] if times else 1)) :]
            case ["home"]:
                self.stack.clear()
                self.shade, self.dialog, self.launcher_scroll = False, None, 0
            case ["launch", app]:
                self.shade, self.dialog = False, None
                self.stack[:] = [Frame(app, self.apps[app].first)]
            case ["toast", text]:
                self.message = text
            case ["dialog", title, options]:
                self.dialog = [title, options]
            case _:
                raise AssertionError(f"no such effect: {effect!r}")

    def pop_up(self, title: str, options: list[tuple[str, Effect]]) -> None:
        """Opens a dialog over whatever is in front, such as an advertisement or a system prompt.

        Args:
            title: The dialog's title.
            options: Each option's label and effect.
        """
        self.dialog = [title, [list(o) for o in options]]
        self._placed = None

    def close_app(self, message: str = "") -> None:
        """Closes the app in front, drops its drafts, and shows the launcher.

        Args:
            message: The text of the toast; "" for none.
        """
        self._run(["home"])
        self.message, self._placed = message, None

    def install(self, app: str | App) -> None:
        """Installs one more app without content.

        Args:
            app: The name of a known app, or an app object. :meth:`restore` can't restore apps given as objects.

        Raises:
            UnknownName: There is no app of this name.
        """
        if isinstance(app, str) and app not in known_apps():
            raise UnknownName.of("app", app, known_apps())
        found = find_app(app) if isinstance(app, str) else app
        if found.name not in self.apps:
            self.apps[found.name] = found
            self.db.executescript(found.schema)
        self._placed = None

    @contextmanager
    def covered(self, placed: list[Placed]) -> Iterator[None]:
        """Shows other elements in place of the true ones while the context is active.

        Args:
            placed: The elements to show.

        Yields:
            None.
        """
        kept, self._placed = self._placed, placed
        yield
        self._placed = kept

    def changed(self) -> None:
        """Discards the cached layout after the database or the theme was changed from outside."""
        self._placed = None

    # -- state --------------------------------------------------------------------------------------------------------

    def snapshot(self) -> dict[str, Any]:
        """Returns the whole state as JSON-able data."""
        return {
            "db": base64.b64encode(self.db.serialize()).decode(),
            "stack": [asdict(f) for f in self.stack],
            "dialog": self.dialog,
            "shade": self.shade,
            "message": self.message,
            "clock": self.clock,
            "apps": list(self.apps),
            "launcher_scroll": self.launcher_scroll,
            "theme": asdict(self.theme),
        }

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores the state of a snapshot."""
        self.db.deserialize(base64.b64decode(snapshot["db"]))
        self.apps = {name: find_app(name) for name in snapshot["apps"]}
        self.stack = [Frame(**f) for f in snapshot["stack"]]
        self.dialog, self.shade = snapshot["dialog"], snapshot["shade"]
        self.message, self.clock = snapshot["message"], snapshot["clock"]
        self.launcher_scroll, self.theme = snapshot["launcher_scroll"], Theme.of(snapshot["theme"])
        self._placed = None


def _within(scroll: int, screen: Screen) -> int:
    """Returns the scroll position, limited to the length of the screen's body."""
    return max(0, min(scroll, body_rows(screen) - BODY_ROWS)) if scroll else 0
