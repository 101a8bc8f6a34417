"""Finds runs under a folder, and which of them are the episodes of an evaluation."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from homeostat.envs.harness import Result
from homeostat.regular_files import open_regular
from homeostat.viewer.reading import TRACE

__all__ = ["ends_of", "episodes_among", "run_folders"]

_LINE = 2**20
"""The most bytes of a trace's first and of its last line that are read."""


def run_folders(root: Path) -> Iterator[Path]:
    """Finds the folders of runs.

    Args:
        root: Where to look. Links to folders are not followed, and nothing is looked for inside a run's folder.

    Yields:
        The folders, in alphabetical order.
    """
    for folder, inner, names in os.walk(root):
        if TRACE in names:
            inner.clear()
            yield Path(folder)
        inner.sort()


def ends_of(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads the first and the last event of a run, without what lies between.

    Args:
        folder: The run's folder.

    Returns:
        Both events as plain data; an empty mapping for one that can't be read.
    """
    try:
        with open_regular(folder / TRACE) as file:
            first = file.readline(_LINE)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _LINE, 0))
            last = file.read(_LINE).rstrip(b"\n").rpartition(b"\n")[2]
    except OSError:
        return {}, {}
    return _event(first, "start"), _event(last, "finish")


def _event(line: bytes, kind: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) and found.get("kind") == kind else {}


def episodes_among(results: Sequence[Result], folders: Iterable[Path]) -> dict[int, Path]:
    """Finds the runs of an evaluation's episodes.

    A run belongs to an episode if task, seed, steps and tokens are equal; among several such runs, the one whose
    duration is nearest. Episodes without an end (an error, or a limit of the harness) are then found by the name that
    ``eval --traces`` gave their folder, beside those that were found before.

    Args:
        results: The episodes.
        folders: The folders of runs.

    Returns:
        By the episode's index, its run's folder.
    """
    folders = dict.fromkeys(folders)
    known = {(result.task, result.seed, result.steps, result.tokens): result for result in results}
    found: dict[int, Path] = {}
    apart: dict[int, float] = {}
    for folder in folders:
        start, finish = ends_of(folder)
        try:
            key = (start["task"]["name"], start["seed"], finish["steps"], finish["tokens"])
            result, seconds = known[key], float(finish["seconds"])
        except (KeyError, TypeError, ValueError):
            continue
        difference = abs(result.seconds - seconds)
        if difference < apart.get(result.index, math.inf):
            found[result.index], apart[result.index] = folder, difference
    for parent in {folder.parent for folder in found.values()}:
        for result in results:
            folder = parent / f"{result.index:05d}-{result.task}-{result.seed}"
            if result.index not in found and folder in folders:  # a task's name may be a path to elsewhere
                found[result.index] = folder
    return found
