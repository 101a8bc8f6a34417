"""Inside AndroidWorld: its environment as one of ours."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat import actions as a
from homeostat.envs.android.json_action import JSONAction, to_json_action
from homeostat.envs.core import TaskInfo
from homeostat.errors import ActionError, EnvError
from homeostat.observation import Element, Observation

__all__ = ["WorldEnv"]


class WorldEnv:
    """An ``AsyncEnv`` of AndroidWorld (``get_state``, ``execute_action``, ``logical_screen_size``) behind our ``Env``.

    AndroidWorld sets tasks up and judges them, so runs are free here. Typed text goes where the last click was, with an
    Enter after it (that is what AndroidWorld's ``input_text`` does). ``wait``: whether to let the screen settle first.
    """

    def __init__(self, env: Any, *, wait: bool = False) -> None:
        self.env, self.wait = env, wait
        self._at: tuple[float, float] | None = None

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Nothing is reset: the task stands on the device already. Raises :class:`EnvError` for a task by name."""
        if task is not None:
            raise EnvError(f"task {task!r} can't be started here: AndroidWorld starts its own")
        self._at = None
        return TaskInfo(name="free", goal="", seed=seed or 0, optimal_steps=1, max_steps=30)

    def observe(self) -> Observation:
        """The screen and its visible elements."""
        state = self.env.get_state(wait_to_stabilize=self.wait)
        size = self.env.logical_screen_size
        found = tuple(e for u in state.ui_elements if (e := _element(u, size)) is not None)
        activity = str(getattr(self.env, "foreground_activity_name", ""))
        return Observation(np.asarray(state.pixels, dtype=np.uint8), found, activity.split("/")[0])

    def act(self, action: a.Action) -> None:
        """Carry the action out. Raises ``ActionError`` for what AndroidWorld has no action for or refuses."""
        fields = to_json_action(action, self.env.logical_screen_size, self._at)
        if fields["action_type"] == "status":  # theirs is read by the episode runner, the device knows none
            return
        try:
            self.env.execute_action(JSONAction(**fields))
        except ValueError as error:
            raise ActionError(f"AndroidWorld refuses {fields!r}: {error}") from None
        self._at = action.point if isinstance(action, a.Click) else self._at

    def success(self) -> bool:
        """False: AndroidWorld judges."""
        return False

    def snapshot(self) -> dict[str, Any]:
        """Nothing of the device can be held."""
        return {"at": self._at}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Go on with the device as it stands."""
        self._at = tuple(snapshot["at"]) if snapshot["at"] else None


def _element(u: Any, size: tuple[int, int]) -> Element | None:
    box = u.bbox_pixels
    text = u.text or u.content_description or u.hint_text or ""
    if box is None or not (text or u.is_clickable):
        return None
    left, right = max(box.x_min, 0) / size[0], min(box.x_max, size[0]) / size[0]
    top, bottom = max(box.y_min, 0) / size[1], min(box.y_max, size[1]) / size[1]
    if left >= right or top >= bottom:
        return None
    role = "field" if u.is_editable else "toggle" if u.is_checkable else "button" if u.is_clickable else "text"
    return Element(role=role, text=text, box=(left, top, right, bottom))
