"""The control tokens of a tokenizer: which they are, where a text spells them, and the mark that breaks them up.

Every added token counts, whether the tokenizer calls it special or not: chat templates rely on both kinds. Two kinds of
entries are content and do not count: tokens of white space only, and tokens that stand for what the vocabulary lacks
(the unknown token and byte tokens such as ``<0x0A>``), unless the text spells their name.

transformers has no common base class that declares a processor's placeholders, so they are read from its attributes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ControlToken", "ControlTokens"]

_MARKS = ("\u200b", "\u2060", "\u00b7", "_", "-", " ")
"""Zero-width space, word joiner, middle dot, then plain characters that a small vocabulary may know."""
_BYTE = re.compile(r"<0x[0-9A-Fa-f]{2}>")


@dataclass(frozen=True)
class ControlToken:
    """A control token.

    Attributes:
        content: What spells it.
        lstrip: Whether it takes in the white space before it.
        rstrip: Whether it takes in the white space after it.
        single_word: Whether it is only found between characters that belong to no word.
        implicit: Whether it also stands for text that the vocabulary lacks.
    """

    content: str
    lstrip: bool = False
    rstrip: bool = False
    single_word: bool = False
    implicit: bool = False


class ControlTokens:
    """The control tokens of one tokenizer, and of the processor around it."""

    def __init__(self, tokenizer: Any, processor: Any = None) -> None:
        """Collects the tokens and chooses the mark.

        Args:
            tokenizer: A fast tokenizer.
            processor: The image-text processor around it; None without one.
        """
        added = {number: _token(token) for number, token in tokenizer.added_tokens_decoder.items()}
        for number, content in zip(tokenizer.all_special_ids, tokenizer.all_special_tokens, strict=True):
            added.setdefault(number, ControlToken(str(content)))
        for number, token in added.items():
            if number == tokenizer.unk_token_id or _BYTE.fullmatch(token.content):
                added[number] = ControlToken(
                    token.content, token.lstrip, token.rstrip, token.single_word, implicit=True
                )
        self._tokens = {number: token for number, token in added.items() if token.content.strip(" \t\r\n\u2581")}
        placeholders = {str(value) for name, value in _attributes(processor) if name.endswith("_token")}
        spelled = {token.content for token in self._tokens.values() if not token.single_word} | placeholders
        self._spelled = frozenset(content for content in spelled if len(content) > 1)
        self._lengths: dict[str, list[int]] = {}
        for content in self._spelled:
            lengths = self._lengths.setdefault(content[:2], [])
            if len(content) not in lengths:
                lengths.append(len(content))
        beginnings = "|".join(map(re.escape, sorted(self._lengths)))
        self._beginning = re.compile(f"(?={beginnings})") if beginnings else None
        self.ids = frozenset(self._tokens)
        self.mark = self._choose(tokenizer)

    def find(self, text: str) -> list[tuple[int, int]]:
        """Finds every place where a text spells a control token, also where two places overlap.

        Args:
            text: The text.

        Returns:
            The ranges [start, stop), sorted. Tokens of one character and single words are left out: breaking them up
            is not possible, or the tokenizer alone can tell whether they are there.
        """
        found = []
        for match in self._beginning.finditer(text) if self._beginning else ():
            at = match.start()
            for length in self._lengths[text[at : at + 2]]:
                if at + length <= len(text) and text[at : at + length] in self._spelled:
                    found.append((at, at + length))
        return found

    def spelling(self, token: int, text: str, places: Sequence[int]) -> Sequence[int]:
        """Finds the characters that spell a control token of a tokenized text.

        Args:
            token: The token's id, one of :attr:`ids`.
            text: The text.
            places: The places of the characters that the token covers in the text.

        Returns:
            The places without the white space that the token only takes in; none if the token stands for text that
            the vocabulary lacks.
        """
        known = self._tokens[token]
        first, last = 0, len(places)
        while known.lstrip and first < last and text[places[first]].isspace():
            first += 1
        while known.rstrip and first < last and text[places[last - 1]].isspace():
            last -= 1
        kept = places[first:last]
        return () if known.implicit and "".join(text[k] for k in kept) != known.content else kept

    def without_space(
        self, tokens: NDArray[np.int64], offsets: NDArray[np.int64], text: str, where: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Lets control tokens begin where their spelling begins, not with the white space before it.

        Args:
            tokens: (T,) token ids.
            offsets: (T, 2): the first character of each token and the one after its last.
            text: The text.
            where: For each character that the offsets count, its place in the text; -1 for one that the processor
                added.

        Returns:
            (T, 2) offsets. The white space belongs to no token.
        """
        stripping = [number for number, token in self._tokens.items() if token.lstrip]
        found = np.flatnonzero(np.isin(tokens, stripping)) if stripping else ()
        offsets = offsets.copy() if len(found) else offsets
        for k in found:
            while offsets[k, 0] < offsets[k, 1] and (at := where[offsets[k, 0]]) >= 0 and text[at].isspace():
                offsets[k, 0] += 1
        return offsets

    def _choose(self, tokenizer: Any) -> str:
        """The first mark that breaks up every token and comes back when the tokens are decoded."""
        text = "\n".join(sorted(self._spelled))
        places = sorted({start + 1 for start, _ in self.find(text)})
        pieces = [text[a:b] for a, b in zip([0, *places], [*places, len(text)], strict=True)]
        for mark in _MARKS:
            ids = tokenizer(mark.join(pieces), add_special_tokens=False, verbose=False)["input_ids"]
            explicit = self.ids - {number for number, token in self._tokens.items() if token.implicit}
            if not explicit & set(ids) and tokenizer.decode(ids).count(mark) >= len(places) > 0:
                return mark
        return _MARKS[0]


def _token(token: Any) -> ControlToken:
    return ControlToken(token.content, token.lstrip, token.rstrip, token.single_word)


def _attributes(processor: Any) -> Iterator[tuple[str, Any]]:
    yield from (item for item in getattr(processor, "__dict__", {}).items() if item[1])
