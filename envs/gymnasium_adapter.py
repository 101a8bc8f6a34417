"""Gymnasium's API for every environment of this package: one action space, one observation space, one reward."""

from __future__ import annotations

import string
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from homeostat import actions as a
from homeostat.envs.core import TaskInfo
from homeostat.errors import ActionError
from homeostat.observation import Observation

__all__ = ["GymnasiumAdapter"]

_TEXT = string.ascii_letters + string.digits + string.punctuation + " \n"
_LONGEST = 400


class GymnasiumAdapter(gymnasium.Env[dict[str, Any], Any]):
    """Gymnasium's API on top of ``reset_task``, ``observe``, ``act`` and ``success``, which a subclass implements.

    An observation is the mapping ``{"screen", "goal", "rules"}``. An action is a sample of ``action_space`` or a typed
    :data:`~homeostat.actions.Action`. The reward is 1 at a successful end and 0 otherwise. An action that the
    environment refuses changes nothing; the reason is in ``info["error"]``.

    Attributes:
        info: The present task; the subclass sets it.
        steps: The number of actions executed so far; the subclass counts them.
        status: The status of the final ``terminate``; None before it.
    """

    metadata = {  # noqa: RUF012 - Gymnasium declares it as a plain dict
        "render_modes": ["rgb_array"],
        "render_fps": 4,
    }
    info: TaskInfo
    steps: int = 0
    status: str | None = None

    def _declare(self, width: int, height: int, render_mode: str | None) -> None:
        """Creates the spaces and sets the render mode.

        Args:
            width: The screen's width in pixels.
            height: The screen's height in pixels.
            render_mode: ``"rgb_array"`` or None.
        """
        self.render_mode = render_mode
        text = spaces.Text(max_length=_LONGEST, min_length=0, charset=_TEXT)
        screen = spaces.Box(0, 255, (height, width, 3), np.uint8)
        self.observation_space = spaces.Dict({"screen": screen, "goal": text, "rules": text})
        point = spaces.Box(0.0, np.nextafter(np.float32(1), np.float32(0)), (2,), np.float32)
        self.action_space = spaces.Dict(
            {"kind": spaces.Discrete(len(_KINDS)), "point": point, "to": point, "text": text}
        )

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a task; see :class:`~homeostat.envs.core.Env`."""
        raise NotImplementedError

    def observe(self) -> Observation:
        """Returns the present screen."""
        raise NotImplementedError

    def act(self, action: a.Action) -> None:
        """Executes an action; see :class:`~homeostat.envs.core.Env`."""
        raise NotImplementedError

    def success(self) -> bool:
        """Returns whether the task's check holds now."""
        raise NotImplementedError

    def over(self) -> bool:
        """Returns whether the episode has ended.

        Returns:
            True after ``terminate``; a subclass may know other ends.
        """
        return self.status is not None

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Starts the constructor's task, or the task ``options["task"]``."""
        self._reseed(seed)
        info = self.reset_task((options or {}).get("task"), seed=seed)
        return self._seen(), {"task": info.model_dump()}

    def _reseed(self, seed: int | None) -> None:
        """Seeds Gymnasium's generator, which provides the seed of an episode that is started without one."""
        gymnasium.Env.reset(self, seed=seed)

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Executes one action; the class docstring describes actions, rewards and errors."""
        info: dict[str, Any] = {}
        try:
            self.act(_KINDS[int(action["kind"])](action) if isinstance(action, dict) else action)
        except ActionError as error:
            info["error"] = str(error)
            self.steps += not self.over()
        done = self.over()
        won = done and self.success()
        return self._seen(), float(won), done, not done and self.steps >= self.info.max_steps, info | {"success": won}

    def render(self) -> np.ndarray[Any, np.dtype[np.uint8]] | None:
        """Returns the screenshot in the render mode ``rgb_array``, else None."""
        return np.array(self.observe().screenshot) if self.render_mode == "rgb_array" else None

    def _seen(self) -> dict[str, Any]:
        return {
            "screen": np.array(self.observe().screenshot),
            "goal": _told(self.info.goal),
            "rules": _told("\n".join(self.info.rules)),
        }


def _told(text: str) -> str:
    """Returns the text within the space's limits: characters outside ASCII become question marks."""
    return "".join(c if c in _TEXT else "?" for c in text[:_LONGEST])


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
