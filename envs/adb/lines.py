"""Shell lines, cut into commands: ``;``, ``&&``, ``||``, pipes, and output into files."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

__all__ = ["Call", "LineError", "Pipeline", "parse"]

_JOINS = (";", "&&", "||")
_INTO = (">", ">>", "2>", "2>>", "&>")


class LineError(ValueError):
    """A line that no shell could read."""


@dataclass
class Call:
    """One command with its words. ``out``: the file its output goes to; ``silent``: errors go nowhere."""

    words: list[str] = field(default_factory=list)
    out: str | None = None
    append: bool = False
    silent: bool = False
    merged: bool = False


@dataclass
class Pipeline:
    """Commands joined by ``|``. ``after``: how it hangs on the one before (``;``, ``&&`` or ``||``)."""

    calls: list[Call]
    after: str = ";"


def parse(line: str) -> list[Pipeline]:
    """The pipelines of a line. Raises :class:`LineError`, e.g. for unbalanced quotes."""
    lexer = shlex.shlex(line.replace("\n", " ; "), posix=True, punctuation_chars="|&;<>")
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError as error:
        raise LineError(f"syntax error: {error}") from None
    pipelines, after = [], ";"
    calls = [Call()]
    waiting = iter(tokens)
    for token in waiting:
        if token in _JOINS or token in (";;", "&"):
            pipelines.append(Pipeline(calls, after))
            calls, after = [Call()], token if token in _JOINS else ";"
        elif token == "|":
            calls.append(Call())
        elif token in (">", ">>", ">&", "&>"):
            _redirect(calls[-1], token, next(waiting, None))
        elif set(token) <= set("|&;<>"):
            raise LineError(f"syntax error: unexpected {token!r}")
        else:
            calls[-1].words.append(token)
    pipelines.append(Pipeline(calls, after))
    return [p for p in pipelines if any(c.words for c in p.calls)]


def _redirect(call: Call, sign: str, target: str | None) -> None:
    if target is None:
        raise LineError("syntax error: unexpected end of line")
    errors = bool(call.words) and call.words[-1] == "2"
    if errors:
        call.words.pop()
    if sign == ">&":
        call.merged = target == "1"
    elif errors:
        call.silent = True
    elif target == "/dev/null":
        call.out, call.silent = target, call.silent or sign == "&>"
    else:
        call.out, call.append = target, sign == ">>"
