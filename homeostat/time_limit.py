"""Ends Python code that runs for too long in the present thread, such as the endless loop of a chat template.

CPython can raise an exception in a running thread between two of its instructions (``PyThreadState_SetAsyncExc``). That
ends any loop that is written in Python, in every thread. It does not end one long call into C, and it does not bound
memory: a template that doubles a text thirty times fills a gigabyte within a second. Only a process of its own with
resource limits could do that.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["time_limit"]


class _Late(BaseException):
    """Not an ``Exception``, so that the code that is ended does not catch it."""


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
    thread, lock = threading.get_ident(), threading.Lock()
    done = fired = False

    def fire() -> None:
        nonlocal fired
        with lock:
            if not done:
                fired = True
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(_Late))

    timer = threading.Timer(seconds, fire)
    timer.daemon = True
    try:
        timer.start()  # a very short time may be over before this returns
        try:
            yield
        except _Late:
            fired = False  # it has arrived
            raise
        finally:
            with lock:
                done = True
            timer.cancel()
            while fired:  # it is on its way to this thread and must not reach anybody else
                time.sleep(0.001)
    except _Late:
        raise error from None
