"""What a user's answer to a yes-or-no question means."""

from __future__ import annotations

__all__ = ["said_yes"]

_YES, _NO = {"yes", "y", "done", "true", "1"}, {"no", "n", "not done", "false", "0"}


def said_yes(answer: str) -> bool | None:
    """Reads an answer.

    Args:
        answer: What the user wrote.

    Returns:
        True for yes, False for no, None for anything else.
    """
    said = answer.strip().lower().rstrip(".!")
    return True if said in _YES else False if said in _NO else None
