"""Turns on one machine: several models that must not run at the same time, in the order in which they asked."""

from __future__ import annotations

import threading
from collections import deque

__all__ = ["Turns"]


class Turns:
    """A fair lock. Two models at once would wait for each other's threads, and need the memory of both.

    Use it in a ``with`` block.
    """

    def __init__(self) -> None:
        """Begins with nobody's turn."""
        self._changed = threading.Condition()
        self._queue: deque[object] = deque()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits for the present turn to end."""
        return len(self._queue) > 1

    def __enter__(self) -> Turns:
        """Waits for the caller's turn."""
        ticket = object()
        with self._changed:
            self._queue.append(ticket)
            while self._queue[0] is not ticket:
                self._changed.wait()
        return self

    def __exit__(self, *raised: object) -> None:
        """Ends the turn."""
        with self._changed:
            self._queue.popleft()
            self._changed.notify_all()
