"""Where a recording shows the answer to a question: the frames, and the cells of the text grid in them.

This is ground truth for training and for judging which frames a model looked at. It follows from the recorded moments,
as the answers do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from homeostat import actions as a
from homeostat.envs.phone.recordings.questions import RecordingQuestion
from homeostat.envs.phone.recordings.record import Recording

__all__ = ["Evidence", "evidence_of", "visits"]

_TITLE_ROW = 1
_LISTS = ("notes", "contacts", "tasks", "events", "files", "alarms")  # tables, named in questions by the same nouns


@dataclass(frozen=True)
class Evidence:
    """Cells of one frame.

    Attributes:
        frame: The index of the frame.
        cells: (column, row) of each cell, sorted.
    """

    frame: int
    cells: tuple[tuple[int, int], ...]


def visits(recording: Recording) -> list[tuple[int, str]]:
    """Returns the frames in which an app came to the front.

    Args:
        recording: A complete recording.

    Returns:
        The frame's index and the app's name, in order.
    """
    found, before = list[tuple[int, str]](), "home"
    for n, m in enumerate(recording.moments):
        if m.app not in (before, "home"):
            found.append((n + 1, m.app))
        before = m.app
    return found


def evidence_of(question: RecordingQuestion) -> tuple[Evidence, ...]:
    """Finds what shows the answer.

    In each frame these are the cells that hold the answer's words, or those of the title if none does.

    Args:
        question: A question about a complete recording whose cells are known.

    Returns:
        The evidence, in the order of the frames.
    """
    recording, right = question.recording, question.options[question.answer]
    frames = sorted(set(_frames(question, right)))
    text = right.removesuffix(" was deleted") if question.form == "shorter list" else right
    words = set(text.split()) if question.kind in ("value", "cause") else set[str]()
    found = []
    for frame in frames:
        cells = recording.cells[frame]
        shown = {c for c, word in cells.items() if word in _prefixes(words)}
        shown = shown or {c for c in cells if c[1] == _TITLE_ROW} or set(cells)
        if question.form == "dialog":
            before = recording.cells[frame - 1] if frame else {}
            shown = {c for c, word in cells.items() if before.get(c) != word} or shown
        found.append(Evidence(frame, tuple(sorted(shown))))
    return tuple(e for e in found if e.cells)


def _prefixes(words: Iterable[str]) -> set[str]:
    return {word[: i + 2] for word in words for i in range(0, len(word), 2)}


def _frames(question: RecordingQuestion, right: str) -> list[int]:
    recording, form = question.recording, question.form
    moments = recording.moments
    if question.kind == "order":
        return [frame for frame, app in visits(recording) if app == right]
    if form == "times opened":
        return [frame for frame, app in visits(recording) if f" {app} " in f" {_plain(question.question)} "]
    if form == "times deleted":
        table = next(t for t in _LISTS if f" {t} " in f" {_plain(question.question)} ")
        return [n for n, m in enumerate(moments) if any(c.table == table and c.after is None for c in m.changes)]
    if form == "typed":
        return [
            n + 1 for n, m in enumerate(moments) if isinstance(m.action, a.Type) and _holds(recording, n + 1, right)
        ]
    if form == "alarm":
        saved = [n for n, m in enumerate(moments) if any(c.table == "alarms" and c.after for c in m.changes)]
        return [f for n in saved for f in (n, n + 1) if _holds(recording, f, right)] or saved
    if form == "shorter list":
        name = right.removesuffix(" was deleted")
        return [
            n
            for n, m in enumerate(moments)
            if any(c.after is None and c.before and name in map(str, c.before.values()) for c in m.changes)
        ]
    if form == "dialog":
        return next(([n + 1] for n, m in enumerate(moments) if m.screen == "dialog"), [])
    title = next((t for t in _titles(recording) if f" {t} " in f" {_plain(question.question)} "), "")
    return [
        n + 1
        for n, m in enumerate(moments)
        if _holds(recording, n + 1, right) and any(s.role == "title" and s.text == title for s in m.shown)
    ]


def _plain(question: str) -> str:
    return question.replace("?", " ").replace(".", " ").replace(",", " ")


def _titles(recording: Recording) -> list[str]:
    return sorted({s.text for m in recording.moments for s in m.shown if s.role == "title"}, key=len, reverse=True)


def _holds(recording: Recording, frame: int, text: str) -> bool:
    """Whether every word of the text is on the frame."""
    return set(text.split()) <= set(recording.cells[frame].values())
