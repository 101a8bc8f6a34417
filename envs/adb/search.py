"""``grep``. Its time is linear in the text, whatever the pattern.

Python's ``re`` backtracks, so a pattern such as ``(a+)+$`` can take longer than the age of the universe. RE2 does not
backtrack and bounds its memory. It knows no backreferences and no look-around, which POSIX's extended syntax lacks too.
Fixed strings need no engine, so they work without RE2.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from homeostat.envs.adb.output import Output, failed

if TYPE_CHECKING:
    from homeostat.envs.adb.shell import Shell

__all__ = ["grep"]

_LONGEST_PATTERN = 1000  # characters
_LONGEST_LINE = 2**16  # bytes
_MEMORY = 2**20  # bytes of one compiled pattern, its automaton included
_PROGRAM = 1000  # instructions of a compiled pattern: the time for each character grows with them
_BLOCK = 2**16
_SPECIAL = re.compile(r"[][\\.^$*+?(){}|]")

Find = Callable[[bytes], Iterator[tuple[int, int]]]
"""Finds a pattern's matches in a line: their starts and ends, from left to right."""


class _BadPattern(ValueError):
    """A pattern that can't be used; its text says why."""


def grep(shell: Shell, pattern: str, source: Output, flags: str) -> Output:
    """``grep [-EFicqvo] PATTERN``: lists the lines of a text in which a pattern occurs.

    Args:
        shell: The shell, whose time and memory it uses.
        pattern: The pattern.
        source: The text as stdout, and messages about files on stderr.
        flags: The letters of the options.

    Returns:
        The lines.
    """
    try:
        find = _finder(pattern, flags)
    except _BadPattern as error:
        return failed(f"grep: bad regex '{pattern[:80]}': {error}", 2)
    found, out = 0, bytearray()
    written = 0
    for number, raw in enumerate(io.BytesIO(source.out)):
        if number % 64 == 0:
            shell.step.check()
        line = raw.rstrip(b"\r\n")
        if len(line) > _LONGEST_LINE:
            return failed(f"grep: a line is longer than {_LONGEST_LINE} bytes", 2)
        hit = next(find(line), None)
        if (hit is not None) is ("v" in flags):
            continue
        found += 1
        if "q" in flags:
            break
        if "c" in flags:
            continue
        if "o" not in flags:
            out += line + b"\n"
        elif "v" not in flags:
            for count, (start, end) in enumerate(find(line)):
                if count % 64 == 0:
                    shell.step.check()
                if end > start:
                    out += line[start:end] + b"\n"
        if len(out) - written > _BLOCK:
            shell.step.take(len(out) - written)
            written = len(out)
    if "c" in flags and "q" not in flags:
        out += f"{found}\n".encode()
    return Output(bytes(out), source.err, 0 if found else 1)


def _finder(pattern: str, flags: str) -> Find:
    if len(pattern) > _LONGEST_PATTERN:
        raise _BadPattern(f"longer than {_LONGEST_PATTERN} characters")
    if "F" not in flags and "E" not in flags:  # in basic syntax \( is special and ( is not
        pattern = re.sub(r"\\([|+?(){}])", r"\1", re.sub(r"(?<!\\)([|+?(){}])", r"\\\1", pattern))
    if "F" in flags or not _SPECIAL.search(pattern):
        fixed = pattern.encode(errors="replace")
        if "i" not in flags:
            return lambda line: _fixed(fixed, line)
        if pattern.isascii():
            return lambda line: _fixed(fixed.lower(), line.lower())
        pattern = re.escape(pattern)
    return _compiled(pattern, "i" in flags)


def _fixed(text: bytes, line: bytes) -> Iterator[tuple[int, int]]:
    at = line.find(text)
    while at >= 0:
        yield at, at + len(text)
        at = line.find(text, at + max(len(text), 1))


def _compiled(pattern: str, ignores_case: bool) -> Find:
    try:
        import re2
    except ImportError:
        raise _BadPattern("this phone finds fixed strings only; pip install 'homeostat[android]' on its host") from None
    options = re2.Options()
    options.max_mem, options.log_errors, options.never_capture = _MEMORY, False, True
    options.longest_match, options.case_sensitive = True, not ignores_case
    try:
        rule = re2.compile(pattern.encode(errors="replace"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else "syntax"
        raise _BadPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    if rule.programsize > _PROGRAM:
        raise _BadPattern(f"compiles to {rule.programsize} instructions, more than {_PROGRAM}")
    return lambda line: (match.span() for match in rule.finditer(line))
