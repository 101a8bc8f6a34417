"""The typed actions that agents hand to environments, with normalised coordinates.

A point is a pair ``(x, y)`` of floats in [0, 1) with the origin at the top left, so it does not depend on the size of a
screenshot. An adapter translates what a model writes (pixels, thousandths, a tool call) into these actions; see
:mod:`homeostat.envs.mobile_use`.

The actions on a screen are those of Qwen's ``mobile_use`` tool, which Qwen2.5-VL, Qwen3-VL, GUI-Owl and V2P share. In a
conversation, an agent answers, asks, or calls tools.
"""

from __future__ import annotations

import json
import math
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, field_validator

__all__ = [
    "Action",
    "Answer",
    "Call",
    "Calls",
    "Click",
    "LongPress",
    "Open",
    "Question",
    "Swipe",
    "SystemButton",
    "Terminate",
    "Type",
    "Wait",
    "action_from_dict",
    "calls_of",
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


class Question(_Action):
    """Asks the user something. The answer is the conversation's next turn.

    Attributes:
        text: The question.
    """

    kind: Literal["question"] = "question"
    text: str = Field(min_length=1)


class Call(_Action):
    """Calls a tool.

    Attributes:
        tool: The tool's name.
        arguments: The arguments, JSON values by name. Numbers are finite and fit 64 bits, so that a checkpoint can hold
            them.
        id: What the model or its server calls this call; "" where it has no name.
    """

    kind: Literal["call"] = "call"
    tool: str = Field(min_length=1)
    arguments: dict[str, JsonValue] = {}
    id: str = ""

    @field_validator("arguments")
    @classmethod
    def _storable(cls, arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
        _check_numbers(arguments)
        return arguments

    def __str__(self) -> str:
        """The call as a function call, such as ``get_weather(city="Paris")``."""
        pairs = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in self.arguments.items())
        return f"{self.tool}({', '.join(pairs)})"


class Calls(_Action):
    """Calls several tools in one turn, one after the other.

    Attributes:
        calls: The calls, in order; at least two.
    """

    kind: Literal["calls"] = "calls"
    calls: tuple[Call, ...] = Field(min_length=2)


Action = Annotated[
    Click | LongPress | Swipe | Type | SystemButton | Open | Wait | Answer | Terminate | Question | Call | Calls,
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


def calls_of(action: Action | None) -> tuple[Call, ...]:
    """Returns the tool calls of an action.

    Args:
        action: The action; None for none.

    Returns:
        The calls, in order; empty for an action that calls no tool.
    """
    if isinstance(action, Calls):
        return action.calls
    return (action,) if isinstance(action, Call) else ()


def is_repeatable(action: Action) -> bool:
    """Tells whether an action may safely be carried out twice in a row.

    A run that was interrupted can't always know whether its last action reached the device. Such an action is only
    carried out again where twice has the same effect as once.

    Args:
        action: The action.

    Returns:
        True for waiting, for opening an app or the home screen, and for what only the loop itself takes note of.
        Whether a tool can be called twice is known to its environment; see
        :class:`homeostat.envs.core.Repeating`.
    """
    home = isinstance(action, SystemButton) and action.button == "Home"
    return home or isinstance(action, Wait | Open | Answer | Terminate)


def _check_numbers(value: Any) -> None:
    """Raises ValueError for a number that a checkpoint can't hold; found without recursion."""
    left = [value]
    while left:
        item = left.pop()
        if isinstance(item, dict):
            left += item.values()
        elif isinstance(item, list):
            left += item
        elif isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"the number {item} is not finite; write a finite one")
        elif isinstance(item, int) and not -(2**63) <= item < 2**63:
            raise ValueError("an integer does not fit 64 bits; write it as a string")
