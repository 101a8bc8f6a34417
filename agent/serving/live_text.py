"""Passes an answer on while it is generated, in the form in which the whole answer is returned."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["LiveText"]

_OPEN, _CLOSE = "<think>", "</think>"


class LiveText:
    """Leaves out what stands around an answer: white space at its ends, and the model's thoughts in front of it."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        """Begins with an empty text.

        Args:
            tell: Told each piece that is certainly part of the answer.
        """
        self._tell = tell
        self._text = ""
        self._answering = False
        self._told = 0

    def push(self, text: str) -> None:
        """Adds a piece of what the model writes.

        Args:
            text: The piece.
        """
        self._text += text
        if not self._answering:
            self._text = self._text.lstrip()
            if _OPEN.startswith(self._text[: len(_OPEN)]):  # thoughts, or what may become their beginning
                _, closed, rest = self._text.partition(_CLOSE)
                if not closed:
                    return
                self._text = rest.lstrip()
            if not self._text:
                return
            self._answering = True
        certain = self._text.rstrip()
        if len(certain) > self._told:
            self._tell(certain[self._told :])
            self._told = len(certain)
