"""Keeps foreign text from becoming control tokens.

All text is foreign but what the chat template or the prompt style writes. The defence has two stages:

1. Before the template runs, a mark is put into every control token that a message's text spells, also across adjacent
   parts, and into those of its further fields (``tool_calls``, ``name``, …) and of the tools.
2. After tokenizing, every control token must consist of trusted characters. Where one covers a foreign character, a
   mark is put there as well and the text is tokenized again. The tokenizer itself is the judge, so this finds what
   Unicode normalisation, trimmed white space or the template's own literals complete.

Removing the marks returns the original text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from homeostat.sensors.chat.control_tokens import ControlTokens
from homeostat.sensors.chat.fields import changed
from homeostat.sensors.chat.messages import Message, Part, Prompt

__all__ = ["Layout", "neutralised"]


@dataclass(frozen=True)
class Layout:
    """A text, and who wrote each of its characters.

    Attributes:
        text: The text.
        source: (C,) int32 for C characters: -1 where the template or the prompt style wrote the character, k where it
            is foreign text of part k, and K, the number of parts, where it comes from a message's further fields.
        bounds: For each of the K parts, its first character and the one after its last.
    """

    text: str
    source: NDArray[np.int32]
    bounds: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, text: str, parts: Sequence[tuple[Part, int, int]], further: Sequence[int] = ()) -> Layout:
        """Lays out a rendered chat.

        Args:
            text: The rendered text.
            parts: Each part with its first character and the one after its last, in the order of the text.
            further: The characters that come from the messages' further fields.

        Returns:
            The layout.
        """
        source = np.full(len(text), -1, np.int32)
        source[list(further)] = len(parts)
        for k, (part, start, stop) in enumerate(parts):
            source[start:stop] = k
            # A template may trim a part: its rendered text begins with the part's first or with its core.
            at = 0 if part.text.startswith(text[start:stop]) else len(part.text) - len(part.text.lstrip())
            for first, last in part.trusted:
                source[max(start, start + first - at) : max(start, min(stop, start + last - at))] = -1
        return cls(text, source, tuple((start, stop) for _, start, stop in parts))

    def place(self, characters: Sequence[int]) -> tuple[int, int] | None:
        """Finds where a mark breaks up a control token.

        Args:
            characters: The characters that spell the token.

        Returns:
            The place and the source of the mark; None if no character is foreign, or if there is only one character.
        """
        foreign = next((c for c in characters if self.source[c] >= 0), None)
        if foreign is None or len(characters) < 2:
            return None
        source = int(self.source[foreign])
        return (foreign + 1, source) if foreign < characters[-1] else (foreign, source)

    def marked(self, places: Iterable[tuple[int, int]], mark: str) -> Layout:
        """Puts marks into the text.

        Args:
            places: The place and the source of each mark.
            mark: The mark, one character.

        Returns:
            The layout with the marks.
        """
        new = sorted(dict(places).items())
        if not new:
            return self
        ends = [0, *(at for at, _ in new), len(self.text)]
        text = mark.join(self.text[a:b] for a, b in pairwise(ends))
        source = np.insert(self.source, [at for at, _ in new], [k for _, k in new]).astype(np.int32)
        bounds = tuple(
            (
                start + sum(at < start or (at == start and k != part) for at, k in new),
                stop + sum(at < stop or (at == stop and k == part) for at, k in new),
            )
            for part, (start, stop) in enumerate(self.bounds)
        )
        return Layout(text, source, bounds)

    def without(self, control: ControlTokens) -> Layout:
        """Breaks up the control tokens that the text spells with foreign characters.

        Args:
            control: The control tokens.

        Returns:
            The layout with the marks.
        """
        found = (self.place(range(start, stop)) for start, stop in control.find(self.text))
        return self.marked((place for place in found if place is not None), control.mark)

    def promoted(
        self, control: ControlTokens, tokens: NDArray[np.int64], offsets: NDArray[np.int64], where: NDArray[np.int64]
    ) -> list[Sequence[int]]:
        """Finds the control tokens that foreign characters spell.

        Args:
            control: The control tokens.
            tokens: (T,) token ids.
            offsets: (T, 2): the first character of each token and the one after its last.
            where: For each character that the offsets count, its place in the text; -1 for one that the processor
                added.

        Returns:
            The characters of each such token.
        """
        found = []
        foreign = np.concatenate([[0], np.cumsum((where >= 0) & (self.source[where] >= 0))]) if len(where) else [0]
        touching = np.take(foreign, offsets[:, 1]) > np.take(foreign, offsets[:, 0])
        for k in np.flatnonzero(touching & np.isin(tokens, list(control.ids))):
            covered = where[offsets[k, 0] : offsets[k, 1]]
            spelled = control.spelling(int(tokens[k]), self.text, covered[covered >= 0].tolist())
            if any(self.source[c] >= 0 for c in spelled):
                found.append(spelled)
        return found


def neutralised(prompt: Prompt, control: ControlTokens) -> Prompt:
    """Breaks up the control tokens that a prompt's foreign text spells, before a template sees it.

    Args:
        prompt: The prompt.
        control: The control tokens.

    Returns:
        The prompt, with a mark in each of these tokens.
    """
    messages = tuple(_message(message, control) for message in prompt.messages)
    tools = changed({"tools": prompt.tools}, lambda value, _: _broken(value, control))["tools"] if prompt.tools else ()
    return replace(prompt, messages=messages, tools=tools)


def _message(message: Message, control: ControlTokens) -> Message:
    extra = changed(message.extra, lambda value, _: _broken(value, control)) if message.extra else message.extra
    texts = [part for part in message.parts if part.image is None and part.text]
    ends = np.cumsum([0, *(len(part.text) for part in texts)]).tolist()
    whole = "".join(part.text for part in texts)
    layout = Layout.of(whole, list(zip(texts, ends, ends[1:], strict=False)))
    found = layout.without(control)
    if found is layout:
        return Message(message.role, message.parts, extra)
    broken = iter([_part(part, found, k) for k, part in enumerate(texts)])
    parts = tuple(next(broken) if part.image is None and part.text else part for part in message.parts)
    return Message(message.role, parts, extra)


def _part(part: Part, layout: Layout, k: int) -> Part:
    start, stop = layout.bounds[k]
    edges = np.flatnonzero(np.diff(np.concatenate([[False], layout.source[start:stop] < 0, [False]]).astype(np.int8)))
    return Part(part.label, layout.text[start:stop], trusted=tuple((int(a), int(b)) for a, b in edges.reshape(-1, 2)))


def _broken(value: str | int, control: ControlTokens) -> str | int:
    if isinstance(value, int):
        return value
    return Layout.of(value, [(Part("further", value), 0, len(value))]).without(control).text
