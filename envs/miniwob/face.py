"""Gymnasium's face of an environment that has the agent loop's: spaces, the five-tuple ``step``, ``render``.

The same spaces as the phone's: ``{"screen", "goal", "rules"}`` and ``{"kind", "point", "to", "text"}``.
"""

from __future__ import annotations

import string
from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from homeostat.envs import actions as a
from homeostat.envs.core import Observation, TaskInfo
from homeostat.envs.errors import ActionError

__all__ = ["GymFace"]

_CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " \n"
_LENGTH = 400


class GymFace(gymnasium.Env[dict[str, Any], Any]):
    """Mixes Gymnasium's methods in. A subclass keeps ``info`` (the present task) and ``steps`` (taken so far)."""

    metadata = {  # noqa: RUF012 - Gymnasium declares it so
        "render_modes": ["rgb_array"],
        "render_fps": 4,
    }
    info: TaskInfo
    steps: int

    @abstractmethod
    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Start a task."""

    @abstractmethod
    def observe(self) -> Observation:
        """The present screen."""

    @abstractmethod
    def act(self, action: a.Action) -> None:
        """Carry the action out."""

    @abstractmethod
    def success(self) -> bool:
        """Whether the task is done."""

    @property
    @abstractmethod
    def ended(self) -> str:
        """Why the episode is over; "" while it goes on."""

    def set_spaces(self, width: int, height: int) -> None:
        """The spaces for a screen of this size."""
        text = spaces.Text(max_length=_LENGTH, min_length=0, charset=_CHARACTERS)
        screen = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = spaces.Dict({"screen": screen, "goal": text, "rules": text})
        point = spaces.Box(0.0, np.nextafter(np.float32(1), np.float32(0)), (2,), np.float32)
        self.action_space = spaces.Dict(
            {"kind": spaces.Discrete(len(_KINDS)), "point": point, "to": point, "text": text}
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Start the constructor's task, or ``options["task"]``."""
        super().reset(seed=seed)
        info = self.reset_task((options or {}).get("task"), seed=seed)
        return self._seen(), {"task": info.model_dump()}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """One action, typed or a sample of ``action_space``. A refused one changes nothing: see ``info["error"]``."""
        info: dict[str, Any] = {}
        try:
            self.act(_KINDS[int(action["kind"])](action) if isinstance(action, dict) else action)
        except ActionError as error:
            info["error"] = str(error)
            self.steps += not self.ended
        done, won = bool(self.ended), self.success()
        return self._seen(), float(won), done, not done and self.steps >= self.info.max_steps, info | {"success": won}

    def _seen(self) -> dict[str, Any]:
        return {
            "screen": np.array(self.observe().screenshot),
            "goal": _told(self.info.goal),
            "rules": _told("\n".join(self.info.rules)),
        }

    def render(self) -> Any:
        """The screenshot, in the mode ``rgb_array``."""
        return np.array(self.observe().screenshot) if self.render_mode == "rgb_array" else None


def _told(text: str) -> str:
    """The text as the space allows it: other characters than ASCII's are question marks."""
    return "".join(c if c in _CHARACTERS else "?" for c in text[:_LENGTH])


def _point(value: Any) -> tuple[float, float]:
    return float(value[0]), float(value[1])


def _app(text: str) -> a.Action:
    if not text:
        raise ActionError("open needs the app's name, not ''")
    return a.Open(app=text)


_KINDS: tuple[Callable[[dict[str, Any]], a.Action], ...] = (
    lambda d: a.Click(point=_point(d["point"])),
    lambda d: a.LongPress(point=_point(d["point"])),
    lambda d: a.Swipe(point=_point(d["point"]), to=_point(d["to"])),
    lambda d: a.Type(text=d["text"]),
    lambda d: a.SystemButton(button="Back"),
    lambda d: a.SystemButton(button="Home"),
    lambda d: _app(d["text"]),
    lambda d: a.Wait(),
    lambda d: a.Answer(text=d["text"]),
    lambda d: a.Terminate(status="success"),
    lambda d: a.Terminate(status="failure"),
)
