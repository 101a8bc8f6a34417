"""The journal of a run: a file with one line per finished episode, so that an interrupted run loses nothing.

A rerun with the same arguments takes the journal's episodes as done, by their index, and plays only the others. With
several workers the lines are in the order in which the episodes ended.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pydantic import ValidationError

from homeostat.data_files import StrPath, parse_json
from homeostat.envs.harness.results import Result
from homeostat.envs.harness.runner import Case
from homeostat.errors import ConfigError, TraceError
from homeostat.foreign_text import clipped, quoted, visible

__all__ = ["Journal"]


class Journal:
    """A JSON-lines file: a first line with the run's arguments, then one :class:`Result` per line.

    Every line is on disk before :meth:`add` returns. A last line that was cut off while it was written is dropped.

    Attributes:
        path: The file.
        results: The episodes so far, by their index.
        begun: When the run began, in whichever process that was.
    """

    def __init__(self, path: StrPath, arguments: Mapping[str, Any]) -> None:
        """Opens or creates the file.

        Args:
            path: The file.
            arguments: What the run is started with. They must be what the file was begun with.

        Raises:
            ConfigError: The file was begun with other arguments, is used by another run, or can't be written.
            TraceError: A line is damaged. The message names the file and the line.
        """
        self.path = path = Path(path)
        self.results: dict[int, Result] = {}
        self.begun = datetime.now(UTC)
        head = json.dumps({"arguments": dict(arguments), "begun": self.begun.isoformat(timespec="seconds")})
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b", buffering=0)
        except OSError as error:
            raise ConfigError(f"can't write {str(path)!r}: {error.strerror}; give another --json") from None
        try:
            _lock(self._file, path)
            self._file.seek(0)
            lines = self._file.read().split(b"\n")
            if len(lines) > 1:
                self._read(lines[:-1], json.loads(head)["arguments"])
                self._file.truncate(sum(len(line) + 1 for line in lines[:-1]))
            else:
                self._file.truncate(0)
                self._write(head.encode())
        except BaseException:
            self._file.close()
            raise

    def add(self, result: Result) -> None:
        """Appends one episode.

        Args:
            result: The episode.

        Raises:
            ConfigError: The file holds an episode with this index, or can't be written.
        """
        if result.index in self.results:
            raise ConfigError(f"episode {result.index!r} is in {str(self.path)!r} already; play it once")
        self._write(_line(result))
        self.results[result.index] = result

    def done(self, cases: Sequence[Case]) -> dict[int, Result]:
        """Returns those of the cases that the file holds.

        Args:
            cases: The episodes of the run, in order.

        Returns:
            The results by their index.

        Raises:
            ConfigError: The file holds another episode under an index.
        """
        found = {index: r for index, r in sorted(self.results.items()) if index < len(cases)}
        for index, result in found.items():
            case = cases[index]
            if (result.task, result.seed) != (case.task, case.seed):
                raise ConfigError(
                    f"{str(self.path)!r} holds {result.task!r} with seed {result.seed} as episode {index}, not "
                    f"{case.task!r} with {case.seed}; delete it, or give another --json"
                )
        return found

    def close(self) -> None:
        """Closes the file, which another run can use then."""
        self._file.close()

    def _write(self, line: bytes) -> None:
        start = self._file.seek(0, os.SEEK_END)
        try:
            left = memoryview(line + b"\n")
            while left:
                left = left[self._file.write(left) or 0 :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with suppress(OSError):
                self._file.truncate(start)  # a part of a line would spoil the next one
            raise ConfigError(
                f"can't write {str(self.path)!r}: {error.strerror}; free some disk space and rerun"
            ) from None

    def _read(self, lines: Sequence[bytes], arguments: Mapping[str, Any]) -> None:
        try:
            first = parse_json(lines[0])
            before = first["arguments"]
            self.begun = datetime.fromisoformat(first["begun"]) if "begun" in first else self.begun
            changed = sorted(k for k in {*before, *arguments} if before.get(k) != arguments.get(k))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise TraceError(
                f"{self.path}:1: the line holds no arguments; delete the file, or give another --json"
            ) from None
        if changed:
            name = changed[0]
            raise ConfigError(
                f"{str(self.path)!r} was begun with {clipped(visible(name), 80)}={quoted(before.get(name))}, "
                f"not {quoted(arguments.get(name))}; delete it, or give another --json"
            )
        for number, line in enumerate(lines[1:], start=2):
            try:
                result = Result.model_validate_json(line)
            except ValidationError as error:
                problem = clipped(visible(error.errors(include_input=False)[0]["msg"]), 120)
                raise TraceError(
                    f"{self.path}:{number}: the line holds no episode: {problem}; delete it and rerun"
                ) from None
            if result.index in self.results:
                raise TraceError(
                    f"{self.path}:{number}: the file holds episode {result.index} twice; delete one of the lines"
                )
            self.results[result.index] = result


def _line(result: Result) -> bytes:
    """One line of the file, which can be read again: pydantic writes NaN as null."""
    line = result.model_dump_json()
    try:
        Result.model_validate_json(line)
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
        raise ConfigError(f"episode {result.index} can't be kept: {where} is no finite number") from None
    return line.encode()


def _lock(file: IO[bytes], path: Path) -> None:
    """Locks the file, because two runs on one file would play every episode twice. Windows has no such lock."""
    try:
        import fcntl
    except ImportError:
        return
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise ConfigError(f"{str(path)!r} is in use by another run; wait for it, or give another --json") from None
