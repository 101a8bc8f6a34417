"""Reads the function calls that UI-TARS writes, such as ``Action: click(start_box='(197,525)')``.

Source: the prompts and the parser of UI-TARS (arXiv 2501.12326; github.com/bytedance/UI-TARS, ``codes/ui_tars``). Of
several calls in one answer, the first is read. UI-TARS and UI-TARS-1.5 differ in their coordinates, as the models do
that they were made of: thousandths (Qwen2-VL), or pixels of the picture that the processor made (Qwen2.5-VL).
"""

from __future__ import annotations

import re

__all__ = ["function_call"]

_LONGEST = 4_000  # characters of an answer: an argument may be looked for at every one of them
_CALL = re.compile(r"^[ \t]*([a-z_]+)\(", re.MULTILINE)
_ARGUMENT = re.compile(r"(\w+)\s*=\s*(['\"])(.*?)\2(?=\s*(?:,\s*\w+\s*=|\)))", re.DOTALL)
_BARE = re.compile(r"([\d\s.,()\[\]]{3,80})\)")  # a place without a name: click(197, 525)
_FOLLOWING = re.compile(r"\)[ \t]*\n\s*[a-z_]+\(")  # the end of the first call, where there is a second one
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def function_call(text: str) -> tuple[str, dict[str, str]] | None:
    """Finds the first function call of an answer.

    Args:
        text: The model's output, with or without ``Thought:`` and ``Action:``.

    Returns:
        The function's name and its arguments; None where the text holds no call at the start of a line or behind
        ``Action:``.
    """
    said = text[:_LONGEST]
    said = said[said.rfind("Action:") + len("Action:") :] if "Action:" in said else said
    call = _CALL.search(said)
    if call is None:
        return None
    rest = said[call.end() :]
    following = _FOLLOWING.search(rest)
    rest = rest[: following.start() + 1] if following else rest
    named = {m[1]: _ESCAPE.sub(_unescaped, m[3]) for m in _ARGUMENT.finditer(rest)}
    bare = _BARE.match(rest)
    return call[1], {"coordinate": bare[1]} if bare and not named else named


def _unescaped(match: re.Match[str]) -> str:
    return {"n": "\n", "t": "\t"}.get(match[1], match[1])
