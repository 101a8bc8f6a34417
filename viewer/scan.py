"""Reads from a trace what a list of runs shows, quickly and whatever its condition."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from homeostat.foreign_text import clipped, visible
from homeostat.regular_files import open_regular
from homeostat.viewer.corrections import CORRECTIVE
from homeostat.viewer.found import ends_of
from homeostat.viewer.reading import TRACE

__all__ = ["RunSummary", "scan_run"]

_WHOLE = 64 * 2**20
"""A longer trace is not read through: the list shows its beginning and its end."""
_LIVE = 60.0
"""Seconds without a new line after which a run without an end counts as interrupted."""
_TEXT = 200_000  # characters of the answers that can be searched
_GOAL = 400
_NAME = 120
_NAMES = 100  # sensors and controllers that are named
_LARGEST = 1e15


@dataclass(frozen=True)
class RunSummary:
    """What a list shows of a run.

    Attributes:
        run: Its id.
        goal: What was to be done.
        task: The task's name.
        model: The model's name.
        ended: How it ended; ``running`` or ``interrupted`` without an end, ``damaged`` where nothing can be read.
        success: Whether the task's check holds; None where nothing judges it.
        note: What is wrong with the trace; "" for nothing.
        controllers: The controllers that it has.
        forked_from: The id of the run from which it was forked; "" for none.
        steps: How many steps it took.
        tokens: How many tokens were generated.
        seconds: How long it took.
        alarms: How often each sensor alarmed.
        corrections: How often each controller corrected something.
        modified: When the trace was last written, in seconds since 1970.
        text: What can be searched, in lower case.
    """

    run: str
    goal: str = ""
    task: str = ""
    model: str = ""
    ended: str = "damaged"
    success: bool | None = None
    note: str = ""
    controllers: tuple[str, ...] = ()
    forked_from: str = ""
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    alarms: dict[str, int] = field(default_factory=dict)
    corrections: dict[str, int] = field(default_factory=dict)
    modified: float = 0.0
    text: str = field(default="", repr=False)


@dataclass
class _Counts:
    """What is added up over a trace's lines."""

    damaged: int = 0
    steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    alarms: Counter[str] = field(default_factory=Counter)
    corrections: Counter[str] = field(default_factory=Counter)
    answers: list[str] = field(default_factory=list)
    length: int = 0

    def take(self, event: dict[str, Any]) -> None:
        """Adds an event."""
        kind = event.get("kind")
        if kind == "act":
            self.steps += 1
        elif kind == "decide":
            decision = event.get("decision") or {}
            if decision.get("kind") in CORRECTIVE and event.get("phase") != "start":
                self.corrections[str(event.get("controller"))] += 1
        elif kind in ("plan", "report", "rule"):
            self.tokens += int(_number(event.get("tokens")))
            self.seconds += _number(event.get("seconds"))
        elif kind == "sense":
            self.tokens += max(len(event.get("tokens") or ()), int(_number(event.get("generated_tokens"))))
            self.seconds += _number(event.get("seconds"))
            self.alarms.update(str(r.get("sensor")) for r in event.get("readings") or () if r.get("alarm"))
            text = str(event.get("text") or "")
            if self.length < _TEXT:
                self.answers.append(text[: _TEXT - self.length])
                self.length += len(text)


def scan_run(folder: Path) -> RunSummary:
    """Summarises a run.

    Args:
        folder: The run's folder.

    Returns:
        The summary. It raises nothing: what can't be read is said in ``note``.
    """
    path = folder / TRACE
    counts = _Counts()
    try:
        stat = path.stat()
        huge = stat.st_size > _WHOLE
        partial = _scan(path, counts) if not huge else False
    except OSError as error:
        return RunSummary(folder.name, note=f"The trace can't be read: {error.strerror}.")
    start, finish = ends_of(folder)
    notes = []
    if not stat.st_size:
        notes.append("The trace is empty.")
    elif not start:
        notes.append("The trace does not begin with a start event.")
    if huge:
        notes.append(f"The trace is huge ({stat.st_size // 2**20} MiB): alarms and corrections are not counted here.")
    if counts.damaged:
        notes.append(f"Lines that are no events: {counts.damaged}.")
    if partial and not finish:
        notes.append("The last line is incomplete.")
    try:
        return _summary(folder, start, finish, counts, " ".join(notes), stat.st_mtime)
    except (TypeError, ValueError, AttributeError, OverflowError):
        return RunSummary(folder.name, note="The trace holds events of another form.", modified=stat.st_mtime)


def _scan(path: Path, counts: _Counts) -> bool:
    """Reads all lines; whether the last one is incomplete."""
    with open_regular(path) as file:
        for line in file:
            if not line.endswith(b"\n"):
                return True
            try:
                event = json.loads(line)
                counts.take(event)
            except (ValueError, RecursionError, TypeError, AttributeError, OverflowError):
                counts.damaged += 1
    return False


def _summary(
    folder: Path, start: dict[str, Any], finish: dict[str, Any], counts: _Counts, note: str, modified: float
) -> RunSummary:
    task = start.get("task") or {}
    goal, model = str(task.get("goal", "")), str(start.get("model", ""))
    ended = str(finish.get("ended") or ("running" if time.time() - modified < _LIVE else "interrupted"))
    names = [folder.name, goal, str(task.get("name", "")), model]
    return RunSummary(
        run=visible(clipped(str(start.get("run") or folder.name), _NAME)),
        goal=visible(clipped(" ".join(goal.split()), _GOAL)),
        task=visible(clipped(str(task.get("name", "")), _NAME)),
        model=visible(clipped(model, _NAME)),
        ended=visible(clipped(ended, _NAME)) if start else "damaged",
        success=finish.get("success") if isinstance(finish.get("success"), bool) else None,
        note=note,
        controllers=tuple(visible(clipped(str(name), _NAME)) for name in (start.get("controllers") or ())[:_NAMES]),
        forked_from=visible(clipped(str(start.get("forked_from") or ""), _NAME)),
        steps=counts.steps or int(_number(finish.get("steps"))),
        tokens=int(_number(finish.get("tokens")) or counts.tokens),
        seconds=_number(finish.get("seconds")) or counts.seconds,
        alarms={visible(clipped(name, _NAME)): number for name, number in counts.alarms.most_common(_NAMES)},
        corrections={visible(clipped(name, _NAME)): number for name, number in counts.corrections.most_common(_NAMES)},
        modified=modified,
        text="\n".join([*names, *counts.answers]).lower(),
    )


def _number(value: Any) -> float:
    """A number that JSON and a page can hold; 0 for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0.0
    return float(value) if abs(value) < _LARGEST else 0.0  # NaN compares as False, too
