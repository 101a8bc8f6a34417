"""Shows text that somebody else wrote (goals, screens, model answers, files) without letting it act on the terminal.

A terminal obeys control sequences: ESC and the C1 controls can clear it, set its title or write its clipboard, and
Unicode's bidirectional overrides reorder what is read. :func:`shown` writes such characters as ``\\uXXXX`` escapes and
replaces secrets (:mod:`homeostat.redaction`). :func:`quoted` is a ``repr`` of bounded length, for error messages.
"""

from __future__ import annotations

import re
import reprlib
from typing import Any

from homeostat.redaction import redact

__all__ = ["clipped", "quoted", "shown", "visible"]

_INVISIBLE = (
    "\x00-\x1f\x7f-\x9f"  # C0 with ESC, DEL, C1 with CSI and OSC
    "\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # format, bidi, line separators
    "\ud800-\udfff"  # lone surrogates, which no terminal can print
    "\U000e0000-\U000e007f"  # tags, which are drawn as nothing
)
_CONTROL = re.compile(f"[{_INVISIBLE}]")
_CONTROL_BUT_LINES = re.compile(f"(?![\n\t])[{_INVISIBLE}]")


def visible(text: str, *, lines: bool = False) -> str:
    """Writes control and format characters as escapes, so that a terminal only prints.

    Args:
        text: Any text.
        lines: Whether line feeds and tabs stay as they are. Otherwise the result is one line.

    Returns:
        The text with ``\\u001b`` in place of ESC, and so on. JSON text stays valid JSON.
    """
    return (_CONTROL_BUT_LINES if lines else _CONTROL).sub(_escape, text)


def shown(text: str, *, lines: bool = False) -> str:
    """Prepares foreign text for a terminal: control characters are visible, and secrets are redacted.

    Args:
        text: Any text.
        lines: Whether line feeds and tabs stay as they are. Otherwise the result is one line.

    Returns:
        The text to print.
    """
    return visible(redact(text), lines=lines)


def quoted(value: Any, limit: int = 100) -> str:
    """Returns a ``repr`` of bounded length, for error messages.

    Short values look exactly as with ``repr``. Long ones are cut, and deeply nested ones are shortened inside.

    Args:
        value: Any value, such as what a model wrote or a file held.
        limit: The most characters of the result.

    Returns:
        One line.
    """
    try:
        text = _SHORT.repr(value)
    except Exception as error:  # for example an integer of more digits than Python converts
        text = f"<{type(value).__name__}, {type(error).__name__}>"
    return clipped(visible(text), limit)


def clipped(text: str, limit: int) -> str:
    """Cuts a text.

    Args:
        text: The text.
        limit: The most characters of the result.

    Returns:
        The text, or its beginning and ``…``.
    """
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


class _Short(reprlib.Repr):
    """``reprlib`` with limits for messages. Mappings keep their order, and long texts are cut at their end."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxother = 5, 400
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdict = 50

    def repr_str(self, x: str, level: int) -> str:
        return repr(x) if len(x) <= self.maxother else repr(x[: self.maxother]) + "…"

    def repr_int(self, x: int, level: int) -> str:
        return repr(x) if x.bit_length() < 400 else f"<a number of about {x.bit_length() * 3 // 10} digits>"

    def repr_dict(self, x: dict[Any, Any], level: int) -> str:
        if level <= 0 and x:
            return "{…}"
        pairs = [
            f"{self.repr1(key, level - 1)}: {self.repr1(x[key], level - 1)}"
            for key, _ in zip(x, range(self.maxdict))  # noqa: B905
        ]
        return "{" + ", ".join(pairs + ["…"] * (len(x) > self.maxdict)) + "}"


_SHORT = _Short()
