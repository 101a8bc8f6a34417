"""The daemon: a phone that stock adb clients reach over TCP.

    with PhoneDaemon(env) as daemon:
        print(f"adb connect {daemon.address}")

One asyncio loop in a thread of its own serves every connection; commands run in worker threads, under the handset's
lock. Bytes that are no adb message end their connection and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from functools import partial
from types import TracebackType

from homeostat.envs.adb.files import Files
from homeostat.envs.adb.handset import Handset, HasDevice
from homeostat.envs.adb.protocol import ProtocolError
from homeostat.envs.adb.reports import banner
from homeostat.envs.adb.services import serve
from homeostat.envs.adb.shell import Shell
from homeostat.envs.adb.transport import Connection
from homeostat.envs.phone.device import Device
from homeostat.errors import EnvError

__all__ = ["PhoneDaemon"]


class PhoneDaemon:
    """Serves a device, or an environment's, on ``host:port`` (port 0: any free one), once it is started.

    ``scale``: of the screen, see :class:`Handset`. While it runs, touch the phone yourself only under :attr:`lock`.
    """

    def __init__(self, phone: Device | HasDevice, *, host: str = "127.0.0.1", port: int = 0, scale: int = 5) -> None:
        self.handset = Handset(phone, scale)
        self.files = Files()
        self.shell = Shell(self.handset, self.files)
        self.host, self.port = host, port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """``host:port``, as ``adb connect`` takes it."""
        return f"{self.host}:{self.port}"

    @property
    def lock(self) -> threading.RLock:
        """Held while a command looks at the phone or touches it."""
        return self.handset.lock

    def start(self) -> PhoneDaemon:
        """Begin to listen. Raises :class:`EnvError` where the port can't be had."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="phone-daemon", daemon=True)
        self._thread.start()
        self.shell.closing.clear()
        try:
            self._server = asyncio.run_coroutine_threadsafe(
                asyncio.start_server(self._connected, self.host, self.port), self._loop
            ).result()
        except (OSError, OverflowError) as error:
            self.stop()
            reason = getattr(error, "strerror", None) or error
            raise EnvError(f"can't listen on {self.address!r}: {reason}; choose another host or port") from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """Close every connection and stop listening."""
        if self._loop is None or self._thread is None:
            return
        self.shell.closing.set()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._server = None

    def __enter__(self) -> PhoneDaemon:
        """Start."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop."""
        self.stop()

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        await asyncio.get_running_loop().shutdown_default_executor()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await Connection(reader, writer, banner(self.handset), partial(serve, self.shell)).run()
        except (ProtocolError, asyncio.IncompleteReadError, TimeoutError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
