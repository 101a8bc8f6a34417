"""What an agent sees: the screen's elements and the observation that an environment returns."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

__all__ = ["Element", "Observation", "element_at"]


_PASSING = frozenset({"status", "badge", "toast"})  # roles of what comes and goes by itself


class Element(BaseModel):
    """One element of the user interface. ``box`` is (left, top, right, bottom), normalised to [0, 1]."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    role: str
    text: str
    box: tuple[float, float, float, float]


def element_at(elements: Sequence[Element], point: tuple[float, float]) -> int | None:
    """The number of the smallest element that holds the normalised point, the last of equals; None where none does."""
    x, y = point
    holding = [i for i, e in enumerate(elements) if e.box[0] <= x < e.box[2] and e.box[1] <= y < e.box[3]]

    def area(i: int) -> float:
        left, top, right, bottom = elements[i].box
        return (right - left) * (bottom - top)

    return min(holding, key=lambda i: (area(i), -i)) if holding else None


@dataclass(frozen=True)
class Observation:
    """What the agent sees after a step.

    ``screenshot`` is (height, width, 3) uint8; ``elements`` the accessibility tree, flattened in reading
    order (an agent may be told to ignore it, as nano is); ``app`` the name of the app in front. ``frames``: where a
    recording is watched, all its frames in order, of which the screenshot is the last.
    """

    screenshot: NDArray[np.uint8]
    elements: tuple[Element, ...]
    app: str
    frames: tuple[NDArray[np.uint8], ...] = ()

    @property
    def fingerprint(self) -> str:
        """A hash of what is to be seen: the app and its elements, without those that change by themselves (the status
        bar's clock, a toast); the pixels where no elements are known.
        """
        lasting = (e.model_dump_json() for e in self.elements if e.role not in _PASSING)
        shown = "\n".join((self.app, *lasting)).encode()
        return hashlib.sha256(shown if self.elements else self.screenshot.tobytes()).hexdigest()[:16]
