"""Turns an answer's tokens into text while they come, and finds the texts that end the answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["TextStream", "cut_text"]

_INCOMPLETE = "\ufffd"
"""What a tokenizer writes for the first bytes of a character whose other bytes are still to come."""


def cut_text(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """Cuts a text in front of the first of several texts.

    Args:
        text: The text.
        stops: The texts that end it.

    Returns:
        The text in front of the first one, and whether there was one.
    """
    found = [at for stop in stops if (at := text.find(stop)) >= 0]
    return (text[: min(found)], True) if found else (text, False)


class TextStream:
    """The text of one answer that is being generated.

    What might be the beginning of a stop text is held back until it is clear that it is none.

    Attributes:
        stopped: Whether a stop text was found.
    """

    def __init__(self, tokenizer: Any, stops: Sequence[str] = (), on_text: Callable[[str], None] | None = None) -> None:
        """Begins with an empty text.

        Args:
            tokenizer: The fast tokenizer.
            stops: The texts that end the answer. They are no part of it.
            on_text: Told each new piece of the text; None for nobody.
        """
        self.stopped = False
        self._tokenizer, self._stops, self._on_text = tokenizer, tuple(stops), on_text
        self._tokens: list[int] = []
        self._begin = self._end = 0  # the tokens [begin, end) give the text that is known, and its context
        self._text = ""
        self._told = 0

    def push(self, token: int) -> None:
        """Adds a token.

        Args:
            token: The token.
        """
        self._tokens.append(token)
        known, longer = self._decoded(self._end), self._decoded(len(self._tokens))
        if longer.endswith(_INCOMPLETE):
            return
        self._text += longer[len(known) :]
        self._begin, self._end = self._end, len(self._tokens)
        text, self.stopped = cut_text(self._text, self._stops)
        self._tell(text if self.stopped else text[: len(text) - self._open_stop(text)])

    def finish(self, text: str) -> None:
        """Tells what was held back.

        Args:
            text: The whole answer.
        """
        self._tell(text)

    def _tell(self, text: str) -> None:
        if self._on_text is not None and len(text) > self._told:
            self._on_text(text[self._told :])
            self._told = len(text)

    def _decoded(self, end: int) -> str:
        part = self._tokens[self._begin : end]
        text: str = self._tokenizer.decode(part, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    def _open_stop(self, text: str) -> int:
        """The length of the longest end of the text with which a stop text begins."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        ends = range(min(longest, len(text)), 0, -1)
        return next((n for n in ends if any(stop.startswith(text[-n:]) for stop in self._stops)), 0)
