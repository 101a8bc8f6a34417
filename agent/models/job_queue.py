"""The queue of calls in front of a shared model: who waits, who comes next, and who has gone meanwhile."""

from __future__ import annotations

import threading
import time
from collections import deque

from homeostat.agent.models.shared_jobs import Job
from homeostat.errors import CallInterrupted

__all__ = ["JobQueue"]

_LEAST_PATIENCE = 0.005  # seconds
_FIRST_SECONDS = 1.0  # what a batch is thought to take before one was seen


class JobQueue:
    """The jobs that wait for one model's thread.

    Attributes:
        rows: The most jobs of one batch.
    """

    def __init__(self, name: str, rows: int, patience: float | None) -> None:
        """Starts an empty queue.

        Args:
            name: The model's name, for error messages.
            rows: The most jobs of one batch.
            patience: How long a batch waits for callers that are at work, as a share of the time of the last batch;
                None where they could join a running batch, so that nobody waits.
        """
        self.rows = rows
        self._name, self._patience = name, patience
        self._changed = threading.Condition()
        self._waiting: deque[Job] = deque()
        self._callers = 0
        self._closed = False
        self._last_rows, self._last_end, self._last_seconds = 0, 0.0, _FIRST_SECONDS

    def __len__(self) -> int:
        """The number of jobs that wait."""
        return len(self._waiting)

    @property
    def closed(self) -> bool:
        """Whether no job is taken any more."""
        return self._closed

    def put(self, job: Job) -> None:
        """Lets a job wait for its turn.

        Args:
            job: The job.

        Raises:
            CallInterrupted: The queue is closed.
        """
        with self._changed:
            if self._closed:
                raise self.closing()
            self._waiting.append(job)
            self._changed.notify_all()

    def take(self) -> list[Job] | None:
        """Waits for jobs, and takes those that run next, in the order in which they came.

        Returns:
            Jobs with rows, which share a batch, or one that runs alone; none if nobody wants them any more. None when
            the queue is closed: every job that waited is told so.
        """
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            self._gather()
            if self._closed:
                for job in self._waiting:
                    job.result.set_exception(self.closing())
                self._waiting.clear()
                return None
            wanted = self._wanted()
            first = list(wanted)[:1]
            if first and first[0].row is not None:
                first = [job for job in wanted if job.row is not None][: self.rows]
            self._waiting = deque(job for job in wanted if job not in first)
            return first

    def join(self, room: int) -> list[Job]:
        """Takes the jobs that may join the present batch: those in front of the first one that can't share it.

        Args:
            room: The most jobs.

        Returns:
            The jobs; none when the queue is closed.
        """
        found: list[Job] = []
        with self._changed:
            if self._closed:
                return found
            self._waiting = self._wanted()
            while len(found) < room and self._waiting and self._waiting[0].row is not None:
                found.append(self._waiting.popleft())
        return found

    def answered(self, jobs: int, seconds: float) -> None:
        """Notes how long a batch took.

        Args:
            jobs: The number of its jobs.
            seconds: How long it took.
        """
        self._last_rows, self._last_end, self._last_seconds = jobs, time.monotonic(), seconds

    def joined(self, callers: int) -> None:
        """Notes how many callers are at work.

        Args:
            callers: 1 for one that begins, -1 for one that ends.
        """
        with self._changed:
            self._callers += callers
            self._changed.notify_all()

    def wake(self) -> None:
        """Lets whoever waits for jobs look again which ones are still wanted."""
        with self._changed:
            self._changed.notify_all()

    def close(self) -> None:
        """Takes no further job."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def closing(self) -> CallInterrupted:
        """Makes the error of a job that is not run any more.

        Returns:
            The error.
        """
        return CallInterrupted(f"{self._name!r} is being closed; ask again later")

    def _gather(self) -> None:
        """Waits a little until those who are at work have asked, where they could not join a running batch."""
        if self._patience is None:
            return
        patience = max(self._last_seconds * self._patience, _LEAST_PATIENCE)
        begin = time.monotonic()
        recent = self._last_rows if begin - self._last_end < patience else 0
        while not self._closed and len(self._waiting) < min(max(self._callers, recent), self.rows):
            left = begin + patience - time.monotonic()
            if left <= 0:
                return
            self._changed.wait(left)

    def _wanted(self) -> deque[Job]:
        """The jobs that wait. Those that nobody wants any more are told so."""
        now, wanted = time.monotonic(), deque[Job]()
        for job in self._waiting:
            if job.gone.is_set():
                job.result.set_exception(CallInterrupted(f"{self._name!r}: the call was cancelled"))
            elif job.deadline is not None and now >= job.deadline:
                late = f"{self._name!r}: the call's time was over before its turn; allow more, or ask again later"
                job.result.set_exception(CallInterrupted(late))
            else:
                wanted.append(job)
        return wanted
