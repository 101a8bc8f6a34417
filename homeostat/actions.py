"""The typed actions that agents hand to environments, with normalised coordinates.

A point is a pair ``(x, y)`` of floats in [0, 1) with the origin at the top left, so it does not depend on the size of a
screenshot. An adapter translates what a model writes (pixels, thousandths, a tool call) into these actions; see
:mod:`homeostat.envs.mobile_use`.

The set of actions is that of Qwen's ``mobile_use`` tool, which Qwen2.5-VL, Qwen3-VL, GUI-Owl and V2P share.
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
    "is_repeatable",
]

Unit = Annotated[float, Field(ge=0.0, lt=1.0)]
Point = tuple[Unit, Unit]


class _Action(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Click(_Action):
    """Taps a point.

    Attributes:
        point: Where, normalised.
    """

    kind: Literal["click"] = "click"
    point: Point


class LongPress(_Action):
    """Presses a point for some time.

    Attributes:
        point: Where, normalised.
        seconds: How long.
    """

    kind: Literal["long_press"] = "long_press"
    point: Point
    seconds: float = Field(default=1.0, gt=0, le=60)


class Swipe(_Action):
    """Drags the finger from one point to another; the content follows the finger.

    Attributes:
        point: Where the finger goes down, normalised.
        to: Where it is lifted, normalised.
    """

    kind: Literal["swipe"] = "swipe"
    point: Point
    to: Point


class Type(_Action):
    """Types a text into the focused field, in place of its selection, without Enter.

    Attributes:
        text: The text.
    """

    kind: Literal["type"] = "type"
    text: str


class SystemButton(_Action):
    """Presses one of the device's own buttons.

    Attributes:
        button: Which.
    """

    kind: Literal["system_button"] = "system_button"
    button: Literal["Back", "Home", "Menu", "Enter"]


class Open(_Action):
    """Brings an app to the front.

    Attributes:
        app: The app's name.
    """

    kind: Literal["open"] = "open"
    app: str = Field(min_length=1)


class Wait(_Action):
    """Lets time pass.

    Attributes:
        seconds: How long.
    """

    kind: Literal["wait"] = "wait"
    seconds: float = Field(default=1.0, gt=0, le=600)


class Answer(_Action):
    """Tells the user something. The episode goes on until ``Terminate``.

    Attributes:
        text: What the user is told.
    """

    kind: Literal["answer"] = "answer"
    text: str


class Terminate(_Action):
    """Ends the episode.

    Attributes:
        status: ``"success"`` where the agent considers the task done, ``"failure"`` where it considers it impossible or
            forbidden.
    """

    kind: Literal["terminate"] = "terminate"
    status: Literal["success", "failure"]


Action = Annotated[
    Click | LongPress | Swipe | Type | SystemButton | Open | Wait | Answer | Terminate,
    Field(discriminator="kind"),
]

_ADAPTER: TypeAdapter[Any] = TypeAdapter(Action)


def action_from_dict(data: dict[str, Any]) -> Action:
    """Builds an action from its data.

    Args:
        data: What ``action.model_dump()`` returned.

    Returns:
        The action.

    Raises:
        pydantic.ValidationError: The data describe no action.
    """
    action: Action = _ADAPTER.validate_python(data)
    return action


def is_repeatable(action: Action) -> bool:
    """Tells whether an action may safely be carried out twice in a row.

    A run that was interrupted can't always know whether its last action reached the device. Such an action is only
    carried out again where twice has the same effect as once.

    Args:
        action: The action.

    Returns:
        True for waiting, for opening an app or the home screen, and for what only the loop itself takes note of.
    """
    home = isinstance(action, SystemButton) and action.button == "Home"
    return home or isinstance(action, Wait | Open | Answer | Terminate)
