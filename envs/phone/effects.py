"""Effects: what a tap does, as plain data.

An effect is a JSON-able list, such as ``["sql", "delete from notes where id = ?", [3]]``, which the device executes.
Therefore a snapshot of the phone can be taken at any moment.
"""

from __future__ import annotations

from typing import Any

__all__ = ["Effect", "back", "confirm", "do", "go", "home", "launch", "menu", "sql", "toast"]

Effect = list[Any]


def do(*effects: Effect) -> Effect:
    """Returns an effect that runs several effects in order.

    Args:
        effects: The effects.

    Returns:
        The effect.
    """
    return ["do", list(effects)]


def sql(statement: str, *params: Any) -> Effect:
    """Returns an effect that runs one SQL statement on the device's database.

    Args:
        statement: The statement, with ``?`` for each parameter.
        params: The parameters.

    Returns:
        The effect.
    """
    return ["sql", statement, list(params)]


def go(screen: str, **params: Any) -> Effect:
    """Returns an effect that pushes a screen of the app in front onto the back stack.

    Args:
        screen: The screen's name.
        params: The screen's parameters.

    Returns:
        The effect.
    """
    return ["go", screen, params]


def back(times: int = 1) -> Effect:
    """Returns an effect that pops screens from the back stack.

    Args:
        times: The number of screens.

    Returns:
        The effect.
    """
    return ["back", times]


def home() -> Effect:
    """Returns an effect that shows the launcher.

    Returns:
        The effect.
    """
    return ["home"]


def launch(app: str) -> Effect:
    """Returns an effect that brings an app to the front, at its first screen.

    Args:
        app: The app's name.

    Returns:
        The effect.
    """
    return ["launch", app]


def toast(text: str) -> Effect:
    """Returns an effect that shows a message at the bottom of the screen until the next action.

    Args:
        text: The message.

    Returns:
        The effect.
    """
    return ["toast", text]


def confirm(question: str, yes: Effect, label: str = "delete") -> Effect:
    """Returns an effect that opens a dialog with ``cancel`` and one other option.

    Args:
        question: The dialog's title.
        yes: The effect of the other option.
        label: The label of the other option.

    Returns:
        The effect.
    """
    return ["dialog", question, [["cancel", ["do", []]], [label, yes]]]


def menu(title: str, *options: tuple[str, Effect]) -> Effect:
    """Returns an effect that opens a dialog with one row for each option.

    Args:
        title: The dialog's title.
        options: Each option's label and effect.

    Returns:
        The effect.
    """
    return ["dialog", title, [list(o) for o in options]]
