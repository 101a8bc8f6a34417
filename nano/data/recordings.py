"""Screen recordings as training data: all frames of a recording, followed by several questions about it."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeostat.actions import Answer
from homeostat.agent.prompts import PromptStyle, act_prompt
from homeostat.envs.mobile_use import format_action
from homeostat.envs.phone.recordings import (
    PHRASINGS,
    QUESTION_KINDS,
    RecordingQuestion,
    further_questions,
    recording_question,
)
from homeostat.envs.phone.recordings.env import asked
from homeostat.envs.phone.recordings.evidence import Evidence, evidence_of, visits
from homeostat.envs.phone.recordings.record import Recording
from homeostat.envs.phone.tasks.words import Split, Words
from homeostat.nano.data.examples import Question
from homeostat.nano.data.related_words import RELATED_WORDS
from homeostat.observation import Observation

__all__ = ["TITLE_ROW", "TOAST", "TOAST_ROW", "RecordingExample", "Watched", "recording_examples"]

TITLE_ROW = 1
"""The row of cells with the title of a screen."""
TOAST_ROW, TOAST = 15, "deleted"
"""The row of the message after a deletion, and its text."""

_TRIES = 200  # further questions that are tried for each recording; about a tenth fits it
_EACH = 2  # the most questions of a form about one recording
_DECIDING = frozenset({*RELATED_WORDS, "times", "often", "deleted"})
_LOOSE = 0.6  # the share of training questions whose words are changed
_THINKING, _AGAIN = 0.04, 0.25  # the shares of questions with a reminder alone, and with frames shown once more
_RIGHT_FRAMES = 0.75  # the share of second looks at the frames that show the answer
_CHANGED = 0.25  # the share of words that are left out or replaced in such a question
_RELATED = 0.4  # the share of deciding words that a related word stands for in such a question


@dataclass(frozen=True)
class Watched:
    """A question about a recording, and where the recording shows its answer.

    Attributes:
        question: The question, of kind ``watch``.
        asked: The question's text with its options, as it stands in the prompt.
        option: The text of the right option.
        at: Where the right option begins in ``asked``.
        kind: ``order``, ``count``, ``value`` or ``cause``.
        form: The form within the kind.
        evidence: The cells that show the answer.
        again: The frames that the prompt shows once more, as for a second look.
        about: What the question is about: the app, the field, the title or the kind of items that its phrasing was
            filled with; "" for none.
        hop: The cells with the title of the app that an order is about.
        tally: For a count, one cell for each thing to be counted.
    """

    question: Question
    asked: str
    option: str
    at: int
    kind: str
    form: str
    evidence: tuple[Evidence, ...]
    again: tuple[int, ...] = ()
    about: str = ""
    hop: tuple[Evidence, ...] = ()
    tally: tuple[Evidence, ...] = ()


@dataclass(frozen=True)
class RecordingExample:
    """A recording and questions about it.

    Attributes:
        frames: (256, 144, 3) uint8 each, oldest first.
        cells: For each frame, the word on each cell.
        visits: The frames in which an app came to the front.
        watched: The questions.
    """

    frames: tuple[NDArray[np.uint8], ...]
    cells: tuple[Mapping[tuple[int, int], str], ...]
    visits: tuple[int, ...]
    watched: tuple[Watched, ...]


def _filled(about: RecordingQuestion, split: Split) -> tuple[list[str], tuple[str, ...]]:
    """The phrasing of a question, cut at its gaps, and what fills them."""
    for template in PHRASINGS[about.form][split]:
        pieces = re.split(r"(\{\w+\})", template)
        pattern = "".join("(.+)" if p.startswith("{") else re.escape(p) for p in pieces)
        if found := re.fullmatch(pattern, about.question):
            return pieces, found.groups()
    return [about.question], ()


def _loosened(pieces: Sequence[str], values: Sequence[str], rng: random.Random, words: Words) -> str:
    """The question with some words left out or replaced by made-up ones, and deciding words by related ones."""
    filled, kept = iter(values), list[str]()
    for piece in pieces:
        if piece.startswith("{"):
            kept.append(next(filled))
            continue
        for word in piece.split():
            draw, bare = rng.random(), word.strip("?.,")
            if bare in _DECIDING:
                related = RELATED_WORDS.get(bare)
                kept.append(word.replace(bare, rng.choice(related)) if related and draw < _RELATED else word)
            elif draw > _CHANGED:
                kept.append(word)
            elif draw > _CHANGED / 2:
                kept.append(words.noun() + ("?" if word.endswith("?") else ""))
    return " ".join(kept).replace(" ?", "?").replace(" ,", ",").replace(" .", ".")


def _title(recording: Recording, frame: int) -> tuple[Evidence, ...]:
    """The last cell of a frame's title, which shows its whole word."""
    row = [cell for cell in recording.cells[frame] if cell[1] == TITLE_ROW]
    return (Evidence(frame, (max(row),)),) if row else ()


def _helpers(
    about: RecordingQuestion, evidence: Sequence[Evidence]
) -> tuple[tuple[Evidence, ...], tuple[Evidence, ...]]:
    """Where the app that an order is about came to the front, and the cells that a count counts."""
    recording, shown = about.recording, [frame for frame, _ in visits(about.recording)]
    if about.form in ("next app", "app before") and evidence:
        at = shown.index(evidence[0].frame) + (-1 if about.form == "next app" else 1)
        return _title(recording, shown[at]), ()
    if about.form == "times opened":
        counted = [_title(recording, e.frame) for e in evidence]
    elif about.form == "times deleted":
        counted = [_toast(recording, e.frame + 1) for e in evidence]
    else:
        return (), ()
    return (), sum(counted, ()) if all(counted) else ()


def _toast(recording: Recording, frame: int) -> tuple[Evidence, ...]:
    """The last cell of the message that something was deleted."""
    row = [cell for cell, word in recording.cells[frame].items() if word == TOAST and cell[1] == TOAST_ROW]
    return (Evidence(frame, (max(row),)),) if row else ()


def _watched(
    style: PromptStyle,
    about: RecordingQuestion,
    text: str,
    frames: Sequence[NDArray[np.uint8]],
    evidence: tuple[Evidence, ...],
    again: tuple[int, ...],
    reminder: str,
    filled: str,
    hop: tuple[Evidence, ...],
    tally: tuple[Evidence, ...],
) -> Watched:
    seen = Observation(frames[-1], (), "", tuple(frames))
    goal = asked(about).replace(about.question, text, 1)
    labels = [f"frame-{n + 1}" for n in again]
    prompt = act_prompt(style, goal=goal, rules=(), history=(), observation=seen, reminder=reminder, shown=labels)
    option = about.options[about.answer]
    answer = format_action(Answer(text=option), style.grid(seen))
    at = goal.index(f"{'abcd'[about.answer]}) {option}", len(text)) + 3
    question = Question("watch", prompt, answer)
    return Watched(question, goal, option, at, about.kind, about.form, evidence, again, filled, hop, tally)


def _second_look(rng: random.Random, evidence: Sequence[Evidence], n: int) -> tuple[tuple[int, ...], str]:
    """The frames that are shown once more, and the reminder, as controllers word them; mostly none."""
    draw = rng.random()
    if draw < _THINKING:
        return (), "think step by step before you answer."
    if draw > _THINKING + _AGAIN:
        return (), ""
    frames = {e.frame for e in evidence} if rng.random() < _RIGHT_FRAMES else set[int]()
    frames |= set(rng.sample(range(n), rng.randint(0 if frames else 1, 2)))
    again = tuple(sorted(rng.sample(sorted(frames), min(len(frames), 5))))
    named = ", ".join(f"frame {f + 1}" for f in again)
    end = "think step by step before you answer." if rng.random() < 0.3 else ""
    return again, f"look again at {named}; {end}" if end else f"look again at {named} before you answer."


def _needed(about: RecordingQuestion, evidence: Sequence[Evidence]) -> tuple[int, int]:
    """The first and the last frame that the answer follows from."""
    frames, last = [e.frame for e in evidence], len(about.recording.frames) - 1
    if not frames or about.kind == "count":
        return 0, last
    low, high = min(frames), max(frames)
    if about.form == "first app":
        low = 0
    elif about.form == "last app":
        high = last
    elif about.kind == "order":
        shown = [frame for frame, _ in visits(about.recording)]
        at = shown.index(low)
        if about.form == "next app":
            low = shown[max(at - 1, 0)]
        else:
            high = shown[min(at + 1, len(shown) - 1)]
    elif about.kind == "cause":
        low, high = max(low - 1, 0), min(high + 1, last)
    return low, high


def _few(questions: Sequence[RecordingQuestion]) -> list[RecordingQuestion]:
    """At most so many questions of each form."""
    found, counts = list[RecordingQuestion](), Counter[str]()
    for question in questions:
        counts[question.form] += 1
        if counts[question.form] <= _EACH:
            found.append(question)
    return found


def _cut(rng: random.Random, low: int, high: int, n: int, window: int) -> tuple[int, int]:
    """Frames from one number to another (exclusive): ``window`` frames, or more if the answer needs more."""
    size = min(max(window, high - low + 1), n)
    start = rng.randint(max(high + 1 - size, 0), min(low, n - size))
    return start, start + size


def recording_examples(
    rng: random.Random,
    style: PromptStyle,
    split: Split = "train",
    *,
    further: int = _TRIES,
    most: int = 32,
    window: int = 32,
    cuts: int = 1,
) -> Iterator[RecordingExample]:
    """Generates recordings without end. The kinds of the first questions take turns.

    Args:
        rng: The random generator.
        style: The prompt style.
        split: The split that words come from. Only training questions are worded loosely.
        further: How many further questions are tried for each recording. Those that don't fit it are left out.
        most: Longer examples are left out.
        window: An example holds this many adjacent frames of a recording, with the questions that these answer; more if
            the first question needs more.
        cuts: The number of examples from each recording.

    Yields:
        Each example with at least one question.
    """
    words = Words(rng, split)
    while True:
        for kind in QUESTION_KINDS:
            first = recording_question(split, kind, rng.randrange(2**31))
            recording = first.recording
            more = list(further_questions(recording, split, rng, further))
            common = [q for q in more if q.form == "times opened" and q.options[q.answer] == "1"]
            questions = _few([first, *(q for q in more if q not in common), *common[:1]])
            found = [(q, evidence_of(q)) for q in questions]
            needed = [_needed(q, e) for q, e in found]
            shown = [frame for frame, _ in visits(recording)]
            for cut in range(cuts):
                low, high = needed[0] if cut == 0 else rng.choice(needed)
                begin, end = _cut(rng, low, high, len(recording.frames), window)
                if end - begin > most:
                    continue
                watched = []
                for (about, evidence), (low, high) in zip(found, needed, strict=True):
                    if begin <= low and high < end:
                        loose = split == "train" and rng.random() < _LOOSE
                        pieces, values = _filled(about, split)
                        text = _loosened(pieces, values, rng, words) if loose else about.question
                        moved, hop, tally = (
                            tuple(Evidence(e.frame - begin, e.cells) for e in found)
                            for found in (evidence, *_helpers(about, evidence))
                        )
                        look = _second_look(rng, moved, end - begin) if split == "train" else ((), "")
                        filled = values[0] if values else ""
                        seen = recording.frames[begin:end]
                        watched.append(_watched(style, about, text, seen, moved, *look, filled, hop, tally))
                yield RecordingExample(
                    recording.frames[begin:end],
                    recording.cells[begin:end],
                    tuple(f - begin for f in shown if begin <= f < end),
                    tuple(watched),
                )
