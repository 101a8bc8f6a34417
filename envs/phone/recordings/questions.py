"""Multiple-choice questions about screen recordings with known answers: order, count, value, cause.

The question and, for counts and causes, the right answer are drawn before the recording is made. A recording that does
not fit is discarded and made again. Therefore the answer can't be guessed from the question, its options or their
order. The wrong options come from the same episode or the same vocabulary.
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
    """A question about a recording.

    Attributes:
        recording: The recording.
        question: The question's text.
        options: The four options.
        answer: The index of the right option.
        kind: ``order``, ``count``, ``value`` or ``cause``.
        form: The form of the question within its kind, a key of ``PHRASINGS``.
    """

    recording: Recording
    question: str
    options: tuple[str, ...]
    answer: int
    kind: str
    form: str


def recording_questions(split: Split, n: int, seed: int) -> Iterator[RecordingQuestion]:
    """Generates questions. Their kinds alternate.

    Every question has a recording of its own: 8 to 32 frames, one for each screen of the episode.

    Args:
        split: The split of words and phrasings.
        n: The number of questions.
        seed: The seed.

    Returns:
        An iterator over the questions.

    Raises:
        UnknownName: The split does not exist.
        ConfigError: ``n`` is negative.
    """
    if split not in ("train", "dev", "test"):
        raise UnknownName.of("split", split, ("train", "dev", "test"))
    if n < 0:
        raise ConfigError(f"the number of questions {n!r} is negative; choose 0 or more")
    return (_question(split, kind, seed, i) for i, kind in zip(range(n), _in_turn(), strict=False))


def recording_question(split: Split, kind: str, seed: int) -> RecordingQuestion:
    """Generates the question of a kind and a seed.

    Args:
        split: The split of words and phrasings.
        kind: The kind of question.
        seed: The seed.

    Returns:
        The question.

    Raises:
        UnknownName: The kind does not exist.
    """
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
    """Generates other questions that a recording happens to answer.

    They are meant for training, not for evaluation: what they ask may be guessed from the purpose of the recording.

    Args:
        recording: The recording.
        split: The split of the phrasings.
        rng: The random generator.
        tries: The number of random forms to try.

    Yields:
        The questions that fit, without duplicates.
    """
    asked = set[str]()
    for _ in range(tries):
        kind = rng.choice(list(QUESTION_KINDS))
        form, _names, draft = rng.choice(QUESTION_KINDS[kind])(split, rng)
        drafted = draft(recording)
        if drafted is not None and drafted[0] not in asked:
            asked.add(drafted[0])
            yield _asked(recording, drafted, kind, form, rng)
