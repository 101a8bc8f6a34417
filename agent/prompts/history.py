"""The wording of past actions, as the history of a prompt lists them."""

from __future__ import annotations

import json
import re

from homeostat import actions as a
from homeostat.agent.prompts.style import PromptStyle
from homeostat.envs.element_actions import describe_element_action
from homeostat.envs.mobile_use import Grid, call_arguments
from homeostat.foreign_text import clipped
from homeostat.observation import Observation

__all__ = ["POINTED", "describe", "past_action"]

_REASON = 80  # characters of the reason of a refusal
_SAID = re.compile(r"^[ \t]*Action:[ \t]*(\S.*)$", re.MULTILINE)

POINTED = re.compile(r"(?:click|long_press) \[-?\d+, -?\d+\]")
"""An action as :func:`describe` words it from numbers alone; such an entry of the history holds no foreign text."""


def describe(action: a.Action, grid: Grid) -> str:
    """Words an action for the history, such as ``click [40, 96]``, ``type milk`` or ``swipe up``.

    Args:
        action: The action.
        grid: The grid on which the model writes points.

    Returns:
        The text.
    """
    match action:
        case a.Click(point=p):
            return f"click {grid.spell(p)}"
        case a.LongPress(point=p):
            return f"long_press {grid.spell(p)}"
        case a.Swipe(point=(x, y), to=(x2, y2)):
            horizontal = abs(x2 - x) > abs(y2 - y)
            return "swipe " + (("right" if x2 > x else "left") if horizontal else ("down" if y2 > y else "up"))
        case a.Type(text=t):
            return f"type {t}"
        case a.SystemButton(button=b):
            return b.lower()
        case a.Open(app=name):
            return f"open {name}"
        case a.Wait():
            return "wait"
        case a.Answer(text=t):
            return f"answer {t}"
        case a.Terminate(status=s):
            return f"terminate {s}"
        case a.Question(text=t):
            return f"ask {t}"
        case a.Call() | a.Calls():
            return "; ".join(map(str, a.calls_of(action)))
    raise AssertionError(action)


def past_action(style: PromptStyle, action: a.Action, seen: Observation, said: str = "", error: str = "") -> str:
    """Writes an action for the history in the form that a style asks for.

    Args:
        style: The model's prompt style.
        action: The action.
        seen: The screen on which it was done.
        said: The model's answer, which held the action.
        error: Why the action was refused; "" where it was done. Only a model that reads no screenshots is told.

    Returns:
        The text.
    """
    grid = style.grid(seen)
    if style.answers == "elements" and not isinstance(action, a.Question | a.Call | a.Calls):
        refused = f" (refused: {clipped(' '.join(error.split()), _REASON)})" if error else ""
        return describe_element_action(action, seen.elements, grid) + refused
    if style.history_form == "call" and not isinstance(action, a.Question | a.Call | a.Calls):
        return json.dumps({"name": "mobile_use", "arguments": call_arguments(action, grid)}, ensure_ascii=False)
    told = _SAID.search(said) if style.history_form == "said" else None
    return told[1].strip().replace('"', "") if told else describe(action, grid)
