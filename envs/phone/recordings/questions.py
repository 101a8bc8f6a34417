"""Multiple-choice questions about screen recordings, with the answer known: order, count, value, cause.

What is asked, and what the right answer shall be (a count, a cause), is drawn before the recording is made, and a
recording that does not fit is made anew: so the answer can't be guessed from the question, its options or their order.
The wrong options come from the same episode or the same vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from homeostat.envs.phone.recordings.forms import QUESTION_KINDS, Draft, recording_of
from homeostat.envs.phone.recordings.record import Recording
from homeostat.envs.phone.tasks.words import Split
from homeostat.errors import ConfigError, EnvError, UnknownName

__all__ = ["QUESTION_KINDS", "RecordingQuestion", "further_questions", "recording_question", "recording_questions"]

_TRIES = 400


@dataclass(frozen=True, eq=False)
class RecordingQuestion:
    """``options``: four texts, ``answer`` the index of the right one. ``kind``: order, count, value or cause; ``form``:
    which question of that kind (a key of ``PHRASINGS``).
    """

    recording: Recording
    question: str
    options: tuple[str, ...]
    answer: int
    kind: str
    form: str


def recording_questions(split: Split, n: int, seed: int) -> Iterator[RecordingQuestion]:
    """``n`` questions, the kinds in turn, each about a recording of its own: 8 to 32 frames, every screen there was.

    Raises ``UnknownName`` for a split that does not exist, ``ConfigError`` for a negative ``n``.
    """
    if split not in ("train", "dev", "test"):
        raise UnknownName.of("split", split, ("train", "dev", "test"))
    if n < 0:
        raise ConfigError(f"{n!r} questions can't be; ask for none or more")
    return (_question(split, kind, seed, i) for i, kind in zip(range(n), _in_turn(), strict=False))


def recording_question(split: Split, kind: str, seed: int) -> RecordingQuestion:
    """The question of this kind and seed. Raises ``UnknownName``."""
    if kind not in QUESTION_KINDS:
        raise UnknownName.of("kind", kind, QUESTION_KINDS)
    return _question(split, kind, seed, 0)


def _in_turn() -> Iterator[str]:
    while True:
        yield from QUESTION_KINDS


def _question(split: Split, kind: str, seed: int, index: int) -> RecordingQuestion:
    rng = random.Random(f"{split} {kind} {seed} {index}")
    form, names, draft = rng.choice(QUESTION_KINDS[kind])(split, rng)
    popups = 0.15 if form == "dialog" else 0.0
    for _ in range(_TRIES):
        made = recording_of(split, rng, names(), popups)
        drafted = draft(made) if made is not None else None
        if made is not None and drafted is not None:
            return _asked(made, drafted, kind, form, rng)
    raise EnvError(f"no recording in {_TRIES} fits the question {form!r}; this is a defect of its errands")


def _asked(recording: Recording, draft: Draft, kind: str, form: str, rng: random.Random) -> RecordingQuestion:
    question, wrong, right = draft
    options = [*wrong, right]
    rng.shuffle(options)
    return RecordingQuestion(recording, question, tuple(options), options.index(right), kind, form)


def further_questions(
    recording: Recording, split: Split, rng: random.Random, tries: int
) -> Iterator[RecordingQuestion]:
    """Other questions that this recording happens to answer, from so many random forms: to learn from, not to measure
    by, since what they ask may be guessed from what the recording was made for.
    """
    asked = set[str]()
    for _ in range(tries):
        kind = rng.choice(list(QUESTION_KINDS))
        form, _names, draft = rng.choice(QUESTION_KINDS[kind])(split, rng)
        drafted = draft(recording)
        if drafted is not None and drafted[0] not in asked:
            asked.add(drafted[0])
            yield _asked(recording, drafted, kind, form, rng)
