"""Threads that run the clients' commands, shared out fairly.

A client that has many commands waiting gets no more turns than a client that has one: the clients take turns, and each
has a largest number of threads at once.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from homeostat.envs.adb.limits import Account, Limits

__all__ = ["Workers"]

T = TypeVar("T")


class Workers:
    """The threads of one daemon. Its methods are called on the daemon's loop."""

    def __init__(self, limits: Limits) -> None:
        """Creates the threads' pool. A thread starts when it is first needed.

        Args:
            limits: The number of threads, and how many of them one client gets.
        """
        self._pool = ThreadPoolExecutor(limits.workers, thread_name_prefix="phone-daemon")
        self._most = limits.client_workers
        self._idle = limits.workers
        self._running: Counter[Account] = Counter()
        self._waiting: dict[Account, deque[asyncio.Future[None]]] = {}  # in the order of their next turns

    async def run(self, client: Account, work: Callable[[], T]) -> T:
        """Waits for the client's turn, then runs a function in a thread.

        Args:
            client: The client.
            work: The function. It goes on to its end even if the caller is cancelled.

        Returns:
            The function's result.
        """
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(client, deque()).append(turn)
        self._share_out()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._give_back(client)
            raise
        job = asyncio.get_running_loop().run_in_executor(self._pool, work)
        job.add_done_callback(lambda _: self._give_back(client))
        return await asyncio.shield(job)

    def close(self) -> None:
        """Waits for the threads to end. It blocks, and is called on another thread."""
        self._pool.shutdown()

    def _give_back(self, client: Account) -> None:
        self._idle += 1
        self._running[client] -= 1
        if not self._running[client]:
            del self._running[client]
        self._share_out()

    def _share_out(self) -> None:
        """Gives idle threads to the clients that wait, the one whose last turn is longest ago first."""
        while self._idle:
            client = next((c for c in self._waiting if self._running[c] < self._most), None)
            if client is None:
                return
            turns = self._waiting.pop(client)
            turn = turns.popleft()
            if turns:
                self._waiting[client] = turns  # at the end
            if not turn.done():  # else its caller was cancelled
                self._idle -= 1
                self._running[client] += 1
                turn.set_result(None)
