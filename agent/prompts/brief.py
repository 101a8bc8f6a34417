"""Short prompts for a model that was trained to act, and needs no instructions any more."""

from __future__ import annotations

from homeostat.agent.prompts.style import PromptStyle

__all__ = ["brief"]

_SYSTEM = "You operate a phone."
_HISTORY = 6


def brief(style: PromptStyle) -> PromptStyle:
    """Shortens a style to what a trained model needs.

    The screen stands before the goal, so that prompts about one screen begin with the same tokens. Training and serving
    then compute these once.

    Args:
        style: The style whose forms of elements, actions and coordinates are kept.

    Returns:
        The style, with a short system message, without a description of the tools, with a history of six actions, with
        actions that name an element by its text (small models copy a text far better than they look up a number), and
        without constrained decoding, because such calls can't share batches.
    """
    first = [label for label in style.order if label in ("screen", "elements")]
    order = (*first, *(label for label in style.order if label not in first))
    return style.model_copy(
        update={
            "system": _SYSTEM,
            "tools": "",
            "order": order,
            "history_length": min(style.history_length, _HISTORY),
            "elements_by": "text",
            "constrained": False,
        }
    )
