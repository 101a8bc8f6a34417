"""How long a server's context is, and how many tokens of it a prompt takes: an estimate, as no tokenizer is at hand.

The characters of a token are measured on the server's own counts. Before the first answer, three are assumed, which is
few for English, so that a prompt is rather shortened too early.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["PromptSize", "context_of"]

_FIELDS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
_FIRST = 3.0
_MARGIN = 1.1
_EACH = 4  # tokens that a template puts around a message


def context_of(described: Mapping[str, Any]) -> int | None:
    """Finds the length of the context in a server's description of a model.

    vLLM and SGLang call it ``max_model_len``, OpenRouter and Together ``context_length``, Groq ``context_window``, LM
    Studio ``max_context_length``, and llama.cpp ``meta.n_ctx``.

    Args:
        described: The description, an entry of ``GET /models``.

    Returns:
        The number of tokens; None where the server does not tell.
    """
    nested = described.get("meta")
    for source in (described, nested if isinstance(nested, Mapping) else {}):
        for field in _FIELDS:
            value = source.get(field)
            if isinstance(value, int) and not isinstance(value, bool) and value > 0:
                return value
    return None


class PromptSize:
    """Estimates a prompt's tokens from its characters."""

    def __init__(self) -> None:
        """Knows nothing of the server's tokens yet."""
        self._characters = _FIRST

    def tokens(self, messages: Iterable[Mapping[str, Any]]) -> int:
        """Estimates the number of tokens, a tenth too many rather than one too few.

        Args:
            messages: The messages and tools of a request.

        Returns:
            The number.
        """
        characters, number = _counted(messages)
        return math.ceil(_MARGIN * (characters / self._characters + _EACH * number))

    def learn(self, messages: Iterable[Mapping[str, Any]], tokens: int) -> None:
        """Measures the characters of a token on what a server has counted.

        Args:
            messages: The messages and tools of a request.
            tokens: The number of their tokens.
        """
        characters, number = _counted(messages)
        if tokens > _EACH * number:
            self._characters = min(max(characters / (tokens - _EACH * number), 0.5), 12.0)


def _counted(messages: Iterable[Mapping[str, Any]]) -> tuple[int, int]:
    listed = list(messages)
    return sum(map(_length, listed)), len(listed)


def _length(value: Any) -> int:
    """The characters of all texts in a message; an image counts as 1,000 tokens of three."""
    if isinstance(value, str):
        return len(value) if not value.startswith("data:image/") else 3000
    if isinstance(value, Mapping):
        return sum(_length(item) for item in value.values())
    return sum(_length(item) for item in value) if isinstance(value, list | tuple) else 0
