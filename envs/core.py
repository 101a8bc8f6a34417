"""What every environment hands out: elements, observations, tasks. No model is known here."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from homeostat.envs.actions import Action

__all__ = ["Element", "Env", "Observation", "SelfEnding", "TaskInfo", "element_at"]


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


class TaskInfo(BaseModel):
    """A task as the agent is told it, and what the harness needs to judge the run.

    ``optimal_steps`` counts the oracle's actions, the final ``terminate`` included; 0 where nobody knows. ``parts``
    names the atomic goals of a joined task, in order; one for an atomic task.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    goal: str
    rules: tuple[str, ...] = ()
    seed: int = 0
    optimal_steps: int
    max_steps: int
    parts: tuple[str, ...] = ()


@runtime_checkable
class Env(Protocol):
    """What the agent's loop asks of an environment.

    The Gymnasium face (five-tuple ``step``) is :class:`homeostat.envs.phone.PhoneEnv`; both views are of the
    same object. ``snapshot``/``restore`` let an episode resume in another process: the value is JSON-able.
    """

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Start a task by name (or a free run without one) from its seeded initial state."""
        ...

    def observe(self) -> Observation:
        """The present screen; has no effect."""
        ...

    def act(self, action: Action) -> None:
        """Carry the action out. Raises ``ActionError`` where it can't be, with the device unchanged."""
        ...

    def success(self) -> bool:
        """Whether the task's check on the device's state holds now."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """The whole state as JSON-able data."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Put a snapshot's state back."""
        ...


@runtime_checkable
class SelfEnding(Protocol):
    """What an :class:`Env` has besides where an episode may end without ``terminate``, as a web page's does."""

    @property
    def ended(self) -> str:
        """Why the episode is over; "" while it goes on."""
        ...
