"""How much a client may use: connections, streams, workers, memory and time.

Every byte that the daemon holds for a client is taken from the client's account before it is allocated. An account has
a small amount of memory of its own, which is always there, and beyond it draws from memory that all clients share.
Therefore a client that occupies the shared memory can't keep others from running ordinary commands.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

__all__ = ["Account", "Limits", "Memory", "OutOfMemory", "Step", "TimeIsUp"]

_MB = 2**20


@dataclass(frozen=True)
class Limits:
    """The limits of a daemon.

    Attributes:
        clients: The largest number of connections after the handshake. As many again may be in the handshake.
        streams: The largest number of streams that are open at once on one connection.
        workers: The number of threads that run commands.
        client_workers: The largest number of threads that run one client's commands at once.
        own_memory: The bytes that a client can always use.
        client_memory: The bytes that a client can use of the shared memory.
        shared_memory: The bytes that all clients together can use beyond their own memory.
        seconds: The time that the commands of one pipeline may take, in seconds. ``sleep`` does not count.
        patience: The time that a client may take to accept sent bytes, in seconds.
    """

    clients: int = 64
    streams: int = 64
    workers: int = 32
    client_workers: int = 3
    own_memory: int = _MB
    client_memory: int = 64 * _MB
    shared_memory: int = 128 * _MB
    seconds: float = 5.0
    patience: float = 120.0


class OutOfMemory(OSError):
    """A client's account is exhausted."""


class TimeIsUp(Exception):
    """A pipeline has used its time."""


class Memory:
    """The memory that all clients share.

    Attributes:
        limits: The limits.
        shared: The bytes of the shared memory that are in use.
    """

    def __init__(self, limits: Limits) -> None:
        """Creates the memory, all of it free.

        Args:
            limits: The limits.
        """
        self.limits = limits
        self.shared = 0
        self.lock = threading.Lock()


class Account:
    """The memory of one client. Several threads may use it.

    Attributes:
        held: The bytes in use.
    """

    def __init__(self, memory: Memory) -> None:
        """Opens an account.

        Args:
            memory: The memory that it draws from.
        """
        self._memory = memory
        self.held = 0

    def take(self, count: int) -> None:
        """Takes memory.

        Args:
            count: How many bytes.

        Raises:
            OutOfMemory: The client or all clients together would use too much. Nothing was taken.
        """
        memory, limits = self._memory, self._memory.limits
        with memory.lock:
            before, after = (max(0, held - limits.own_memory) for held in (self.held, self.held + count))
            if after > limits.client_memory or memory.shared + after - before > limits.shared_memory:
                raise OutOfMemory("Out of memory")
            memory.shared += after - before
            self.held += count

    def free(self, count: int) -> None:
        """Gives memory back.

        Args:
            count: How many bytes.
        """
        memory, own = self._memory, self._memory.limits.own_memory
        with memory.lock:
            memory.shared -= max(0, self.held - own) - max(0, self.held - count - own)
            self.held -= count


class Step:
    """What one pipeline uses: its time, and the memory of its output."""

    def __init__(self, account: Account, seconds: float) -> None:
        """Starts the clock.

        Args:
            account: The client's account.
            seconds: The time that the pipeline may take, in seconds.
        """
        self._account = account
        self._end = time.monotonic() + seconds
        self._taken = 0

    def check(self) -> None:
        """Raises ``TimeIsUp`` if the pipeline has used its time. Commands call it in every loop."""
        if time.monotonic() > self._end:
            raise TimeIsUp

    def take(self, count: int) -> None:
        """Takes memory for the pipeline.

        Args:
            count: How many bytes.

        Raises:
            OutOfMemory: There is not enough.
        """
        self._account.take(count)
        self._taken += count

    def cover(self, count: int) -> None:
        """Takes what is missing to a number of bytes.

        Args:
            count: How many bytes the pipeline must hold.

        Raises:
            OutOfMemory: There is not enough.
        """
        self.take(max(0, count - self._taken))

    def free(self) -> None:
        """Gives all memory of the pipeline back."""
        self._account.free(self._taken)
        self._taken = 0
