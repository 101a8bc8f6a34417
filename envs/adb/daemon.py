"""The daemon: a phone that unmodified adb clients reach over TCP.

    with PhoneDaemon(env) as daemon:
        print(f"adb connect {daemon.address}")

One asyncio loop in a thread of its own serves every connection. Commands run in worker threads, under the handset's
lock. Bytes that are no adb message end their connection and have no other effect.
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
    """Serves a device over adb from :meth:`start` to :meth:`stop`.

    While the daemon runs, other code must hold :attr:`lock` to use the phone.
    """

    def __init__(self, phone: Device | HasDevice, *, host: str = "127.0.0.1", port: int = 0, scale: int = 5) -> None:
        """Prepares the daemon, which listens after :meth:`start`.

        Args:
            phone: The device, or an environment around one.
            host: The address to listen on.
            port: The port to listen on. 0: any free one.
            scale: The scale of the screen. See :class:`Handset`.
        """
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
        """The address as ``host:port``, for ``adb connect``."""
        return f"{self.host}:{self.port}"

    @property
    def lock(self) -> threading.RLock:
        """The lock that a command holds while it uses the phone."""
        return self.handset.lock

    def start(self) -> PhoneDaemon:
        """Starts to listen.

        Returns:
            The daemon itself.

        Raises:
            EnvError: The daemon can't listen on the port.
        """
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
        """Closes every connection and stops listening."""
        if self._loop is None or self._thread is None:
            return
        self.shell.closing.set()
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = self._server = None

    def __enter__(self) -> PhoneDaemon:
        """Starts the daemon."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops the daemon."""
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
