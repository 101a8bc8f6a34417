"""The shell tools that scripts on a phone need: for files, text and exit status."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from homeostat.envs.adb import search
from homeostat.envs.adb.output import Output, by_name, failed, printed

if TYPE_CHECKING:
    from homeostat.envs.adb.shell import Shell

__all__ = ["COMMANDS"]

LONGEST_SLEEP = 30.0  # seconds
_BLOCK = 2**20
_IS_BLANK = np.isin(np.arange(256), list(b" \t\n\r\v\f"))


def _flags(words: list[str]) -> tuple[str, list[str]]:
    """The letters of the leading options, and the remaining words."""
    letters, rest = "", list[str]()
    for place, word in enumerate(words):
        if word == "--":
            return letters, rest + words[place + 1 :]
        if word.startswith("-") and len(word) > 1 and not rest:
            letters += word[1:]
        else:
            rest.append(word)
    return letters, rest


def _read(shell: Shell, name: str, paths: Sequence[str]) -> Output:
    """Concatenates files. A missing file is reported on stderr, and the others are read."""
    done = Output()
    contents = []
    for path in paths:
        shell.step.check()
        try:
            contents.append(shell.files.read(path))
        except OSError as error:
            done.err += f"{name}: {path}: {error}\n".encode(errors="replace")
            done.code = 1
    if len(contents) > 1:  # a single file's bytes are not copied
        shell.step.take(sum(map(len, contents)))
    done.out = contents[0] if len(contents) == 1 else b"".join(contents)
    return done


def echo(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``echo [-n] WORDS``."""
    if words[:1] == ["-n"]:
        return Output(" ".join(words[1:]).encode(errors="replace"))
    return Output((" ".join(words) + "\n").encode(errors="replace"))


def cat(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``cat [FILES]``."""
    return _read(shell, "cat", words) if words else Output(stdin)


def ls(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``ls [-1al] [PATHS]``. ``-l`` shows modes and sizes."""
    flags, paths = _flags(words)
    lines, listed, done = list[str](), 0, Output()
    for path in paths or ["/"]:
        shell.step.check()
        found = shell.files.get(path)
        if found is None and not shell.files.is_folder(path):
            done.err += f"ls: {path}: No such file or directory\n".encode(errors="replace")
            done.code = 1
            continue
        folder = "" if found else path.rstrip("/") + "/"
        for name in [path] if found else shell.files.inside(path):
            file = shell.files.get(folder + name)
            kind = "-rw-r--r--" if file else "drwxr-xr-x"
            size = len(file.content) if file else 4096
            lines.append(f"{kind} 1 shell shell {size:>9} {name}" if "l" in flags else name)
        shell.step.take(sum(map(len, lines[listed:])))
        listed = len(lines)
    done.out = printed("\n".join(lines)).out
    return done


def rm(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``rm [-rf] PATHS``."""
    flags, paths = _flags(words)
    done = Output()
    for path in paths:
        shell.step.check()
        gone = [path] if shell.files.get(path) else shell.files.below(path) if "r" in flags.lower() else []
        for name in gone:
            shell.files.remove(name)
        if not gone and "f" not in flags:
            reason = "Is a directory" if shell.files.is_folder(path) else "No such file or directory"
            done.err += f"rm: {path}: {reason}\n".encode(errors="replace")
            done.code = 1
    return done


def mkdir(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``mkdir``. It has no effect, because a folder exists as soon as it holds a file."""
    return Output()


def grep(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``grep [-EFicqvo] PATTERN [FILES]``."""
    flags, rest = _flags(words)
    if not rest:
        return failed("grep: no pattern", 2)
    pattern, *paths = rest
    return search.grep(shell, pattern, _read(shell, "grep", paths) if paths else Output(stdin), flags)


def _end(shell: Shell, name: str, words: list[str], stdin: bytes) -> Output:
    count, paths = 10, []
    for place, word in enumerate(words):
        number = word.removeprefix("-n").removeprefix("-")
        if word == "-n":
            continue
        if number.isdecimal() and (word != number or words[place - 1] == "-n"):
            count = min(int(number[:9]), 10**6)
        else:
            paths.append(word)
    source = _read(shell, name, paths) if paths else Output(stdin)
    text = source.out
    if name == "head":
        at = 0
        for _ in range(count):
            at = text.find(b"\n", at) + 1
            if not at:
                break
        text = text[:at] if at or not count else text
    else:
        at = len(text) - text.endswith(b"\n")
        for _ in range(count):
            at = text.rfind(b"\n", 0, at)
            if at < 0:
                break
        text = text[at + 1 :] if count else b""
    if len(text) < len(source.out):
        shell.step.take(len(text))
    source.out = text
    return source


def head(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``head [-n COUNT] [FILES]``."""
    return _end(shell, "head", words, stdin)


def tail(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``tail [-n COUNT] [FILES]``."""
    return _end(shell, "tail", words, stdin)


def wc(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``wc [-lwc] [FILES]``."""
    flags, paths = _flags(words)
    source = _read(shell, "wc", paths) if paths else Output(stdin)
    counts = {"l": source.out.count(b"\n"), "w": _words(source.out), "c": len(source.out)}
    source.out = (" ".join(str(counts[f]) for f in "lwc" if f in (flags or "lwc")) + "\n").encode()
    return source


def _words(text: bytes) -> int:
    """The number of words: of the places where a character follows a blank, or starts the text."""
    count, before = 0, True
    for start in range(0, len(text), _BLOCK):
        blank = _IS_BLANK[np.frombuffer(text, np.uint8, min(_BLOCK, len(text) - start), start)]
        count += int(np.count_nonzero(blank[:-1] & ~blank[1:])) + int(before and not blank[0])
        before = bool(blank[-1])
    return count


def sleep(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``sleep SECONDS``, 30 at most. The wait follows the pipeline and occupies no thread."""
    try:
        seconds = float(words[0])
    except (IndexError, ValueError):
        return failed(f"sleep: invalid number {words[:1]!r}")
    return Output(pause=min(seconds, LONGEST_SLEEP) if seconds > 0 else 0.0)


def which(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``which COMMANDS``."""
    there = [w for w in words if w in shell.commands]
    return printed("\n".join(f"/system/bin/{w}" for w in there), 0 if there and len(there) == len(words) else 1)


def true(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``true``."""
    return Output()


def false(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``false``."""
    return Output(code=1)


def exit_(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``exit [STATUS]``. It ends the line or the session."""
    return Output(code=int(words[0][:9]) & 255 if words and words[0].isdecimal() else 0, exited=True)


def whoami(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``whoami``."""
    return printed("shell")


def export(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``export``. It has no effect, because no command here reads its environment."""
    return Output()


def exec_(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``exec COMMAND``. It runs the command and ends the line."""
    return replace(shell.command(words, stdin), exited=True) if words else Output()


def logcat(shell: Shell, words: list[str], stdin: bytes) -> Output:
    """``logcat``, with an empty log."""
    return Output()


COMMANDS = by_name(
    (echo, cat, ls, rm, mkdir, grep, head, tail, wc, sleep, which, true, false, exit_, whoami, export, exec_, logcat)
)
