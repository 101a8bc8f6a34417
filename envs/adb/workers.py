"""Threads that run the clients' commands, shared out fairly.

Python runs one thread at a time, so many busy threads slow every command down. Therefore few commands run at once, and
the client that used least of late comes first. A command that takes long must not hold up a client that asks for
little: clients that used little of late may start beyond that number, a few at a time.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from weakref import WeakKeyDictionary

from homeostat.envs.adb.limits import Account, Limits

__all__ = ["Workers"]

T = TypeVar("T")

_FEW = 3  # commands that run at once; beyond it a client must have used little, and few may be young
_MOST_YOUNG = 4
_YOUNG = 0.1  # seconds for which a command is young
_LITTLE = 0.05  # seconds of processor time
_MEMORY = 5.0  # seconds after which e⁻¹ of a client's use still counts


class Workers:
    """The threads of one daemon. Its methods are called on the daemon's loop."""

    def __init__(self, limits: Limits) -> None:
        """Creates the threads' pool. A thread starts when it is first needed.

        Args:
            limits: The number of threads, and how many of them one client gets.
        """
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="phone-daemon")
        self._limits = limits
        self._young = 0
        self._running: Counter[Account] = Counter()
        self._waiting: dict[Account, deque[asyncio.Future[None]]] = {}  # in the order of their next turns
        # The logarithm of a client's use, plus the time at which it was that much in units of _MEMORY. All uses fade at
        # the same rate, so this number orders the clients by their use at any later time.
        self._rank: WeakKeyDictionary[Account, float] = WeakKeyDictionary()

    async def run(self, client: Account, work: Callable[[], T]) -> T:
        """Waits for the client's turn, then runs a function in a thread.

        Args:
            client: The client.
            work: The function. It goes on to its end even if the caller is cancelled.

        Returns:
            The function's result.
        """
        loop = asyncio.get_running_loop()
        turn = loop.create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._share_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._ended(client, 0.0)
                self._grown()
            raise

        def timed() -> tuple[T, float]:
            start = time.thread_time()
            return work(), time.thread_time() - start

        loop.call_later(_YOUNG, self._grown)
        job = loop.run_in_executor(self._pool, timed)
        job.add_done_callback(lambda _: self._ended(client, 0.0 if job.exception() else job.result()[1]))
        return (await asyncio.shield(job))[0]

    def close(self) -> None:
        """Waits for the threads to end. It blocks, and is called on another thread."""
        self._pool.shutdown()

    def _grown(self) -> None:
        self._young -= 1
        self._share_out()

    def _ended(self, client: Account, seconds: float) -> None:
        self._rank[client] = math.log(self._use(client) + seconds + 1e-9) + time.monotonic() / _MEMORY
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._share_out()

    def _use(self, client: Account) -> float:
        """The processor time that a client used of late, in seconds."""
        return math.exp(self._rank.get(client, -math.inf) - time.monotonic() / _MEMORY)

    def _share_out(self) -> None:
        """Lets the waiting clients start, the one that used least first."""
        most, limits = self._limits.client_workers, self._limits
        while self._waiting and (running := self._running.total()) < limits.workers:
            crowded = running >= _FEW
            if crowded and self._young >= _MOST_YOUNG:
                return
            able = [c for c in self._waiting if self._running[c] < (1 if crowded else most)]
            if not able:
                return
            client = min(able, key=lambda c: self._rank.get(c, -math.inf))  # the first of several equal ones
            if crowded and self._use(client) > _LITTLE:
                return
            turns = self._waiting.pop(client)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns  # at the end
            if not turn.done():  # else its caller was cancelled
                self._young += 1
                self._running[client] += 1
                turn.set_result(None)
