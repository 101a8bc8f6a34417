"""Words for people: what an action does, what a decision wants, and figures with their units."""

from __future__ import annotations

import json
from collections.abc import Sequence

from homeostat import actions as a
from homeostat.controllers import decisions as d
from homeostat.foreign_text import clipped
from homeostat.observation import Element, element_at
from homeostat.sensors import Actuator

__all__ = ["action_words", "decision_words", "number", "percent"]

_NAME = 60  # characters of an element's text
_TEXT = 300  # characters of a text that is typed, answered or reminded of


def action_words(action: a.Action | None, elements: Sequence[Element] = ()) -> str:
    """Words an action.

    Args:
        action: The action; None where there is none.
        elements: The elements of the screen on which it happens. A tap is named after the element that it hits.

    Returns:
        One line, such as ``tap “save”``; "" without an action.
    """
    match action:
        case None:
            return ""
        case a.Click(point=point):
            return f"tap {_target(point, elements)}"
        case a.LongPress(point=point, seconds=seconds):
            return f"press {_target(point, elements)} for {seconds:g} s"
        case a.Swipe(point=(x, y), to=(to_x, to_y)):
            horizontal = abs(to_x - x) > abs(to_y - y)
            return "swipe " + (("right" if to_x > x else "left") if horizontal else ("down" if to_y > y else "up"))
        case a.Type(text=text):
            return f"type “{_line(text, _TEXT)}”"
        case a.SystemButton(button=button):
            return f"press {button.lower()}"
        case a.Open(app=app):
            return f"open “{_line(app, _NAME)}”"
        case a.Wait(seconds=seconds):
            return f"wait {seconds:g} s"
        case a.Answer(text=text):
            return f"answer “{_line(text, _TEXT)}”"
        case a.Question(text=text):
            return f"ask “{_line(text, _TEXT)}”"
        case a.Terminate(status=status):
            return "end: the task is done" if status == "success" else "end: the task can't or must not be done"
        case a.Call():
            return _line(str(action), _TEXT)
        case a.Calls(calls=calls):
            return _line("; ".join(map(str, calls)), _TEXT)
    return _line(json.dumps(action.model_dump()), _TEXT)


def decision_words(decision: d.Decision) -> str:
    """Words a decision.

    Args:
        decision: The decision.

    Returns:
        One line, such as ``remind: “the goal is: …”``.
    """
    match decision:
        case d.Reminder(text=text):
            return f"remind: “{_line(text, _TEXT)}”"
        case d.MakePlan(plan=plan):
            return "make a plan" if plan is None else "plan what is left anew"
        case d.Dispatch(instruction=instruction):
            return f"start the subtask “{_line(instruction, _TEXT)}”"
        case d.Report(facts=facts, check=check):
            wanted = [*facts, *([f"whether {check}"] if check else [])]
            return f"read the screen: {_line(', '.join(wanted), _TEXT)}"
        case d.Perform(action=action):
            return f"do this instead: {action_words(action)}"
        case d.Ask(question=question) | d.Confirm(question=question):
            return f"ask the user: “{_line(question, _TEXT)}”"
        case d.SteerAttention(actuators=actuators):
            return f"steer the attention: {_actuators(actuators)}"
        case d.HoldAttention(actuators=actuators):
            held = f"steer the attention from now on: {_actuators(actuators)}"
            return held if actuators else "end the steering of attention"
        case d.Sample(n=n, temperature=temperature):
            return f"draw {n} more {'answer' if n == 1 else 'answers'} at temperature {temperature:g}"
        case d.Choose(index=index):
            return "keep the first answer" if index == 0 else f"choose answer {index + 1}"
        case d.Refuse(reason=reason):
            return f"refuse: {_line(reason, _TEXT)}"
        case d.Stop(reason=reason):
            return f"stop: {_line(reason, _TEXT)}"
    return "go on"


def _actuators(actuators: Sequence[Actuator]) -> str:
    told = []
    for actuator in actuators:
        what = f"sinks above {actuator.sinks:g}" if actuator.sinks is not None else str(actuator.span or "all keys")
        forms = {"gain": "× {:g}", "scale": "mass × {:g}", "target": "to {:.0%}", "floor": "to at least {:.0%}"}
        how = [text.format(getattr(actuator, name)) for name, text in forms.items() if getattr(actuator, name)]
        told.append(f"{what} {' '.join(how)}".strip())
    return _line(", ".join(told), _TEXT)


def _target(point: tuple[float, float], elements: Sequence[Element]) -> str:
    """The name of the element under a point, or the point in percent of the screen."""
    index = element_at(elements, point)
    where = f"at {point[0]:.0%}, {point[1]:.0%}"
    if index is None:
        return where
    name = _line(elements[index].text, _NAME)
    return f"“{name}”" if name else f"the {_line(elements[index].role, _NAME)} {where}"


def _line(text: str, limit: int) -> str:
    return clipped(" ".join(text.split()), limit)


def percent(share: float) -> str:
    """Words a share.

    Args:
        share: The share, usually in [0, 1].

    Returns:
        Percent with one decimal, such as ``3.4 %``.
    """
    return f"{100 * share:.1f} %"


def number(value: float) -> str:
    """Words a number of any size with four significant digits.

    Args:
        value: The number.

    Returns:
        The text, such as ``−0.1234`` or ``1.2e+15``.
    """
    return f"{value:.4g}".replace("-", "−", 1) if value < 0 else f"{value:.4g}"
