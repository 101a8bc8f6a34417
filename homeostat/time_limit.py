"""Ends Python code that runs for too long in the present thread, such as the endless loop of a chat template.

CPython can raise an exception in a running thread between two of its instructions (``PyThreadState_SetAsyncExc``). That
ends any loop that is written in Python, in every thread. It does not end one long call into C, and it does not bound
memory: a template that doubles a text thirty times fills a gigabyte within a second. Only a process of its own with
resource limits could do that.
"""

from __future__ import annotations

import ctypes
import heapq
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

__all__ = ["time_limit"]


class _Late(BaseException):
    """Not an ``Exception``, so that the code that is ended does not catch it."""


@dataclass(order=True)
class _Limit:
    """One thread's limit."""

    at: float
    thread: int = field(compare=False)
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False)
    done: bool = field(default=False, compare=False)
    fired: bool = field(default=False, compare=False)

    def fire(self) -> None:
        """Raises the exception in the thread, unless it has left already."""
        with self.lock:
            if not self.done:
                self.fired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.thread), ctypes.py_object(_Late))


class _Watchdog:
    """One thread that watches all limits. A thread for each would cost a millisecond or more to start."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._limits: list[_Limit] = []
        self._thread: threading.Thread | None = None

    def watch(self, limit: _Limit) -> None:
        """Fires a limit when its time is over. One that is done by then stays in the list until then."""
        with self._changed:
            heapq.heappush(self._limits, limit)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="homeostat-time-limit", daemon=True)
                self._thread.start()
            elif self._limits[0] is limit:
                self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._limits:
                    self._changed.wait()
                left = self._limits[0].at - time.monotonic()
                if left > 0:
                    self._changed.wait(left)
                    continue
                limit = heapq.heappop(self._limits)
            limit.fire()


_WATCHDOG = _Watchdog()


def _after_fork() -> None:
    global _WATCHDOG
    _WATCHDOG = _Watchdog()


os.register_at_fork(after_in_child=_after_fork)


@contextmanager
def time_limit(seconds: float, error: Exception) -> Iterator[None]:
    """Within it, code that runs for too long is ended.

    Args:
        seconds: The most seconds.
        error: What is raised then.

    Yields:
        Nothing.

    Raises:
        Exception: ``error``, where the code took longer.
    """
    limit = _Limit(time.monotonic() + seconds, threading.get_ident())
    try:
        _WATCHDOG.watch(limit)  # a very short time may be over before this returns
        try:
            yield
        except _Late:
            limit.fired = False  # it has arrived
            raise
        finally:
            with limit.lock:
                limit.done = True
            while limit.fired:  # it is on its way to this thread and must not reach anybody else
                time.sleep(0.001)
    except _Late:
        raise error from None
