"""A run on disk: ``trace.jsonl`` (one event a line), ``screens/<sha256>.png`` and ``snapshots/<sha256>.json``.

Where it was asked for, ``attention/<step>-<attempt>.npz`` holds the attention on every token of a prompt.

Every line is written as a whole, so a killed writer loses at most the line that it was writing. The reader leaves out
such a partial last line and says so in ``Trace.partial``. Only the owner may read the folder (modes 0700 and 0600).

Secrets of known forms are replaced in ``trace.jsonl`` (:mod:`homeostat.redaction`). Screenshots, snapshots and the
checkpoint hold what was there, because a run is resumed from them.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from homeostat.agent.attention_record import AttentionRecord
from homeostat.agent.events import Act, Event, Finish, Sense, Started, event_from_json
from homeostat.envs.screens import load_screen
from homeostat.errors import TraceError
from homeostat.foreign_text import clipped, quoted, visible
from homeostat.regular_files import read_regular

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["ATTENTION", "FILE", "Trace", "read_trace"]

FILE = "trace.jsonl"
"""The trace's name in a run's folder."""
_MOST = 2**30  # bytes of a trace
ATTENTION = "attention"
"""The folder, in a run's folder, of the attention on every token of its prompts."""
_RECORD = re.compile(r"\d+-\d+(?:-\d+)?\.npz")
_DIGEST = re.compile("[0-9a-f]{64}")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")


@dataclass(frozen=True)
class Trace:
    """A run that was read from its folder.

    Attributes:
        folder: The folder.
        events: The events, in order.
        partial: Whether the writer was killed while it wrote the last line, which is left out.
    """

    folder: Path
    events: tuple[Event, ...]
    partial: bool = False

    @property
    def start(self) -> Started:
        """The first event.

        Raises:
            TraceError: The trace does not begin with it.
        """
        if not self.events or not isinstance(self.events[0], Started):
            raise TraceError(f"trace {str(self.folder / FILE)!r} does not begin with a start event; record it anew")
        return self.events[0]

    @property
    def finish(self) -> Finish | None:
        """The last event of an episode that ended; None where it has not ended."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Finish) else None

    @property
    def attempts(self) -> tuple[Sense, ...]:
        """Every model call with its readings."""
        return tuple(e for e in self.events if isinstance(e, Sense))

    @property
    def acts(self) -> tuple[Act, ...]:
        """The end of every step."""
        return tuple(e for e in self.events if isinstance(e, Act))

    def screenshot(self, digest: str) -> Image:
        """Loads a screenshot.

        Args:
            digest: Its name, as an ``Observe`` event holds it.

        Returns:
            The image.

        Raises:
            TraceError: The file is missing or damaged.
        """
        from PIL import Image

        return Image.fromarray(load_screen(self.folder / "screens", digest))

    def attention(self, sense: Sense) -> AttentionRecord | None:
        """Loads the attention of a model call on every token of its prompt.

        Args:
            sense: The call's event.

        Returns:
            The record; None where the run did not keep it.

        Raises:
            TraceError: The file is missing or damaged, or its name is none that a run gives.
        """
        if not sense.attention:
            return None
        if not _RECORD.fullmatch(sense.attention):
            raise TraceError(f"the trace names the record {quoted(sense.attention)}, which is no name of one")
        return AttentionRecord.load(self.folder / ATTENTION / sense.attention)


def read_trace(folder: str | os.PathLike[str]) -> Trace:
    """Reads a run from its folder.

    Args:
        folder: The run's folder.

    Returns:
        The run's trace.

    Raises:
        TraceError: There is no trace, or a line of it is no event. The message names the file and the line.
    """
    path = Path(folder) / FILE
    try:
        data = read_regular(path, _MOST)
    except OSError as error:
        raise TraceError(f"no trace {str(path)!r} ({error.strerror}); give a run folder such as runs/<id>") from None
    *lines, rest = data.split(b"\n")
    events = []
    for number, line in enumerate(lines, start=1):
        try:
            events.append(event_from_json(line))
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = clipped(visible(".".join(map(str, first["loc"]))), 80) or "line"
            raise TraceError(
                f"{path}:{number}: not an event: {where}: {clipped(visible(first['msg']), 120)}; remove or repair the "
                "line"
            ) from None
    return Trace(Path(folder), tuple(events), partial=bool(rest))
