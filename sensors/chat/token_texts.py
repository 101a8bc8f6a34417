"""The text of every single token of a prompt, for showing where attention goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["token_texts"]

_MOST = 6
"""The most tokens that one character is spread over: a character has at most four bytes in UTF-8."""


def token_texts(tokenizer: Any, tokens: Sequence[int]) -> tuple[str, ...]:
    """Finds the text that each token adds to those before it, special tokens included.

    A token is decoded behind the token before it, because some tokenizers drop the blank at a text's start. Takes time
    in proportion to the number of tokens.

    Args:
        tokenizer: A tokenizer of transformers.
        tokens: The tokens.

    Returns:
        One text for each token. Where several tokens make up one character, the last of them has it and the others "".
    """

    def decoded(part: Sequence[int]) -> str:
        found: str = tokenizer.decode(list(part), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        return found

    texts: list[str] = []
    start = 0
    for at in range(len(tokens)):
        before = tokens[max(start - 1, 0) : start]
        text = decoded([*before, *tokens[start : at + 1]])[len(decoded(before)) :]
        if text.endswith("\ufffd") and at + 1 - start < _MOST:
            texts.append(text.rstrip("\ufffd") if at + 1 - start == 1 else "")  # the next tokens complete a character
            continue
        texts.append(text)
        start = at + 1
    return tuple(texts)
