"""The shell behind ``adb shell``, with the commands of :mod:`.tools`, :mod:`.commands` and :mod:`.packages`."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from homeostat.envs.adb import commands, packages, tools
from homeostat.envs.adb.files import Files
from homeostat.envs.adb.handset import Handset
from homeostat.envs.adb.limits import Account, Limits, Memory, OutOfMemory, Step, TimeIsUp
from homeostat.envs.adb.lines import Call, LineError, Pipeline, Word, parse
from homeostat.envs.adb.output import Command, Output, Result, failed

__all__ = ["Script", "Shell"]

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
        memory: The memory that the clients share.
        closing: Set when the daemon stops, so that waiting lines end.
        commands: The commands by name.
    """

    def __init__(self, handset: Handset, files: Files, limits: Limits | None = None) -> None:
        """Takes what the commands work on.

        Args:
            handset: The phone.
            files: The phone's files.
            limits: How much a line may use. None: the defaults.
        """
        self.handset, self.files = handset, files
        self.memory = Memory(limits or Limits())
        self.settings: dict[tuple[str, str], str] = {}
        self.closing = threading.Event()
        self.commands: Mapping[str, Command] = {**tools.COMMANDS, **commands.COMMANDS, **packages.COMMANDS}
        self._local = threading.local()

    @property
    def step(self) -> Step:
        """The time and memory of the pipeline that this thread runs."""
        step: Step = self._local.step
        return step

    def run(self, line: str) -> Result:
        """Runs one line or several, and waits where it sleeps.

        Args:
            line: The line.

        Returns:
            The result. Errors are reported as a shell does, without an exception.
        """
        script, parts = Script(self, line, Account(self.memory)), list[Output]()
        while not script.finished:
            parts.append(script.run_next())
            script.release()
            self.closing.wait(script.pause)
        return Result(parts, script.code, script.exited)

    def pipe(self, pipeline: Pipeline, variables: Mapping[str, str], step: Step) -> Output:
        """Runs one pipeline.

        Args:
            pipeline: The pipeline.
            variables: The variables' values by name.
            step: The time and memory that it may use.

        Returns:
            Its result. A pipeline that uses too much is ended with status 137, as Android ends one.
        """
        self._local.step = step
        try:
            done = self._pipe(pipeline, variables)
            step.cover(len(done.out) + len(done.err))
        except OutOfMemory:
            step.free()
            done = failed("/system/bin/sh: Out of memory: the output is too large for this phone", 137)
        except TimeIsUp:
            step.free()
            done = failed(f"/system/bin/sh: Killed: it took more than {self.memory.limits.seconds:g} s", 137)
        return done

    def _pipe(self, pipeline: Pipeline, variables: Mapping[str, str]) -> Output:
        done = Output()
        for call in pipeline.calls:
            self.step.check()
            step = self._call(call, variables, done.out)
            exited = step.exited and len(pipeline.calls) == 1
            done = Output(step.out, done.err + step.err, step.code, exited, done.pause + step.pause)
        return done

    def _call(self, call: Call, variables: Mapping[str, str], stdin: bytes) -> Output:
        words = [w.text(variables) for w in call.words]
        words = [w for w, of in zip(words, call.words, strict=True) if w or _is_quoted(of)]
        done = self.command(words, stdin) if words else Output()
        if call.merged:
            done = replace(done, out=done.out + done.err, err=b"")
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
                self.step.take(len(data) + len(old.content) if old else 0)
                self.files.write(path, (old.content if old else b"") + data)
        except OSError as error:
            return failed(f"/system/bin/sh: can't create {path}: {error}")
        return replace(done, out=b"") if stream == "out" else replace(done, err=b"")


def _is_quoted(word: Word) -> bool:
    return any(not alive for _, alive in word.parts)


class Script:
    """A line that is being run, one pipeline after another.

    Attributes:
        code: The exit status of the last pipeline.
        exited: Whether the line ended the session, as ``exit`` does.
        finished: Whether nothing is left to run.
        pause: The seconds to wait before the next pipeline.
    """

    def __init__(self, shell: Shell, line: str, client: Account) -> None:
        """Takes a line.

        Args:
            shell: The shell that runs it.
            line: The line, or several.
            client: The account that pays for the output.
        """
        self._shell, self._line, self._client = shell, line, client
        self._pipelines: deque[Pipeline] | None = None
        self._variables = dict(_VARIABLES)
        self._step: Step | None = None
        self._lock = threading.Lock()
        self._abandoned = False
        self.code, self.exited, self.finished, self.pause = 0, False, False, 0.0

    def run_next(self) -> Output:
        """Runs the next pipeline.

        Returns:
            Its result. Its memory is held until :meth:`release`.
        """
        step = Step(self._client, self._shell.memory.limits.seconds)
        try:
            return self._run(step)
        finally:
            with self._lock:
                self._step = step
                if self._abandoned:
                    self._free()

    def release(self) -> None:
        """Gives back the memory of the last result."""
        with self._lock:
            self._free()

    def abandon(self) -> None:
        """Gives back all memory, now or as soon as the pipeline that is running ends."""
        with self._lock:
            self._abandoned = True
            self._free()

    def _free(self) -> None:
        if self._step is not None:
            self._step.free()
            self._step = None

    def _run(self, step: Step) -> Output:
        if self._pipelines is None:
            try:
                self._pipelines = deque(parse(self._line))
            except LineError as error:
                self.code, self.finished = 1, True
                return failed(f"/system/bin/sh: {error}")
        done = Output()
        while self._pipelines:
            pipeline = self._pipelines.popleft()
            if (pipeline.after == "&&" and self.code) or (pipeline.after == "||" and not self.code):
                continue
            done = self._shell.pipe(pipeline, self._variables, step)
            self.code, self.exited, self.pause = done.code, done.exited, done.pause
            self._variables["?"] = str(done.code)
            break
        self.finished = self.exited or not self._pipelines
        return done
