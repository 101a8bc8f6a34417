"""Finds the prompt that a preference row leaves implicit: what its chosen and its rejected side begin with.

TRL accepts such rows and extracts the prompt in the same way (``trl.extract_prompt``): from full conversations the
messages that both share, from texts the characters that both share, without a space at their end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

__all__ = ["with_prompt"]


def with_prompt(row: Mapping[str, Any]) -> Mapping[str, Any]:
    """Separates the prompt of a row from its answers.

    Args:
        row: A row with ``chosen`` and ``rejected``, and perhaps with ``prompt``.

    Returns:
        The row with all three. It is unchanged if the prompt is given and the answers don't repeat it. A prompt that is
        a text gives way to the messages of full conversations, as in TRL.
    """
    prompt, chosen, rejected = row.get("prompt"), row.get("chosen"), row.get("rejected")
    if isinstance(chosen, str) and isinstance(rejected, str):
        if prompt is not None:
            return row
        start = _shared_text(chosen, rejected)
        return {**row, "prompt": start or None, "chosen": chosen[len(start) :], "rejected": rejected[len(start) :]}
    if not _is_chat(chosen) or not _is_chat(rejected):
        return row
    shared = _shared(chosen, rejected)
    if _is_chat(prompt):
        length = len(prompt)
        if shared < length or _shared(chosen, prompt) < length:
            return row
    else:
        length = min(shared, len(chosen) - 1, len(rejected) - 1)
        if length == 0:
            return row
        prompt = chosen[:length]
    return {**row, "prompt": prompt, "chosen": chosen[length:], "rejected": rejected[length:]}


def _is_chat(value: Any) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    return isinstance(value, Sequence) and not isinstance(value, str) and all(isinstance(m, Mapping) for m in value)


def _shared(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]]) -> int:
    """The number of messages with which both chats begin. A field that is None counts as absent."""
    pairs = zip(map(_known, one), map(_known, other), strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other)))


def _known(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _known(item) for key, item in value.items() if item is not None}
    return [_known(item) for item in value] if isinstance(value, list | tuple) else value


def _shared_text(one: str, other: str) -> str:
    length = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    start = one[:length]
    return start[:-1] if start.endswith(" ") else start
