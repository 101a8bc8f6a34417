"""The one typed action that agents hand to environments, with normalised coordinates.

Points are ``(x, y)`` floats in [0, 1), the origin at the top left: independent of any screenshot's
size. How a model spells an action (pixels, thousandths, a tool call) is an adapter's business:
:mod:`homeostat.envs.mobile_use` is the first.

The set of actions is Qwen's ``mobile_use`` tool (shared by Qwen2.5-VL, Qwen3-VL, GUI-Owl and V2P).
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

__all__ = [
    "Action",
    "Answer",
    "Click",
    "LongPress",
    "Open",
    "Swipe",
    "SystemButton",
    "Terminate",
    "Type",
    "Wait",
    "action_from_dict",
]

Unit = Annotated[float, Field(ge=0.0, lt=1.0)]
Point = tuple[Unit, Unit]


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Click(_Action):
    """Tap the point."""

    kind: Literal["click"] = "click"
    point: Point


class LongPress(_Action):
    """Hold the point for ``seconds``."""

    kind: Literal["long_press"] = "long_press"
    point: Point
    seconds: float = Field(default=1.0, gt=0, le=60)


class Swipe(_Action):
    """Drag the finger from ``point`` to ``to``: the content follows the finger."""

    kind: Literal["swipe"] = "swipe"
    point: Point
    to: Point


class Type(_Action):
    """Put ``text`` into the focused field, in place of its selection (no Enter)."""

    kind: Literal["type"] = "type"
    text: str


class SystemButton(_Action):
    """Press one of the phone's own buttons."""

    kind: Literal["system_button"] = "system_button"
    button: Literal["Back", "Home", "Menu", "Enter"]


class Open(_Action):
    """Bring the app of this name to the front."""

    kind: Literal["open"] = "open"
    app: str = Field(min_length=1)


class Wait(_Action):
    """Let ``seconds`` pass."""

    kind: Literal["wait"] = "wait"
    seconds: float = Field(default=1.0, gt=0, le=600)


class Answer(_Action):
    """Tell the user ``text``. The episode goes on until ``terminate``."""

    kind: Literal["answer"] = "answer"
    text: str


class Terminate(_Action):
    """End the episode: the agent holds the task for done, or for impossible or forbidden."""

    kind: Literal["terminate"] = "terminate"
    status: Literal["success", "failure"]


Action = Annotated[
    Click | LongPress | Swipe | Type | SystemButton | Open | Wait | Answer | Terminate,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Action)


def action_from_dict(data: dict[str, Any]) -> Action:
    """The action that ``action.model_dump()`` came from. Raises pydantic's ``ValidationError``."""
    action: Action = _ADAPTER.validate_python(data)
    return action
