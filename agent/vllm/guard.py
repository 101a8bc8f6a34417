"""Ends the engine's processes when this process has ended, however it did: by a signal that nobody handles, too."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from collections.abc import Iterable

__all__ = ["Guard", "children"]

_CODE = """
import os, signal, sys, time
sys.stdin.read()
for way, seconds in ((signal.SIGTERM, 15), (signal.SIGKILL, 0)):
    for process in map(int, sys.argv[1:]):
        try:
            os.kill(process, way)
        except OSError:
            pass
    time.sleep(seconds)
"""
"""The guard reads until its input ends, which happens when the process that holds the other end has ended. The engine's
workers end with the engine's own process."""


def children() -> frozenset[int]:
    """Returns the processes that this one has started with multiprocessing and that are running."""
    return frozenset(child.pid for child in multiprocessing.active_children() if child.pid is not None)


class Guard:
    """A small process that outlives this one, and then ends others."""

    def __init__(self, processes: Iterable[int]) -> None:
        """Begins to guard.

        Args:
            processes: The processes that have to end with this one.
        """
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _CODE, *map(str, processes)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def dismiss(self) -> None:
        """Ends the guard, because the processes have ended."""
        self._guard.kill()
        self._guard.communicate()
