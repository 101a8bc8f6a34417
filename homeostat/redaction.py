"""Replaces secrets of known forms in what is written to traces and terminals, never in what a model or a device gets.

Known forms: API keys of common providers, bearer tokens, JSON web tokens, AWS keys, private keys, passwords in URLs,
and numbers of payment cards (by issuer, length and the Luhn checksum, ISO/IEC 7812-1). A secret of any other form, such
as a password that someone types, is not recognised.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

__all__ = ["redact", "redact_data", "redact_pieces", "redacting", "set_redaction"]

_NAMED: dict[str, str] = {
    "private key": r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----(?:[^-]{0,20000}-----END [A-Z ]{0,40}PRIVATE KEY-----)?",
    "API key": (
        r"(?<![A-Za-z0-9_-])(?:"
        r"sk-[A-Za-z0-9_-]{16,200}"  # OpenAI, Anthropic, OpenRouter and others
        r"|(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{16,200}"  # Stripe
        r"|AIza[A-Za-z0-9_-]{35}"  # Google
        r"|gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_[A-Za-z0-9_]{22,255}"
        r"|glpat-[A-Za-z0-9_-]{20,100}"
        r"|hf_[A-Za-z0-9]{30,100}"
        r"|xox[abeoprs]-[A-Za-z0-9-]{10,250}"  # Slack
        r"|gsk_[A-Za-z0-9]{40,100}|r8_[A-Za-z0-9]{30,60}|xai-[A-Za-z0-9]{40,120}|pplx-[A-Za-z0-9]{40,80}"
        r"|SG\.[A-Za-z0-9_-]{16,40}\.[A-Za-z0-9_-]{30,60}"  # SendGrid
        r"|npm_[A-Za-z0-9]{36}|pypi-[A-Za-z0-9_-]{50,250}"
        r")(?![A-Za-z0-9])"
    ),
    "AWS key": (
        r"(?<![A-Za-z0-9])(?:AKIA|ASIA|AGPA|AIDA|AROA|ANPA)[A-Z0-9]{16}(?![A-Za-z0-9])"
        r"|(?<=secret_access_key=)[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])"
        r"|(?<=secret_access_key = )[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])"
        r"|(?<=SECRET_ACCESS_KEY=)[A-Za-z0-9/+=]{40}(?![A-Za-z0-9/+=])"
    ),
    "token": (
        r"(?<![A-Za-z0-9])eyJ[A-Za-z0-9_-]{8,2000}\.[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8,1000}"
        r"|(?<=[Bb]earer )[A-Za-z0-9._~+/-]{16,4000}=*"
    ),
    "password": r"(?<=://)[^\s/:@\"'<>]{0,100}:[^\s/@\"'<>]{1,200}(?=@)",
}
_KINDS = list(_NAMED)
_SECRET = re.compile("|".join(f"({pattern})" for pattern in _NAMED.values()))
# One of these stands in every secret above. Looking for them first is a hundred times quicker than the patterns.
_NEEDLES = (
    *("PRIVATE KEY-----", "sk-", "_live_", "_test_", "AIza", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_"),
    *("glpat-", "hf_", "xox", "gsk_", "r8_", "xai-", "pplx-", "SG.", "npm_", "pypi-", "AKIA", "ASIA", "AGPA", "AIDA"),
    *("AROA", "ANPA", "secret_access_key", "SECRET_ACCESS_KEY", "eyJ", "earer ", "://"),
)
_CARD = re.compile(r"[2-6](?<![\w.,+-][2-6])(?:[ -]?\d){12,18}(?!\w|[.,-]?\d)")
_ISSUERS = (
    (re.compile(r"4"), (13, 16, 19)),
    (re.compile(r"5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)"), (16,)),
    (re.compile(r"3[47]"), (15,)),
    (re.compile(r"6011|65|64[4-9]"), (16, 19)),
    (re.compile(r"352[89]|35[3-8]"), (16,)),
    (re.compile(r"3(?:0[0-5]|[68])"), (14,)),
    (re.compile(r"62"), (16, 17, 18, 19)),
)
_enabled = True


def set_redaction(enabled: bool) -> None:
    """Switches redaction on or off for this process. It is on at first.

    Args:
        enabled: Whether traces and terminals get secrets redacted.
    """
    global _enabled
    _enabled = enabled


@contextmanager
def redacting(enabled: bool) -> Iterator[None]:
    """Switches redaction on or off within a block.

    Args:
        enabled: Whether secrets are redacted.

    Yields:
        Nothing.
    """
    before = _enabled
    set_redaction(enabled)
    try:
        yield
    finally:
        set_redaction(before)


def redact(text: str) -> str:
    """Replaces secrets of known forms by ``[redacted: …]``.

    Args:
        text: Any text.

    Returns:
        The text without them; the text itself where redaction is off or there are none.
    """
    if not _enabled:
        return text
    if any(needle in text for needle in _NEEDLES):
        text = _SECRET.sub(_named, text)
    return _CARD.sub(_card, text)


def redact_pieces(pieces: Sequence[str]) -> tuple[str, ...]:
    """Replaces secrets that are spread over the pieces of one text, such as a prompt's tokens.

    Args:
        pieces: Texts that make up one text when they are joined.

    Returns:
        As many pieces. Of those that a secret touches, the first says what stood there and the others are "".
    """
    text = "".join(pieces)
    if redact(text) == text:
        return tuple(pieces)
    found = [(match.span(), _named(match)) for match in _SECRET.finditer(text)]
    found += [(match.span(), _card(match)) for match in _CARD.finditer(text) if _card(match) != match.group()]
    owner = [number for number, piece in enumerate(pieces) for _ in piece]
    kept = list(pieces)
    for (start, stop), told in sorted(found):
        if start == stop:
            continue
        first, last = owner[start], owner[stop - 1]
        kept[first : last + 1] = [told, *[""] * (last - first)]
    return tuple(kept)


def redact_data(value: Any) -> Any:
    """Replaces secrets in every text of JSON data. The names of fields stay as they are.

    Args:
        value: Texts, numbers, lists and mappings.

    Returns:
        The same data without secrets.
    """
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [redact_data(item) for item in value]
    if isinstance(value, dict):
        return {key: redact_data(item) for key, item in value.items()}
    return value


def _named(match: re.Match[str]) -> str:
    return f"[redacted: {_KINDS[(match.lastindex or 1) - 1]}]"


def _card(match: re.Match[str]) -> str:
    digits = [int(mark) for mark in match.group() if mark in "0123456789"]
    number = "".join(map(str, digits))
    issued = any(len(number) in lengths and start.match(number) for start, lengths in _ISSUERS)
    doubled = [d if n % 2 == 0 else 2 * d - 9 * (d > 4) for n, d in enumerate(reversed(digits))]
    return "[redacted: card number]" if issued and sum(doubled) % 10 == 0 else match.group()
