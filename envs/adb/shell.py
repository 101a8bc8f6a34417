"""The shell behind ``adb shell``, with the commands of :mod:`.tools`, :mod:`.commands` and :mod:`.packages`."""

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
    """Runs lines on a handset. Several threads may run lines at once.

    Attributes:
        settings: Android's own settings by (namespace, name).
        closing: Set when the daemon stops, so that waiting commands end.
        commands: The commands by name.
    """

    def __init__(self, handset: Handset, files: Files) -> None:
        """Takes what the commands work on.

        Args:
            handset: The phone.
            files: The phone's files.
        """
        self.handset, self.files = handset, files
        self.settings: dict[tuple[str, str], str] = {}
        self.closing = threading.Event()
        self.commands: Mapping[str, Command] = {**tools.COMMANDS, **commands.COMMANDS, **packages.COMMANDS}

    def run(self, line: str) -> Result:
        """Runs one line or several. Errors are reported as a shell does, without an exception."""
        try:
            pipelines = parse(line)
        except LineError as error:
            return Result([failed(f"/system/bin/sh: {error}")], 1)
        total, variables = Result(), dict(_VARIABLES)
        for pipeline in pipelines:
            if (pipeline.after == "&&" and total.code) or (pipeline.after == "||" and not total.code):
                continue
            step = self._pipe(pipeline, variables)
            total = Result([*total.parts, step], step.code, step.exited)
            variables["?"] = str(step.code)
            if step.exited:
                break
        return total

    def _pipe(self, pipeline: Pipeline, variables: Mapping[str, str]) -> Output:
        done = Output()
        for call in pipeline.calls:
            step = self._call(call, variables, done.out)
            done = Output(step.out, done.err + step.err, step.code, step.exited and len(pipeline.calls) == 1)
        return done

    def _call(self, call: Call, variables: Mapping[str, str], stdin: bytes) -> Output:
        words = [w.text(variables) for w in call.words]
        words = [w for w, of in zip(words, call.words, strict=True) if w or _is_quoted(of)]
        done = self.command(words, stdin) if words else Output()
        if call.merged:
            done = Output(done.out + done.err, b"", done.code, done.exited)
        if call.err is not None:
            done = self._into(call.err[0].text(variables), call.err[1], done, "err")
        if call.out is not None:
            done = self._into(call.out[0].text(variables), call.out[1], done, "out")
        return done

    def command(self, words: list[str], stdin: bytes = b"") -> Output:
        """Runs one command.

        Args:
            words: The command's name and arguments.
            stdin: What is piped into it.

        Returns:
            Its result.
        """
        command = self.commands.get(words[0].removeprefix("/system/bin/"))
        if command is None:
            return failed(f"/system/bin/sh: {words[0]}: inaccessible or not found", 127)
        return command(self, words[1:], stdin)

    def _into(self, path: str, append: bool, done: Output, stream: Literal["out", "err"]) -> Output:
        """Writes a stream into a file; returns the rest of the output."""
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
