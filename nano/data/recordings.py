"""Screen recordings as training data: several questions about each, all frames before them."""

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
from homeostat.nano.data.episodes import Question
from homeostat.observation import Observation

__all__ = ["RecordingExample", "recording_examples"]

_TRIES = 24  # random forms for each recording; about a third fits


@dataclass(frozen=True)
class RecordingExample:
    """A recording's frames, (256, 144, 3) uint8 each, and questions about it."""

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
    """Recordings without end, the kinds of questions in turn. ``further``: how many more forms are tried on each."""
    while True:
        for kind in QUESTION_KINDS:
            first = recording_question(split, kind, rng.randrange(2**31))
            more = further_questions(first.recording, split, rng, further)
            questions = (_question(style, q) for q in (first, *more))
            yield RecordingExample(first.recording.frames, tuple(questions))
