"""What an agent sees: a screen with its elements, a conversation with its tools, or both."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from homeostat.conversation import Conversation

__all__ = ["Element", "Observation", "element_at"]


_PASSING = frozenset({"status", "badge", "toast"})  # roles of what comes and goes by itself


class Element(BaseModel):
    """One element of the user interface.

    Attributes:
        role: What it is, such as ``"button"`` or ``"field"``.
        text: Its label or content.
        box: (left, top, right, bottom), normalised to [0, 1].
        state: What is known of it besides, such as ``"focused"``; "" for nothing in particular. None where the
            environment reports no states.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    role: str
    text: str
    box: tuple[float, float, float, float]
    state: str | None = None


def element_at(elements: Sequence[Element], point: tuple[float, float]) -> int | None:
    """Finds the element at a point.

    Args:
        elements: The screen's elements.
        point: (x, y), normalised to [0, 1).

    Returns:
        The index of the smallest element that holds the point, the last among equally large ones; None where no element
        does.
    """
    x, y = point
    holding = [i for i, e in enumerate(elements) if e.box[0] <= x < e.box[2] and e.box[1] <= y < e.box[3]]

    def area(i: int) -> float:
        left, top, right, bottom = elements[i].box
        return (right - left) * (bottom - top)

    return min(holding, key=lambda i: (area(i), -i)) if holding else None


@dataclass(frozen=True)
class Observation:
    """What the agent sees after a step.

    Attributes:
        screenshot: (height, width, 3) uint8; (0, 0, 3) where there is no screen, as in a conversation.
        elements: The accessibility tree, flattened in reading order. A model's prompts need not use it.
        app: The name of the app in front.
        frames: All frames of a recording that is watched, in order; the screenshot is the last one. Empty elsewhere.
        problem: What could not be read, and why, such as an accessibility tree that is no XML; empty if all was read.
        conversation: The conversation that the agent takes part in; None where there is none.
    """

    screenshot: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0, 3), np.uint8))
    elements: tuple[Element, ...] = ()
    app: str = ""
    frames: tuple[NDArray[np.uint8], ...] = ()
    problem: str = ""
    conversation: Conversation | None = None

    @property
    def has_screen(self) -> bool:
        """Whether there is a screenshot."""
        return bool(self.screenshot.size)

    @cached_property
    def fingerprint(self) -> str:
        """A hash of the screen's content: 16 hexadecimal digits.

        It covers the app and its elements, without those that change by themselves (the status bar's clock, a toast).
        Where no elements are known, it covers the pixels. Of a conversation, it covers the turns. Which field has the
        focus makes no difference.
        """
        lasting = [e.model_dump_json(exclude={"state"}) for e in self.elements if e.role not in _PASSING]
        if self.conversation is not None:
            turns = "\n".join(turn.model_dump_json() for turn in self.conversation.turns)
            return hashlib.sha256("\n".join((self.app, *lasting, turns)).encode()).hexdigest()[:16]
        shown = "\n".join((self.app, *lasting)).encode()
        return hashlib.sha256(shown if self.elements else self.screenshot.tobytes()).hexdigest()[:16]
