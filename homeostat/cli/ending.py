"""Ends a command in time once a signal has asked it to end, whatever it is doing.

The loop stops at its next node, abandons a hung environment and interrupts the model. Code that none of this reaches (a
model in plain Python, a prompt for input, a library that waits) would go on for ever. A thread of its own learns of the
signal from a pipe that Python's signal machinery writes to, also while the main thread is inside such a call, and ends
the process. Nothing is lost by that: everything before the present call is on disk.

A command that was asked to end leaves the process without Python's own clean-up, which takes seconds once torch is
loaded. A call that holds Python's global lock all the time can't be ended this way; SIGKILL can.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

__all__ = ["Ending", "ends_in_time", "terminate_like_ctrl_c"]

_MARGIN = 4.0
"""Seconds behind the loop's own grace after which the process is ended."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass
class Ending:
    """How a command was asked to end.

    Attributes:
        signal: The first signal that asked for it; None so far.
        result: The exit status of a command that came to its own end; None so far.
    """

    signal: signal.Signals | None = None
    result: int | None = None

    @property
    def interrupted(self) -> int:
        """The exit status of an interrupted command: 128 and the number of the signal, by default that of Ctrl-C."""
        return 128 + (self.signal or signal.SIGINT)


@contextmanager
def ends_in_time(seconds: float | None = None) -> Iterator[Ending]:
    """Within it, a process that was asked to end by Ctrl-C or SIGTERM is ended after a while, whatever it is doing.

    Once a signal has come this holds behind the block too, until the process ends. It only works in the main thread;
    elsewhere it does nothing.

    Args:
        seconds: How long after the signal; None takes the loop's own grace and 4 s more.

    Yields:
        The signal that has come, if any.
    """
    from homeostat.agent.loop.env_calls import GRACE

    ending = Ending()
    if threading.current_thread() is not threading.main_thread():
        yield ending
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    after = GRACE + _MARGIN if seconds is None else seconds
    watch = threading.Thread(target=_watch, args=(reader, after, ending), name="homeostat-ending", daemon=True)
    watch.start()
    try:
        yield ending
    finally:
        signal.set_wakeup_fd(before)
        if ending.signal is not None:
            atexit.register(_leave, ending)
        else:
            os.close(writer)  # the thread reads the end of the pipe
            watch.join()
            os.close(reader)


@contextmanager
def terminate_like_ctrl_c() -> Iterator[None]:
    """Within it, SIGTERM raises ``KeyboardInterrupt`` as Ctrl-C does, so that the command can say where it stopped."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _watch(reader: int, seconds: float, ending: Ending) -> None:
    """Waits for a signal and then for the end of the block, and ends the process if that does not come in time."""
    until: float | None = None
    while True:
        left = None if until is None else max(until - time.monotonic(), 0.0)
        ready, _, _ = select.select([reader], [], [], left)
        if not ready:
            _end_process(ending, seconds)
        numbers = os.read(reader, 64)
        if not numbers:
            return
        come = [signal.Signals(number) for number in numbers if number in _SIGNALS]
        if come and until is None:
            ending.signal, until = come[0], time.monotonic() + seconds


def _leave(ending: Ending) -> None:
    """Ends the process once everything is written and said."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(ending.interrupted if ending.result is None else ending.result)


def _end_process(ending: Ending, seconds: float) -> None:
    """Ends the process without waiting for anything."""
    name = ending.signal.name if ending.signal is not None else "a signal"
    cursor = "\033[?25h" if sys.stderr.isatty() else ""  # a live drawing has hidden it
    line = f"{cursor}homeostat: ended {seconds:g} s after {name}; everything before the present call is saved\n"
    os.write(2, line.encode())
    os._exit(ending.interrupted)
