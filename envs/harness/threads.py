"""Plays several episodes at once in this process: a thread for each, and one model for all."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence

from homeostat.envs.harness.results import Result
from homeostat.envs.harness.runner import Case, Runner, RunnerSpec, Sharing, attempt
from homeostat.errors import ConfigError

__all__ = ["run_in_threads", "shared_runners"]


def run_in_threads(spec: RunnerSpec, jobs: Sequence[tuple[int, Case]], batch: int) -> Iterator[Result]:
    """Plays episodes in threads and yields their results as they end.

    Args:
        spec: How to build the runner.
        jobs: (index, case) of each episode.
        batch: The most episodes at a time.

    Yields:
        The results.

    Raises:
        ConfigError: The runner plays one episode after the other.
    """
    runner = spec.build()
    waiting, ended = deque(jobs), queue.SimpleQueue[Result | BaseException | None]()
    threads: list[threading.Thread] = []
    try:
        make = shared_runners(runner, min(batch, len(jobs)))
        for number in range(min(batch, len(jobs))):
            thread = threading.Thread(
                target=_play, args=(make, waiting, ended), name=f"homeostat-{number}", daemon=True
            )
            threads.append(thread)
            thread.start()
        playing = len(threads)
        while playing:
            one = ended.get()
            if one is None:
                playing -= 1
            elif isinstance(one, Result):
                yield one
            else:
                raise one
    finally:
        waiting.clear()
        runner.close()
        for thread in threads:
            thread.join(5)


def shared_runners(runner: Runner, batch: int) -> Callable[[], Runner]:
    """Asks a runner to play several episodes at once.

    Args:
        runner: The runner.
        batch: The most episodes at a time.

    Returns:
        A function that makes a runner for one thread.

    Raises:
        ConfigError: The runner plays one episode after the other.
    """
    if not isinstance(runner, Sharing):
        raise ConfigError(f"batch {batch}: {type(runner).__name__} plays one episode after the other; leave it out")
    return runner.share(batch)


def _play(
    make: Callable[[], Runner],
    waiting: deque[tuple[int, Case]],
    ended: queue.SimpleQueue[Result | BaseException | None],
) -> None:
    """Plays what waits, until nothing does."""
    try:
        runner = make()
        try:
            while True:
                try:
                    index, case = waiting.popleft()
                except IndexError:
                    break
                ended.put(attempt(runner, index, case))
        finally:
            runner.close()
    except BaseException as error:  # handed to the thread that waits, whatever it is
        ended.put(error)
    ended.put(None)
