"""Our environments for agents that were written for AndroidWorld: its ``AsyncEnv``, ``State`` and ``UIElement``.

Source: ``android_world/env/interface.py`` and ``representation_utils.py`` of AndroidWorld (arXiv 2405.14573). Names and
fields are the same. AndroidWorld is not imported, because its agents use only the attributes and never the classes.
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
    """A box, in pixels or normalised.

    Attributes:
        x_min: The left edge.
        x_max: The right edge.
        y_min: The upper edge.
        y_max: The lower edge.
    """

    x_min: float
    x_max: float
    y_min: float
    y_max: float

    @property
    def center(self) -> tuple[float, float]:
        """The box's centre."""
        return (self.x_min + self.x_max) / 2, (self.y_min + self.y_max) / 2

    @property
    def width(self) -> float:
        """The box's width."""
        return self.x_max - self.x_min

    @property
    def height(self) -> float:
        """The box's height."""
        return self.y_max - self.y_min

    @property
    def area(self) -> float:
        """The box's area."""
        return self.width * self.height


@dataclass
class UIElement:
    """One element of the screen, with AndroidWorld's fields. An unknown value is None.

    Attributes:
        text: The text it shows.
        content_description: The description for screen readers.
        class_name: The Android class of the widget.
        bbox: The normalised box.
        bbox_pixels: The box in pixels.
        hint_text: The hint of an empty field.
        is_checkable: Whether it has the states on and off.
        is_checked: Whether it is on.
        is_clickable: Whether it reacts to a click.
        is_editable: Whether it takes text.
        is_enabled: Whether it can be used.
        is_focused: Whether it has the focus.
        is_focusable: Whether it can get the focus.
        is_long_clickable: Whether it reacts to a long press.
        is_scrollable: Whether its content scrolls.
        is_selected: Whether it is selected.
        is_visible: Whether it is visible.
        package_name: The package of its app.
        resource_name: The full name of its resource.
        tooltip: Its tooltip.
        resource_id: The id of its resource.
    """

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
    """What an agent of AndroidWorld observes.

    Attributes:
        pixels: The screen, shape (height, width, 3), uint8.
        forest: Always None: our environments have no accessibility forest.
        ui_elements: The screen's elements.
    """

    pixels: NDArray[np.uint8]
    forest: Any
    ui_elements: list[UIElement]


class PhoneWorld:
    """One of our environments as AndroidWorld's ``AsyncEnv``. A ``status`` action ends the episode.

    Attributes:
        controller: The environment itself.
        task: The task that :meth:`reset` starts.
        seed: The seed of the task's initial state.
        interaction_cache: The agent's last answer.
        info: The task's description.
    """

    def __init__(self, env: Env, task: str | None = None, seed: int | None = None) -> None:
        """Starts a task.

        Args:
            env: The environment.
            task: The task's name. None: a free run.
            seed: The seed of the task's initial state.
        """
        self.controller = env
        self.task, self.seed = task, seed
        self.interaction_cache = ""
        self.info = env.reset_task(task, seed=seed)

    def reset(self, go_home: bool = False) -> State:
        """Starts the task again.

        Args:
            go_home: Whether to press the home button afterwards.

        Returns:
            The screen and its elements.
        """
        self.info = self.controller.reset_task(self.task, seed=self.seed)
        self.interaction_cache = ""
        if go_home:
            self.controller.act(a.SystemButton(button="Home"))
        return self.get_state()

    def get_state(self, wait_to_stabilize: bool = False) -> State:
        """Observes the screen.

        Args:
            wait_to_stabilize: Ignored, because the screen does not change by itself.

        Returns:
            The screen and its elements.
        """
        seen = self.controller.observe()
        package = f"org.homeostat.{seen.app}" if "." not in seen.app else seen.app
        return State(np.array(seen.screenshot), None, [_ui_element(e, seen, package) for e in seen.elements])

    def execute_action(self, action: Any) -> None:
        """Carries a ``JSONAction`` out.

        Args:
            action: The action, of our class or of AndroidWorld's.

        Raises:
            ActionError: The action is impossible.
        """
        if action.action_type == "answer":
            self.interaction_cache = action.text or ""
        elements = self.get_state().ui_elements
        for step in from_json_action(action, elements, self.logical_screen_size):
            self.controller.act(step)

    @property
    def foreground_activity_name(self) -> str:
        """The app in the foreground as ``package/activity``."""
        app = self.controller.observe().app
        package = app if "." in app else f"org.homeostat.{app}"
        return f"{package}/{package}.MainActivity"

    @property
    def device_screen_size(self) -> tuple[int, int]:
        """The screen's width and height in pixels."""
        height, width = self.controller.observe().screenshot.shape[:2]
        return width, height

    @property
    def logical_screen_size(self) -> tuple[int, int]:
        """The same as :attr:`device_screen_size`, because the screen is never rotated."""
        return self.device_screen_size

    def display_message(self, message: str, header: str = "") -> None:
        """Does nothing, because nothing is drawn over the screen.

        Args:
            message: Ignored.
            header: Ignored.
        """

    def hide_automation_ui(self) -> None:
        """Does nothing, because there is no such overlay."""

    def close(self) -> None:
        """Does nothing, because the environment belongs to the caller."""


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
        is_focused=None if e.state is None else "focused" in e.state,
        is_focusable=e.role == "field",
        is_visible=True,
        package_name=package,
        resource_name=f"{package}:id/{e.role}",
    )
