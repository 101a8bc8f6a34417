"""The page of one run: its data, its screenshots and its attention in one file, or the same page over a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat.agent import AttentionRecord
from homeostat.errors import TraceError
from homeostat.viewer.attention_pack import packed_within
from homeostat.viewer.pages import Page, json_block, page, text_block
from homeostat.viewer.reading import ReadRun, read_run
from homeostat.viewer.record import run_record
from homeostat.viewer.screens import encoded_within

__all__ = ["Back", "Recorded", "run_page", "served_run_page"]

STYLES = ("base.css", "run.css")
_PARTS = "dom source weights charts summary attention picture step corrections fork run"
SCRIPTS = tuple(f"{name}.js" for name in _PARTS.split())


@dataclass(frozen=True)
class Back:
    """A link to the page that a run's page belongs to.

    Attributes:
        href: The address.
        name: The link's text.
    """

    href: str
    name: str


class Recorded:
    """Loads what a run keeps beside its trace.

    Attributes:
        run: The run.
    """

    def __init__(self, run: ReadRun) -> None:
        """Reads which screenshot belongs to which attention.

        Args:
            run: The run.
        """
        self.run = run
        trace = run.trace
        screens = {event.step: event.screen for event in trace.events if event.kind == "observe"}
        self._sense = {sense.attention: sense for sense in trace.attempts if sense.attention}
        self._screen = {name: screens.get(sense.step, "") for name, sense in self._sense.items()}
        self._sizes: dict[str, tuple[int, int]] = {}

    @property
    def records(self) -> list[str]:
        """The names of the attention's records, in order."""
        return list(self._sense)

    @property
    def screens(self) -> list[str]:
        """The digests of the screenshots, each once, in order."""
        seen = [event for event in self.run.trace.events if event.kind == "observe"]
        return list(dict.fromkeys(name for event in seen for name in (*event.frames, event.screen) if name))

    def pixels(self, digest: str) -> NDArray[np.uint8] | None:
        """Loads a screenshot.

        Args:
            digest: Its digest.

        Returns:
            (height, width, 3) uint8; None where it is missing, damaged, or no screenshot's name.
        """
        if digest not in self.screens:
            return None
        try:
            found = np.asarray(self.run.trace.screenshot(digest), np.uint8)
        except TraceError:
            return None
        self._sizes[digest] = found.shape[:2]
        return found

    def attention(self, name: str) -> tuple[AttentionRecord, tuple[int, int] | None] | str:
        """Loads the attention of a model call.

        Args:
            name: The record's name.

        Returns:
            The record and the (height, width) of the screenshot; or, in words, why it can't be read.
        """
        if name not in self._sense:
            return "the trace names no such record"
        try:
            record = self.run.trace.attention(self._sense[name])
        except TraceError as error:
            return str(error)
        if record is None:
            return "it was not kept"
        screen = self._screen[name]
        if screen and screen not in self._sizes:
            self.pixels(screen)
        return record, self._sizes.get(screen)


def run_page(folder: Path, *, back: Back | None = None) -> Page:
    """Builds the page of a run, which needs no other file.

    Args:
        folder: The run's folder.
        back: A link to the page that lists the run; None for none.

    Returns:
        The page. Screenshots and attention are held in less detail where the page would become too large; it says so.

    Raises:
        TraceError: The folder holds no run.
    """
    kept = Recorded(read_run(folder))
    pictures = encoded_within(kept.screens, kept.pixels)
    packed = packed_within(kept.records, kept.attention)
    record = run_record(kept.run)
    record["notes"] += [*pictures.notes, *packed.notes]
    blocks = [json_block("record", record)]
    blocks += [text_block("screen", name, one.data, mime=one.kind) for name, one in pictures.found.items()]
    blocks += [text_block("attention", name, data) for name, data in packed.packs.items()]
    return _page(_title(record), back, blocks)


def served_run_page(title: str, settings: dict[str, Any], back: Back) -> Page:
    """Builds the page of a run that asks its server for the data.

    Args:
        title: The page's title.
        settings: What its script has to know: ``base``, the address of the run's data, ``forks`` and ``token``.
        back: A link to the list of runs.

    Returns:
        The page.
    """
    return _page(title, back, [json_block("source", settings)], connect=True)


def _page(title: str, back: Back | None, blocks: list[Any], *, connect: bool = False) -> Page:
    return page("run.html.j2", title=title, styles=STYLES, scripts=SCRIPTS, connect=connect, back=back, blocks=blocks)


def _title(record: dict[str, Any]) -> str:
    goal = " ".join(record["start"]["task"]["goal"].split())
    return f"{goal[:80] or record['run']} – run {record['run']}"
