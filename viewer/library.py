"""All runs and evaluations under a folder, kept up to date: what has not changed on disk is not read again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homeostat.envs.harness import Evaluation, Result, read_evaluation
from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, visible
from homeostat.regular_files import open_regular
from homeostat.viewer.found import episodes_among
from homeostat.viewer.reading import TRACE
from homeostat.viewer.scan import RunSummary, scan_run

__all__ = ["FoundEvaluation", "Library"]

_FRESH = 0.7
"""Seconds for which the folder is not looked through again."""
_SHARE = 4
"""So many times as long as looking through the folder takes, it is not looked through again."""
_LARGEST = 256 * 2**20
"""The most bytes of an evaluation's file that is read."""
_TURN = 15.0
"""Seconds after which the list is sent again while a run goes on."""
_HEAD = 4096  # bytes at the beginning of a file, which tell an evaluation from other JSON


@dataclass(frozen=True)
class FoundEvaluation:
    """An evaluation under the folder.

    Attributes:
        name: Its file, relative to the folder.
        path: The file.
        evaluation: Its content; None where it can't be read.
        note: What is wrong with it; "" for nothing.
        modified: When it was last written, in seconds since 1970.
    """

    name: str
    path: Path
    evaluation: Evaluation | None
    note: str
    modified: float


class Library:
    """Finds what lies under a folder. Everything has a short name made of a hash; no path ever comes from outside.

    Attributes:
        root: The folder.
    """

    def __init__(self, root: Path) -> None:
        """Remembers the folder. Nothing is read yet.

        Args:
            root: The folder.
        """
        self.root = root.resolve()
        self._lock = threading.Lock()
        self._looked = self._took = 0.0
        self._summed: tuple[float, dict[str, RunSummary]] = (-1.0, {})
        self._runs: dict[str, Path] = {}
        self._evaluations: dict[str, Path] = {}
        self._seen: dict[Path, tuple[tuple[int, int], Any]] = {}

    @property
    def version(self) -> str:
        """A text that changes whenever a run or an evaluation under the folder does."""
        self._look()
        found = hashlib.sha256()
        for name, path in (*self._runs.items(), *self._evaluations.items()):
            found.update(f"{name}{_stamp(path)}".encode())
        if any(one.ended == "running" for one in self.runs().values()):
            found.update(str(int(time.time() / _TURN)).encode())  # a run may count as interrupted meanwhile
        return found.hexdigest()[:24]

    def runs(self) -> dict[str, RunSummary]:
        """Returns the summary of every run, by its name."""
        self._look()
        looked = self._looked
        if self._summed[0] != looked:
            found = {name: self._read(path, lambda p: scan_run(p.parent)) for name, path in self._runs.items()}
            self._summed = (looked, found)
        return self._summed[1]

    def run_folder(self, name: str) -> Path | None:
        """Finds a run's folder.

        Args:
            name: The run's name.

        Returns:
            The folder; None where there is no such run.
        """
        self._look()
        path = self._runs.get(name)
        return None if path is None else path.parent

    def name_of(self, folder: Path) -> str:
        """Names a run, also one that does not exist yet.

        Args:
            folder: The run's folder.

        Returns:
            Its name.
        """
        return _name(folder / TRACE, self.root)

    def evaluations(self) -> dict[str, FoundEvaluation]:
        """Returns every evaluation, by its name."""
        self._look()
        return {name: self._read(path, self._evaluation) for name, path in self._evaluations.items()}

    def episodes(self, evaluation: Evaluation) -> dict[int, str]:
        """Finds the runs of an evaluation's episodes.

        Args:
            evaluation: The evaluation.

        Returns:
            By the episode's index, its run's name.
        """
        self._look()
        folders = {path.parent: name for name, path in self._runs.items()}
        return {index: folders[path] for index, path in episodes_among(evaluation.results, folders).items()}

    def _look(self) -> None:
        """Looks through the folder, unless that was done just now."""
        with self._lock:
            began = time.monotonic()
            if began - self._looked < max(_FRESH, _SHARE * self._took):
                return
            runs, files = [], []
            for folder, inner, names in os.walk(self.root):
                where = Path(folder)
                if TRACE in names:
                    inner.clear()
                    runs.append(where / TRACE)
                else:
                    files += [where / name for name in names if name.endswith((".json", ".jsonl"))]
            self._runs = {_name(path, self.root): path for path in sorted(runs) if self._inside(path)}
            found = [path for path in sorted(files) if self._inside(path) and self._read(path, _is_evaluation, "kind")]
            whole = {path.with_suffix("") for path in found if path.suffix == ".json"}
            # The journal of an evaluation counts as long as there is no result.
            kept = (path for path in found if path.suffix == ".json" or path.with_suffix("") not in whole)
            self._evaluations = {_name(path, self.root): path for path in kept}
            self._looked = time.monotonic()
            self._took = self._looked - began

    def _inside(self, path: Path) -> bool:
        """Whether a file lies in the folder, links resolved. Only the file itself can be a link."""
        try:
            return not path.is_symlink() or path.resolve().is_relative_to(self.root)
        except (OSError, RuntimeError):  # links that lead to each other
            return False

    def _read(self, path: Path, read: Callable[[Path], Any], what: str = "") -> Any:
        """What was read of a file, from memory if the file has not changed."""
        stamp = _stamp(path)
        key = path / what if what else path
        held = self._seen.get(key)
        if held is None or held[0] != stamp or _may_have_ended(held[1]):
            held = self._seen[key] = (stamp, read(path))
        return held[1]

    def _evaluation(self, path: Path) -> FoundEvaluation:
        name = visible(clipped(str(path.relative_to(self.root)), 200))
        size, modified = _stamp(path)
        try:
            if size > _LARGEST:
                raise ConfigError(f"it is huge ({size // 2**20} MiB)")
            if path.suffix == ".jsonl":
                return FoundEvaluation(name, path, _journal(path), "It has not ended.", modified / 1e9)
            return FoundEvaluation(name, path, read_evaluation(path), "", modified / 1e9)
        except ConfigError as error:
            return FoundEvaluation(name, path, None, visible(clipped(str(error), 300)), modified / 1e9)


def _may_have_ended(value: Any) -> bool:
    """Whether a run counts as running only because its trace was written lately."""
    return isinstance(value, RunSummary) and value.ended == "running"


def _name(path: Path, root: Path) -> str:
    return hashlib.sha256(str(path.relative_to(root)).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _stamp(path: Path) -> tuple[int, int]:
    """A file's size and the time of its last change, in nanoseconds; zeros where it is gone."""
    try:
        stat = path.stat()
    except OSError:
        return 0, 0
    return stat.st_size, stat.st_mtime_ns


def _journal(path: Path) -> Evaluation:
    """The episodes of an evaluation so far; lines that are none are left out."""
    try:
        first, *lines = path.read_bytes().split(b"\n")
        arguments = dict(json.loads(first)["arguments"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        raise ConfigError("its first line holds no arguments") from None
    results = []
    for line in lines:
        with suppress(ValidationError):
            results.append(Result.model_validate_json(line))
    return Evaluation(arguments, tuple(results))


def _is_evaluation(path: Path) -> bool:
    """Whether a file begins as ``homeostat eval --json`` writes it, or its journal."""
    try:
        with open_regular(path) as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return head.lstrip(b"{ \n\r\t").startswith(b'"arguments"')
