"""Reads a run of any condition: one that is still being written, one that was cut off, and one that was damaged.

:func:`homeostat.agent.read_trace` refuses a damaged trace, because training must not go on with a part of one. A page
is more useful with what can be read, as long as it says what is missing.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from homeostat.agent.events import Event, Started, event_from_json
from homeostat.agent.trace import Trace
from homeostat.errors import TraceError
from homeostat.regular_files import open_regular

__all__ = ["TRACE", "ReadRun", "read_run"]

TRACE = "trace.jsonl"
"""The name of the file that makes a folder a run's folder."""
_MOST = 256 * 2**20
"""The most bytes of a trace that are read. A run of 500 steps takes about 3 MB."""


@dataclass(frozen=True)
class ReadRun:
    """What could be read of a run.

    Attributes:
        trace: The events that could be read.
        notes: What is missing, one sentence each; empty for a whole trace.
    """

    trace: Trace
    notes: tuple[str, ...] = ()


def read_run(folder: Path) -> ReadRun:
    """Reads a run's folder and leaves out the lines that are no events.

    Args:
        folder: The run's folder.

    Returns:
        The run.

    Raises:
        TraceError: There is no trace, or it does not begin with the event of a run's start.
    """
    path = folder / TRACE
    try:
        with open_regular(path) as file:
            data = file.read(_MOST)
            cut = bool(file.read(1))
    except OSError as error:
        raise TraceError(f"no trace {str(path)!r} ({error.strerror}); give a run folder such as runs/<id>") from None
    *lines, rest = data.split(b"\n")
    events: list[Event] = []
    damaged: list[int] = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(event_from_json(line))
        except ValidationError:
            damaged.append(number)
    if not events or not isinstance(events[0], Started):
        raise TraceError(f"trace {str(path)!r} does not begin with a start event; nothing of it can be shown")
    notes = []
    if damaged:
        lines_are = "1 line is" if len(damaged) == 1 else f"{len(damaged)} lines are"
        notes.append(f"The trace is damaged: {lines_are} no event and left out, the first is line {damaged[0]}.")
    if cut:
        notes.append(f"The trace is longer than {_MOST // 2**20} MiB; what lies behind is left out.")
    elif rest:
        notes.append("The last line of the trace is incomplete, because its writer has not finished it or was killed.")
    return ReadRun(Trace(folder, tuple(events), partial=bool(rest)), tuple(notes))
