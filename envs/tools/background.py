"""One event loop in a thread of its own, for asynchronous tools and the connections that they keep open.

The thread is a daemon: a tool that hangs does not keep the process from ending.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from threading import Lock, Thread
from typing import Any, TypeVar

__all__ = ["begin", "result_of", "wait_for"]

_T = TypeVar("_T")
_LOCK = Lock()
_LOOPS: list[asyncio.AbstractEventLoop] = []


def begin(work: Coroutine[Any, Any, _T]) -> Future[_T]:
    """Starts a coroutine in the background loop.

    Args:
        work: The coroutine.

    Returns:
        Its result to come. Cancelling it cancels the coroutine.
    """
    return asyncio.run_coroutine_threadsafe(work, _loop())


def wait_for(work: Coroutine[Any, Any, _T], seconds: float | None = None) -> _T:
    """Runs a coroutine in the background loop and waits for it.

    Args:
        work: The coroutine.
        seconds: The most seconds to wait; None for no bound. The coroutine is cancelled afterwards.

    Returns:
        What it returned.

    Raises:
        TimeoutError: It took longer.
    """
    future = begin(work)
    try:
        return future.result(seconds)
    except BaseException:  # also a Ctrl-C while it is waited for
        future.cancel()
        raise


def result_of(value: Any) -> Any:
    """Waits for an asynchronous result.

    Args:
        value: Anything.

    Returns:
        What the awaitable returned; the value itself if it is none.
    """
    return wait_for(_awaited(value)) if inspect.isawaitable(value) else value


async def _awaited(value: Awaitable[Any]) -> Any:
    return await value


def _loop() -> asyncio.AbstractEventLoop:
    with _LOCK:
        if not _LOOPS:
            loop = asyncio.new_event_loop()
            Thread(target=loop.run_forever, name="homeostat-tools", daemon=True).start()
            _LOOPS.append(loop)
        return _LOOPS[0]
