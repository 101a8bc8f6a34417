"""The shell behind ``adb shell``: lines of the commands in :mod:`.tools`, :mod:`.commands` and :mod:`.packages`."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from homeostat.envs.adb import commands, packages, tools
from homeostat.envs.adb.files import Files
from homeostat.envs.adb.handset import Handset
from homeostat.envs.adb.lines import Call, LineError, Pipeline, Word, parse
from homeostat.envs.adb.output import Command, Output, Result, failed

__all__ = ["Shell"]

_VARIABLES = {
    "?": "0",
    "EXTERNAL_STORAGE": "/sdcard",
    "ANDROID_ROOT": "/system",
    "PATH": "/system/bin",
    "USER": "shell",
}
_SINK = "/dev/null"
_SCREEN = ("/dev/tty", "/dev/stdout", "/dev/stderr")


class Shell:
    """Runs lines on a handset; lines may run in several threads at once. ``settings`` are Android's own."""

    def __init__(self, handset: Handset, files: Files) -> None:
        self.handset, self.files = handset, files
        self.settings: dict[tuple[str, str], str] = {}
        self.closing = threading.Event()
        self.commands: Mapping[str, Command] = {**tools.COMMANDS, **commands.COMMANDS, **packages.COMMANDS}

    def run(self, line: str) -> Result:
        """One line, or several. Errors are the shell's own: nothing is raised."""
        try:
            pipelines = parse(line)
        except LineError as error:
            return Result([failed(f"/system/bin/sh: {error}")], 1)
        total, variables = Result(), dict(_VARIABLES)
        for pipeline in pipelines:
            if (pipeline.after == "&&" and total.code) or (pipeline.after == "||" and not total.code):
                continue
            step = self._pipe(pipeline, variables)
            total = Result([*total.parts, step], step.code, step.left)
            variables["?"] = str(step.code)
            if step.left:
                break
        return total

    def _pipe(self, pipeline: Pipeline, variables: Mapping[str, str]) -> Output:
        done = Output()
        for call in pipeline.calls:
            step = self._call(call, variables, done.out)
            done = Output(step.out, done.err + step.err, step.code, step.left and len(pipeline.calls) == 1)
        return done

    def _call(self, call: Call, variables: Mapping[str, str], given: bytes) -> Output:
        words = [w.text(variables) for w in call.words]
        words = [w for w, of in zip(words, call.words, strict=True) if w or _is_quoted(of)]
        done = self.command(words, given) if words else Output()
        if call.merged:
            done = Output(done.out + done.err, b"", done.code, done.left)
        if call.err is not None:
            done = self._into(call.err[0].text(variables), call.err[1], done, "err")
        if call.out is not None:
            done = self._into(call.out[0].text(variables), call.out[1], done, "out")
        return done

    def command(self, words: list[str], given: bytes = b"") -> Output:
        """One command, by its name and its words."""
        command = self.commands.get(words[0].removeprefix("/system/bin/"))
        if command is None:
            return failed(f"/system/bin/sh: {words[0]}: inaccessible or not found", 127)
        return command(self, words[1:], given)

    def _into(self, path: str, append: bool, done: Output, stream: Literal["out", "err"]) -> Output:
        """Write a stream into a file; what is left of the output."""
        if path in _SCREEN:
            return done
        data = done.out if stream == "out" else done.err
        try:
            if path != _SINK:
                old = self.files.get(path) if append else None
                self.files.write(path, (old.content if old else b"") + data)
        except OSError as error:
            return failed(f"/system/bin/sh: can't create {path}: {error}")
        return replace(done, out=b"") if stream == "out" else replace(done, err=b"")


def _is_quoted(word: Word) -> bool:
    return any(not alive for _, alive in word.parts)
