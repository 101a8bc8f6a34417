"""A model's answers in the form that its prompt style asks for: tool calls with points, or numbers of elements."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat import actions as a
from homeostat.agent.prompts.style import PromptStyle
from homeostat.envs.element_actions import element_schema, format_element_action, naming_texts, parse_element_action
from homeostat.envs.mobile_use import format_action, parse_action
from homeostat.observation import Observation

__all__ = ["answer_schema", "read_action", "write_action"]


def answer_schema(style: PromptStyle, seen: Observation) -> dict[str, Any] | None:
    """Returns the JSON schema that a model's answers are held to.

    Args:
        style: The model's prompt style.
        seen: The screen that the model sees.

    Returns:
        The schema; None where answers are free text.
    """
    if style.answers != "elements" or not style.constrained or seen.conversation is not None:
        return None
    texts = naming_texts(seen.elements, style.grid(seen)) if style.elements_by == "text" else ()
    return element_schema(len(seen.elements), style.grid(seen), texts=texts)


def read_action(style: PromptStyle, text: str, seen: Observation, told: Sequence[str] = ()) -> a.Action:
    """Reads the action that a model wrote.

    Args:
        style: The model's prompt style.
        text: The model's output.
        seen: The screen that the model saw.
        told: What the user has been told so far in this task.

    Returns:
        The action.

    Raises:
        UnparsableAction: There is no valid action; the message quotes what could not be read.
    """
    if style.answers == "elements":
        return parse_element_action(text, seen.elements, style.grid(seen), told)
    return parse_action(text, style.grid(seen), seen.elements, told)


def write_action(style: PromptStyle, action: a.Action, seen: Observation) -> str:
    """Writes an action as the model would.

    Args:
        style: The model's prompt style.
        action: The action.
        seen: The screen on which it is done.

    Returns:
        The text.
    """
    if style.answers == "elements":
        by_text = style.elements_by == "text"
        return format_element_action(action, seen.elements, style.grid(seen), by_text=by_text)
    return format_action(action, style.grid(seen))
