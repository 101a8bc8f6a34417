"""``Run``: the handle of one running episode."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Self

from homeostat.agent.events import Event
from homeostat.agent.loop.episode import Episode
from homeostat.errors import ConfigError

__all__ = ["Run"]


class Run:
    """One running episode: iterate it for its events, or ask for its result.

        run = agent.start("turn on the wifi", env)
        for event in run:       # optional: the events while they happen
            print(event)
        episode = run.result    # runs to the end if that has not happened yet

    The episode advances only while the run is iterated or its result is waited for. The last event is always a
    ``Finish``, also where the episode pauses (``ended="paused"``) or waits for an answer (``ended="asked"``). A resumed
    episode that had ended before has no events.

    In an asynchronous application, ``async for event in run`` and ``await run`` do the same. All work happens in a
    thread of the run's own, so the event loop stays free. Only one consumer may use a run at a time.

    Attributes:
        folder: The run's folder; None without one.
    """

    def __init__(self, items: Generator[Event | Episode], folder: Path | None) -> None:
        """Wraps an episode's stream. :meth:`Agent.start` and :meth:`Agent.resume` make runs.

        Args:
            items: The events, and last the episode.
            folder: The run's folder; None without one.
        """
        self.folder = folder
        self._items = items
        self._episode: Episode | None = None
        self._error: BaseException | None = None
        self._thread: ThreadPoolExecutor | None = None
        self._context: contextvars.Context | None = None

    @property
    def result(self) -> Episode:
        """The episode. Runs to its end, its question or its pause if that has not happened yet.

        Raises:
            HomeostatError: The run failed, now or before.
            ConfigError: The run was closed before its end.
        """
        for _ in self:
            pass
        return self._finished()

    @property
    def done(self) -> bool:
        """Whether the run has a result."""
        return self._episode is not None

    def close(self) -> None:
        """Stops the run where it is and releases its files. With a folder it can be resumed."""
        self._items.close()
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None

    def __iter__(self) -> Iterator[Event]:
        """The events that are still to come."""
        while (event := self._next()) is not None:
            yield event

    def __enter__(self) -> Self:
        """The run itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the run."""
        self.close()

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events that are still to come, produced in the run's own thread."""
        while (event := await self._next_async()) is not None:
            yield event

    def __await__(self) -> Generator[object, None, Episode]:
        """The result, computed in the run's own thread."""
        return self._await_result().__await__()

    async def _await_result(self) -> Episode:
        async for _ in self:
            pass
        return self._finished()

    async def _next_async(self) -> Event | None:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="homeostat-run")
        if self._context is None:
            self._context = contextvars.copy_context()  # of the first step, as the caller's spans are found in it
        event = await asyncio.get_running_loop().run_in_executor(self._thread, self._context.run, self._next)
        if event is None and self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = None
        return event

    def _next(self) -> Event | None:
        """The next event; None where there is none."""
        if self._error is not None:
            raise self._error
        try:
            for item in self._items:
                if isinstance(item, Episode):
                    self._episode = item
                else:
                    return item
        except Exception as error:
            self._error = error
            raise
        return None

    def _finished(self) -> Episode:
        if self._episode is None:
            raise ConfigError("the run was closed before its end; resume it from its folder, or start it again")
        return self._episode
