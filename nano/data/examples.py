"""The unit of training data: a question with its answer, and a screen with the questions that are asked about it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from homeostat.sensors.chat.messages import Prompt

__all__ = ["Question", "ScreenExample"]


@dataclass(frozen=True)
class Question:
    """A prompt and the answer that the model is trained to give.

    Attributes:
        kind: What is asked: ``act`` (the next action), ``where`` (the place of a label), ``find`` (the same, for a word
            drawn for this phone), ``what`` (the label at a place), ``plan`` (a goal's subtasks) or ``watch`` (about a
            screen recording).
        prompt: The prompt, as the agent renders it.
        answer: The assistant's text, without the end-of-turn token.
    """

    kind: str
    prompt: Prompt
    answer: str


@dataclass
class ScreenExample:
    """One screen, the text on its patches, and its questions.

    Attributes:
        screenshot: (256, 144, 3) uint8.
        patches: (column, row) -> the word on that patch, from the word's start to the end of the patch. The patches of
            ``alarm`` hold ``al``, ``alar`` and ``alarm``. None if the text is unknown, as on a web page, whose words
            don't follow the patch grid.
        questions: The questions about this screen.
    """

    screenshot: NDArray[np.uint8]
    patches: dict[tuple[int, int], str] | None
    questions: list[Question] = field(default_factory=list)
