"""Texts that remember which of their characters the prompt style wrote.

A prompt mixes two origins: the wording of the prompt style, which may contain a model's control tokens, and foreign
text (goals, rules, typed texts, screens), which must not. A template such as ``"goal: {goal}"`` joins both in one part,
so the origin is kept for each character.
"""

from __future__ import annotations

import string
from collections.abc import Iterable
from dataclasses import dataclass

from homeostat.sensors.chat.messages import Part

__all__ = ["Wording", "fill", "join", "substitute"]

_FORMATTER = string.Formatter()


@dataclass(frozen=True)
class Wording:
    """A text with the ranges that the prompt style wrote.

    Attributes:
        text: The text.
        trusted: Character ranges [start, stop) of ``text`` that the prompt style wrote.
    """

    text: str
    trusted: tuple[tuple[int, int], ...] = ()

    @classmethod
    def own(cls, text: str) -> Wording:
        """Marks a text as the prompt style's own.

        Args:
            text: The text. It must not contain anything that a user, a tool, a screen or a model wrote.

        Returns:
            The text, trusted as a whole.
        """
        return cls(text, ((0, len(text)),) if text else ())

    def part(self, label: str) -> Part:
        """Makes a part of a message.

        Args:
            label: The label of the part's span.

        Returns:
            The part.
        """
        return Part(label, self.text, trusted=self.trusted)


def join(separator: str, pieces: Iterable[str | Wording]) -> Wording:
    """Joins texts; the separator is the prompt style's own.

    Args:
        separator: The text between two pieces.
        pieces: The pieces. A plain string is foreign.

    Returns:
        The joined text.
    """
    separated: list[str | Wording] = []
    for piece in pieces:
        separated += [Wording.own(separator), piece] if separated else [piece]
    return _concatenated(separated)


def fill(template: str, **values: str | Wording) -> Wording:
    """Fills in a template of the prompt style, as ``template.format(**values)`` does.

    Args:
        template: The template; its literal text is the prompt style's own.
        values: The values. A plain string is foreign.

    Returns:
        The text. A value with a conversion or a format specification is foreign as a whole.
    """
    pieces: list[str | Wording] = []
    texts = {key: value.text if isinstance(value, Wording) else value for key, value in values.items()}
    for literal, field, spec, conversion in _FORMATTER.parse(template):
        pieces.append(Wording.own(literal))
        if field is None:
            continue
        if field in values and not spec and not conversion:
            pieces.append(values[field])
        else:
            how = (f"!{conversion}" if conversion else "") + (f":{spec}" if spec else "")
            pieces.append(f"{{{field}{how}}}".format(**texts))
    return _concatenated(pieces)


def substitute(template: str, placeholder: str, value: str) -> Wording:
    """Replaces every occurrence of a placeholder by a foreign text.

    Args:
        template: The template; its literal text is the prompt style's own.
        placeholder: What is replaced, such as ``"{goal}"``.
        value: The foreign text.

    Returns:
        The text.
    """
    first, *rest = template.split(placeholder)
    pieces: list[str | Wording] = [Wording.own(first)]
    for literal in rest:
        pieces += [value, Wording.own(literal)]
    return _concatenated(pieces)


def _concatenated(pieces: Iterable[str | Wording]) -> Wording:
    text, trusted = "", list[tuple[int, int]]()
    for piece in pieces:
        if isinstance(piece, Wording):
            for start, stop in piece.trusted:
                if trusted and trusted[-1][1] == len(text) + start:
                    trusted[-1] = (trusted[-1][0], len(text) + stop)
                else:
                    trusted.append((len(text) + start, len(text) + stop))
            text += piece.text
        else:
            text += piece
    return Wording(text, tuple(trusted))
