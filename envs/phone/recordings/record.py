"""Screen recordings of phone episodes: frames, the actions between them, and the facts that they show.

The frames are the environment's own screenshots (also rotated or dark), so that a question is answered from what an
agent saw. The facts come from the phone itself: the app and screen in front, what was touched, and which rows of the
database were added, removed or changed.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.envs.phone.adversity import Adversity
from homeostat.envs.phone.device import Device
from homeostat.envs.phone.env import PhoneEnv
from homeostat.envs.phone.layout import COLUMNS, ROWS
from homeostat.envs.phone.ui import Widget
from homeostat.errors import ActionError, ConfigError

__all__ = [
    "FEWEST",
    "MOST",
    "Change",
    "Moment",
    "Policy",
    "Recording",
    "Shown",
    "Touch",
    "cells_of",
    "record",
    "spread",
]

FEWEST, MOST = 8, 32
Policy = Callable[[PhoneEnv | Adversity], a.Action | None]
Row = dict[str, Any]


class _Fact(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Shown(_Fact):
    """One element on the screen.

    Attributes:
        role: The role.
        text: The label.
        value: The value beside the label.
        sub: The second line.
    """

    role: str
    text: str
    value: str = ""
    sub: str = ""


class Touch(_Fact):
    """What a finger touched.

    Attributes:
        role: The role of the element.
        text: The label of the element.
        held: Whether it was a long press.
        leads: The name of the touch's effect, such as ``dialog``; "" for none.
    """

    role: str
    text: str
    held: bool
    leads: str = ""


class Change(_Fact):
    """A row of the database that was added, removed or changed.

    Attributes:
        table: The table's name.
        before: The row before; None if it was added.
        after: The row after; None if it was removed.
    """

    table: str
    before: Row | None
    after: Row | None


class Moment(_Fact):
    """One step: the action, and the phone after it.

    Attributes:
        action: The action.
        error: Why the phone refused the action; "" if it did not.
        app: The app in front; ``home`` for the launcher.
        screen: ``dialog``, ``shade``, ``home`` or ``app/screen``.
        focus: The field with the focus; "" for none.
        shown: The visible elements.
        touch: What was touched; None for nothing.
        changes: The changed rows.
    """

    action: a.Action
    error: str = ""
    app: str
    screen: str
    focus: str = ""
    shown: tuple[Shown, ...]
    touch: Touch | None = None
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True, eq=False)
class Recording:
    """A recorded episode.

    Attributes:
        task: The task.
        split: The vocabulary of the phone.
        frames: (height, width, 3) uint8 each, in order, with the first and the last screen.
        steps: For each frame, the number of actions before it.
        moments: Every action, with its results.
        start: The rows of every table at the start.
        cells: For each frame, the word on each cell (column, row) of the grid, from the word's start to the cell's end.
            Empty for a recording that was loaded from a folder.
    """

    task: TaskInfo
    split: str
    frames: tuple[NDArray[np.uint8], ...]
    steps: tuple[int, ...]
    moments: tuple[Moment, ...]
    start: dict[str, tuple[Row, ...]]
    cells: tuple[Mapping[tuple[int, int], str], ...] = ()

    @property
    def complete(self) -> bool:
        """Whether every screen of the episode is among the frames."""
        return len(self.frames) == len(self.moments) + 1

    def between(self, frame: int) -> tuple[Moment, ...]:
        """Returns what was done between a frame and the next one.

        Args:
            frame: The index of the frame.

        Returns:
            The moments.
        """
        return self.moments[self.steps[frame] : self.steps[frame + 1]]

    def changes(self, table: str, kind: Literal["added", "removed", "changed"]) -> list[Change]:
        """Returns the changes of a kind in a table.

        Args:
            table: The table's name.
            kind: The kind of change.

        Returns:
            The changes, in order.
        """
        found = [c for m in self.moments for c in m.changes if c.table == table]
        wanted = {"added": (False, True), "removed": (True, False), "changed": (True, True)}[kind]
        return [c for c in found if (c.before is not None, c.after is not None) == wanted]


def record(env: PhoneEnv | Adversity, policy: Policy | None = None, *, most: int = MOST) -> Recording:
    """Records an episode from the environment's present state.

    The recording stops at the end of the episode, at its ``max_steps``, or when the policy returns None.

    Args:
        env: The environment, at the start of an episode.
        policy: Returns the next action for the environment; None for the oracle's.
        most: The maximum number of frames, 8 to 32. From a longer episode, evenly spread frames are kept, the first and
            the last included.

    Returns:
        The recording.

    Raises:
        ConfigError: ``most`` is out of range.
    """
    if isinstance(most, bool) or not isinstance(most, int) or not FEWEST <= most <= MOST:
        raise ConfigError(f"most {most!r} frames are out of range; choose {FEWEST} to {MOST}")
    policy = policy or (lambda env: env.oracle())
    phone = env if isinstance(env, PhoneEnv) else env.phone
    rows = _rows(phone.device.db)
    start = {table: tuple(by_id.values()) for table, by_id in rows.items()}
    frames, moments, cells = [env.observe().screenshot], list[Moment](), [cells_of(phone.device)]
    while phone.status is None and len(moments) < env.info.max_steps:
        action = policy(env)
        if action is None:
            break
        touch, writes, error = _touch(phone.device, action), phone.device.db.total_changes, ""
        try:
            env.act(action)
        except ActionError as refused:
            error = str(refused)
        changes: tuple[Change, ...] = ()
        if phone.device.db.total_changes != writes:
            now = _rows(phone.device.db)
            changes, rows = tuple(_changes(rows, now)), now
        moments.append(_moment(phone.device, action, error, touch, changes))
        frames.append(env.observe().screenshot)
        cells.append(cells_of(phone.device))
    kept = spread(len(frames), most)
    return Recording(
        env.info,
        phone.split,
        tuple(np.array(frames[i]) for i in kept),
        tuple(kept),
        tuple(moments),
        start,
        tuple(cells[i] for i in kept),
    )


def cells_of(device: Device) -> dict[tuple[int, int], str]:
    """Returns the word on each cell of a phone's screen.

    Args:
        device: The phone.

    Returns:
        (column, row) -> the word on that cell, from the word's start to the end of the cell. The cells of ``alarm``
        hold ``al``, ``alar`` and ``alarm``.
    """
    runs = (run for p in device.placed() for run in p.runs)
    return {(r.column + i // 2, r.row): r.word[: i + 2] for r in runs for i in range(0, len(r.word), 2)}


def spread(n: int, most: int) -> list[int]:
    """Chooses evenly spread frames, the first and the last included.

    Args:
        n: The number of frames.
        most: The maximum number to keep.

    Returns:
        The indices of the frames to keep.
    """
    return list(range(n)) if n <= most else [round(i * (n - 1) / (most - 1)) for i in range(most)]


def _moment(device: Device, action: a.Action, error: str, touch: Touch | None, changes: tuple[Change, ...]) -> Moment:
    shown = (p.widget for p in device.placed())
    return Moment(
        action=action,
        error=error,
        app=device.app,
        screen=device.screen,
        focus=(device.frame.focus or "") if device.frame is not None else "",
        shown=tuple(Shown(role=w.role, text=w.text, value=w.value, sub=w.sub) for w in shown),
        touch=touch,
        changes=changes,
    )


def _touch(device: Device, action: a.Action) -> Touch | None:
    """Returns what the action touches: the topmost element at its point, as the device draws it."""
    if not isinstance(action, a.Click | a.LongPress):
        return None
    x, y = action.point[0] * COLUMNS, action.point[1] * ROWS
    hit: Widget | None = None
    for p in device.placed():
        left, top, right, bottom = p.box
        if left <= x < right and top <= y < bottom:
            hit = p.widget
    if hit is None:
        return None
    held = isinstance(action, a.LongPress)
    effect = (hit.hold or hit.tap) if held else hit.tap
    return Touch(role=hit.role, text=hit.text, held=held, leads=effect[0] if effect else "")


def _rows(db: sqlite3.Connection) -> dict[str, dict[int, Row]]:
    tables = [t for (t,) in db.execute("select name from sqlite_master where type = 'table' order by name")]
    found: dict[str, dict[int, Row]] = {}
    for table in tables:
        names = [c[1] for c in db.execute(f"pragma table_info({table})")]
        rows = db.execute(f"select rowid, * from {table}").fetchall()
        found[table] = {i: dict(zip(names, values, strict=True)) for i, *values in rows}
    return found


def _changes(old: dict[str, dict[int, Row]], new: dict[str, dict[int, Row]]) -> Iterable[Change]:
    for table in new:
        was, is_ = old.get(table, {}), new[table]
        for i in sorted({*was, *is_}):
            if was.get(i) != is_.get(i):
                yield Change(table=table, before=was.get(i), after=is_.get(i))
