"""An adapter for use inside AndroidWorld: AndroidWorld's environment as an :class:`~homeostat.envs.core.Env`."""

from __future__ import annotations

from typing import Any

import numpy as np

from homeostat import actions as a
from homeostat.envs.android.json_action import JSONAction, to_json_action
from homeostat.envs.android.tree import without_controls
from homeostat.envs.core import TaskInfo
from homeostat.errors import ActionError, EnvError
from homeostat.observation import Element, Observation

__all__ = ["WorldEnv"]


class WorldEnv:
    """Adapts AndroidWorld's ``AsyncEnv`` (``get_state``, ``execute_action``, ``logical_screen_size``) to ``Env``.

    AndroidWorld sets tasks up and judges them, so runs are not judged here. Text is typed where the last click was, and
    Enter follows it, because AndroidWorld's ``input_text`` works so.
    """

    restores = False

    def __init__(self, env: Any, *, wait: bool = False) -> None:
        """Takes AndroidWorld's environment.

        Args:
            env: The ``AsyncEnv``.
            wait: Whether to wait until the screen is stable before each observation.
        """
        self.env, self.wait = env, wait
        self._at: tuple[float, float] | None = None

    def reset_task(self, task: str | None = None, *, seed: int | None = None) -> TaskInfo:
        """Starts a run on the device as AndroidWorld has set it up. Raises ``EnvError`` for a named task."""
        if task is not None:
            raise EnvError(
                f"task {task!r} can't be started here: AndroidWorld starts its own tasks; leave the task out"
            )
        self._at = None
        return TaskInfo(name="free", goal="", seed=seed or 0, optimal_steps=1, max_steps=30)

    def observe(self) -> Observation:
        """Returns the screen and its visible elements."""
        state = self.env.get_state(wait_to_stabilize=self.wait)
        size = self.env.logical_screen_size
        found = tuple(e for u in state.ui_elements if (e := _element(u, size)) is not None)
        activity = str(getattr(self.env, "foreground_activity_name", ""))
        return Observation(np.asarray(state.pixels, dtype=np.uint8), found, activity.split("/")[0])

    def act(self, action: a.Action) -> None:
        """Carries an action out. Raises ``ActionError`` for one that AndroidWorld does not have or refuses."""
        fields = to_json_action(action, self.env.logical_screen_size, self._at)
        if fields["action_type"] == "status":  # AndroidWorld's episode runner reads it; the device has no such action
            return
        try:
            self.env.execute_action(JSONAction(**fields))
        except ValueError as error:
            raise ActionError(f"AndroidWorld refuses {fields!r}: {error}") from None
        self._at = action.point if isinstance(action, a.Click) else self._at

    def success(self) -> bool:
        """Returns False, because AndroidWorld judges the task."""
        return False

    def snapshot(self) -> dict[str, Any]:
        """Returns the place of the last click. The device's state can't be saved."""
        return {"at": self._at}

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Restores the place of the last click. The device stays as it is."""
        self._at = tuple(snapshot["at"]) if snapshot["at"] else None


def _element(u: Any, size: tuple[int, int]) -> Element | None:
    box = u.bbox_pixels
    text = without_controls(u.text or u.content_description or u.hint_text or "")
    if box is None or not (text or u.is_clickable):
        return None
    left, right = max(box.x_min, 0) / size[0], min(box.x_max, size[0]) / size[0]
    top, bottom = max(box.y_min, 0) / size[1], min(box.y_max, size[1]) / size[1]
    if left >= right or top >= bottom:
        return None
    role = "field" if u.is_editable else "toggle" if u.is_checkable else "button" if u.is_clickable else "text"
    known = {"focused": u.is_focused, "selected": u.is_selected, "disabled": u.is_enabled is False}
    if u.is_checkable and u.is_checked is not None and text.rpartition(" ")[2] not in ("on", "off"):
        known |= {"on": u.is_checked, "off": not u.is_checked}
    state = ", ".join(word for word, holds in known.items() if holds) if u.is_focused is not None else None
    return Element(role=role, text=text, box=(left, top, right, bottom), state=state)
