"""Screen recordings as training data: all frames of a recording, followed by several questions about it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from homeostat.actions import Answer
from homeostat.agent.prompts import PromptStyle, act_prompt
from homeostat.envs.mobile_use import format_action
from homeostat.envs.phone.recordings import (
    QUESTION_KINDS,
    RecordingQuestion,
    further_questions,
    recording_question,
)
from homeostat.envs.phone.recordings.env import asked
from homeostat.envs.phone.tasks.words import Split
from homeostat.nano.data.examples import Question
from homeostat.observation import Observation

__all__ = ["RecordingExample", "recording_examples"]

_TRIES = 24  # further questions that are tried for each recording; about a third fits it


@dataclass(frozen=True)
class RecordingExample:
    """A recording and questions about it.

    Attributes:
        frames: (256, 144, 3) uint8 each, oldest first.
        questions: Questions of kind ``watch``.
    """

    frames: tuple[NDArray[np.uint8], ...]
    questions: tuple[Question, ...]


def _question(style: PromptStyle, about: RecordingQuestion) -> Question:
    frames = about.recording.frames
    seen = Observation(frames[-1], (), "", frames)
    prompt = act_prompt(style, goal=asked(about), rules=(), history=(), observation=seen)
    return Question("watch", prompt, format_action(Answer(text=about.options[about.answer]), style.grid(seen)))


def recording_examples(
    rng: random.Random, style: PromptStyle, split: Split = "train", *, further: int = _TRIES
) -> Iterator[RecordingExample]:
    """Generates recordings without end. The kinds of the first questions take turns.

    Args:
        rng: The random generator.
        style: The prompt style.
        split: The split that words come from.
        further: How many further questions are tried for each recording. Those that don't fit it are left out.

    Yields:
        Each recording with at least one question.
    """
    while True:
        for kind in QUESTION_KINDS:
            first = recording_question(split, kind, rng.randrange(2**31))
            more = further_questions(first.recording, split, rng, further)
            questions = (_question(style, q) for q in (first, *more))
            yield RecordingExample(first.recording.frames, tuple(questions))
