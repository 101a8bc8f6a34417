"""Agents written for AndroidWorld, on our environments: its ``AsyncEnv``, ``State`` and ``UIElement``.

AndroidWorld (arXiv 2405.14573), ``android_world/env/interface.py`` and ``representation_utils.py``: the same names and
fields. Nothing of AndroidWorld is imported; its agents never look at the classes, only at the attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from homeostat import actions as a
from homeostat.envs.android.json_action import from_json_action
from homeostat.envs.core import Env
from homeostat.observation import Element, Observation

__all__ = ["BoundingBox", "PhoneWorld", "State", "UIElement"]


@dataclass
class BoundingBox:
    """A box, in pixels or normalised."""

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    @property
    def center(self) -> tuple[float, float]:
        """Its middle."""
        return (self.x_min + self.x_max) / 2, (self.y_min + self.y_max) / 2

    @property
    def width(self) -> float:
        """Its width."""
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        """Its height."""
        return self.y_max - self.y_min

    @property
    def area(self) -> float:
        """Its area."""
        return self.width * self.height


@dataclass
class UIElement:
    """One element of the screen, with AndroidWorld's fields; what we don't know is None."""

    text: str | None = None
    content_description: str | None = None
    class_name: str | None = None
    bbox: BoundingBox | None = None
    bbox_pixels: BoundingBox | None = None
    hint_text: str | None = None
    is_checked: bool | None = None
    is_checkable: bool | None = None
    is_clickable: bool | None = None
    is_editable: bool | None = None
    is_enabled: bool | None = None
    is_focused: bool | None = None
    is_focusable: bool | None = None
    is_long_clickable: bool | None = None
    is_scrollable: bool | None = None
    is_selected: bool | None = None
    is_visible: bool | None = None
    package_name: str | None = None
    resource_name: str | None = None
    tooltip: str | None = None
    resource_id: str | None = None


@dataclass(frozen=True)
class State:
    """What an agent of AndroidWorld sees. ``pixels``: (height, width, 3) uint8. ``forest`` is None: nobody has one."""

    pixels: NDArray[np.uint8]
    forest: Any
    ui_elements: list[UIElement]


class PhoneWorld:
    """An environment of ours as AndroidWorld's ``AsyncEnv``.

    ``task`` and ``seed`` are what :meth:`reset` starts. The answer of an agent stands in ``interaction_cache``; a
    ``status`` action ends the episode. ``controller`` is the environment itself.
    """

    def __init__(self, env: Env, task: str | None = None, seed: int | None = None) -> None:
        self.controller = env
        self.task, self.seed = task, seed
        self.interaction_cache = ""
        self.info = env.reset_task(task, seed=seed)

    def reset(self, go_home: bool = False) -> State:
        """Start the task again, and go home if asked."""
        self.info = self.controller.reset_task(self.task, seed=self.seed)
        self.interaction_cache = ""
        if go_home:
            self.controller.act(a.SystemButton(button="Home"))
        return self.get_state()

    def get_state(self, wait_to_stabilize: bool = False) -> State:
        """The screen; it does not move by itself, so there is nothing to wait for."""
        seen = self.controller.observe()
        package = f"org.homeostat.{seen.app}" if "." not in seen.app else seen.app
        return State(np.array(seen.screenshot), None, [_ui_element(e, seen, package) for e in seen.elements])

    def execute_action(self, action: Any) -> None:
        """Carry a ``JSONAction`` out. Raises ``ActionError``."""
        if action.action_type == "answer":
            self.interaction_cache = action.text or ""
        elements = self.get_state().ui_elements
        for step in from_json_action(action, elements, self.logical_screen_size):
            self.controller.act(step)

    @property
    def foreground_activity_name(self) -> str:
        """``package/activity`` of the app in front."""
        app = self.controller.observe().app
        package = app if "." in app else f"org.homeostat.{app}"
        return f"{package}/{package}.MainActivity"

    @property
    def device_screen_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.controller.observe().screenshot.shape[:2]
        return width, height

    @property
    def logical_screen_size(self) -> tuple[int, int]:
        """The same: the screen is never turned."""
        return self.device_screen_size

    def display_message(self, message: str, header: str = "") -> None:
        """Nothing is drawn over the screen."""

    def hide_automation_ui(self) -> None:
        """There is none."""

    def close(self) -> None:
        """Nothing to close."""


def _ui_element(e: Element, seen: Observation, package: str) -> UIElement:
    height, width = seen.screenshot.shape[:2]
    left, top, right, bottom = e.box
    touched = e.role not in ("text", "title", "status", "toast", "dialog", "badge")
    return UIElement(
        text=e.text or None,
        class_name={"field": "android.widget.EditText", "toggle": "android.widget.Switch"}.get(
            e.role, "android.widget.Button" if touched else "android.widget.TextView"
        ),
        bbox=BoundingBox(left, right, top, bottom),
        bbox_pixels=BoundingBox(left * width, right * width, top * height, bottom * height),
        is_checkable=e.role == "toggle",
        is_checked=e.role == "toggle" and e.text.split()[-1:] == ["on"],
        is_clickable=touched,
        is_editable=e.role == "field",
        is_enabled=True,
        is_focusable=e.role == "field",
        is_visible=True,
        package_name=package,
        resource_name=f"{package}:id/{e.role}",
    )
