"""A parser for shell lines: quotes, ``;``, ``&&``, ``||``, pipes and redirections, as in a POSIX shell.

Loops, functions, globs and command substitution, which Android's shell also has, are not supported. ``shlex`` is not
enough, because it removes the quotes and then ``';'`` and ``;`` look the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

__all__ = ["Call", "LineError", "Pipeline", "Word", "parse"]

_BLANK = " \t\r"
_BREAKS = _BLANK + "\n;&|<>"
_OPERATOR = re.compile(r"\n|&&|\|\||;|&>|[|&]|(?:[12])?(?:>&[12]|>>|>)|<")
_NAME = re.compile(r"\$(?:\{(\w+|\?)\}|(\w+|\?))", re.ASCII)


class LineError(ValueError):
    """A line with a syntax error."""


@dataclass(frozen=True)
class Word:
    """A word of a line.

    Attributes:
        parts: (text, whether its variables are expanded) of each part. In ``'$x'`` they are not.
    """

    parts: tuple[tuple[str, bool], ...]

    def text(self, variables: Mapping[str, str]) -> str:
        """Expands the word.

        Args:
            variables: The variables' values by name. Others are empty.

        Returns:
            The word's text.
        """
        return "".join(
            _NAME.sub(lambda m: variables.get(m[1] or m[2], ""), part) if expanded else part
            for part, expanded in self.parts
        )


@dataclass
class Call:
    """One command of a line.

    Attributes:
        words: The command's name and arguments.
        out: Where stdout is redirected to, as (file, whether to append).
        err: Where stderr is redirected to, as (file, whether to append).
        merged: Whether stderr goes to stdout (``2>&1``).
    """

    words: list[Word] = field(default_factory=list)
    out: tuple[Word, bool] | None = None
    err: tuple[Word, bool] | None = None
    merged: bool = False


@dataclass
class Pipeline:
    """Commands joined by ``|``.

    Attributes:
        calls: The commands.
        after: The operator before the pipeline: ``;``, ``&&`` or ``||``.
    """

    calls: list[Call]
    after: str = ";"


def parse(line: str) -> list[Pipeline]:
    """Parses a line.

    Args:
        line: The line, or several.

    Returns:
        Its pipelines.

    Raises:
        LineError: The syntax is wrong, for example a quote is not closed.
    """
    pipelines: list[Pipeline] = []
    calls, after = [Call()], ";"
    tokens = _tokens(line)
    for token in tokens:
        if isinstance(token, Word):
            calls[-1].words.append(token)
        elif token in (";", "\n", "&", "&&", "||"):
            if calls[-1].words:
                pipelines.append(Pipeline(calls, after))
            elif len(calls) > 1 or token in ("&&", "||") or (token != "\n" and not pipelines):
                raise LineError(f"syntax error: unexpected {token!r}")
            elif token == "\n" and after != ";":
                continue
            calls, after = [Call()], token if token in ("&&", "||") else ";"
        elif token == "|":
            if not calls[-1].words:
                raise LineError("syntax error: unexpected '|'")
            calls.append(Call())
        else:
            _redirect(calls[-1], token, tokens)
    if calls[-1].words:
        pipelines.append(Pipeline(calls, after))
    elif len(calls) > 1 or after != ";":
        raise LineError("syntax error: unexpected end of file")
    return pipelines


def _redirect(call: Call, sign: str, tokens: Iterator[Word | str]) -> None:
    if sign in ("2>&1", ">&1", "1>&1", ">&2", "1>&2", "2>&2"):
        call.merged = call.merged or sign == "2>&1"
        return
    if sign == "<":
        raise LineError("syntax error: unexpected '<'")
    target = next(tokens, None)
    if not isinstance(target, Word):
        raise LineError(f"syntax error: unexpected {target or 'end of file'!r}")
    place = (target, sign.endswith(">>"))
    if sign.startswith("2"):
        call.err = place
    else:
        call.out = place
        call.merged = call.merged or sign == "&>"


def _tokens(line: str) -> Iterator[Word | str]:
    at = 0
    while at < len(line):
        if line[at] in _BLANK:
            at += 1
        elif line[at] == "#":
            at = len(line) if (end := line.find("\n", at)) < 0 else end
        elif found := _OPERATOR.match(line, at):
            yield found.group()
            at = found.end()
        else:
            word, at = _word(line, at)
            yield word


def _word(line: str, at: int) -> tuple[Word, int]:
    parts: list[tuple[str, bool]] = []
    while at < len(line) and line[at] not in _BREAKS:
        character = line[at]
        if character == "'":
            end = line.find("'", at + 1)
            if end < 0:
                raise LineError("no closing quote")
            parts.append((line[at + 1 : end], False))
            at = end + 1
        elif character == '"':
            at = _quoted(line, at + 1, parts)
        elif character == "\\":
            if line[at + 1 : at + 2] != "\n":
                parts.append((line[at + 1 : at + 2] or "\\", False))
            at += 2
        else:
            end = at
            while end < len(line) and line[end] not in _BREAKS + "'\"\\":
                end += 1
            parts.append((line[at:end], True))
            at = end
    return Word(tuple(parts)), at


def _quoted(line: str, at: int, parts: list[tuple[str, bool]]) -> int:
    """Adds the parts inside double quotes, where a backslash escapes ``\\ " $ ` ``; returns the position after them."""
    parts.append(("", False))  # "" is a word too
    start = at
    while at < len(line) and line[at] != '"':
        if line[at] == "\\" and line[at + 1 : at + 2] in ("\\", '"', "$", "`", "\n"):
            parts.append((line[start:at], True))
            if line[at + 1] != "\n":
                parts.append((line[at + 1], False))
            at += 2
            start = at
        else:
            at += 1
    if at >= len(line):
        raise LineError("no closing quote")
    parts.append((line[start:at], True))
    return at + 1
