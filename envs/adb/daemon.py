"""The daemon: a phone that unmodified adb clients reach over TCP.

    with PhoneDaemon(env) as daemon:
        print(f"adb connect {daemon.address}")

One asyncio loop in a thread of its own serves every connection. Commands run in worker threads, under the handset's
lock, and the clients take turns. Bytes that are no adb message end their connection and have no other effect. What a
client may use is in :mod:`homeostat.envs.adb.limits`, and who may be one in :mod:`homeostat.envs.adb.access`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from types import TracebackType

from homeostat.envs.adb.access import Access
from homeostat.envs.adb.files import Files
from homeostat.envs.adb.handset import Handset, HasDevice
from homeostat.envs.adb.limits import Limits
from homeostat.envs.adb.protocol import ProtocolError
from homeostat.envs.adb.reports import banner
from homeostat.envs.adb.services import Services
from homeostat.envs.adb.shell import Shell
from homeostat.envs.adb.transport import Connection
from homeostat.envs.adb.workers import Workers
from homeostat.envs.phone.device import Device
from homeostat.errors import EnvError

__all__ = ["PhoneDaemon"]

_IDLE = 5.0  # seconds after which a client without a stream may have to make room for a new one
_SILENT = 60.0  # and a client with one
_STRAYS = 32  # messages for no stream after which a client may have to make room at once
_FAREWELL = 2.0  # seconds that the last bytes may take to leave
_BUFFER = 64 * 1024  # bytes that may wait in a connection
_SO_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))


class PhoneDaemon:
    """Serves a device over adb from :meth:`start` to :meth:`stop`.

    While the daemon runs, other code must hold :attr:`lock` to use the phone.
    """

    def __init__(
        self,
        phone: Device | HasDevice,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        scale: int = 5,
        token: str | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Prepares the daemon, which listens after :meth:`start`.

        Args:
            phone: The device, or an environment around one.
            host: The address to listen on.
            port: The port to listen on. 0: any free one.
            scale: The scale of the screen. See :class:`Handset`.
            token: What a client must give before it can use the phone (``adb shell auth TOKEN``). None: nothing.
            limits: How much a client may use. None: the defaults.

        Raises:
            ConfigError: The scale is out of range, the token is unsuitable, or other machines can reach ``host`` and
                there is no token.
        """
        self.handset = Handset(phone, scale)
        self.files = Files()
        self.limits = limits or Limits()
        self.shell = Shell(self.handset, self.files, self.limits)
        self._access = Access(host, token)
        self.host, self.port = host, port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._server: asyncio.Server | None = None
        self._workers = Workers(self.limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: dict[Connection, asyncio.Task[None]] = {}

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
        self._workers = Workers(self.limits)
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
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._workers.close)
        await asyncio.get_running_loop().shutdown_default_executor()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        services = Services(self.shell, self._workers, self._access)
        connection = Connection(
            reader,
            writer,
            banner=banner(self.handset),
            serve=services.serve,
            account=services.account,
            limits=self.limits,
            admit=self._make_room,
        )
        try:
            _tune(writer)
            self._cut_queue()
            self._connections[connection] = task
            await connection.run()
        except (ProtocolError, asyncio.IncompleteReadError, TimeoutError, OSError, asyncio.CancelledError):
            pass
        finally:
            self._connections.pop(connection, None)
            writer.close()
            with contextlib.suppress(OSError, TimeoutError, asyncio.CancelledError):
                async with asyncio.timeout(_FAREWELL):
                    await writer.wait_closed()
            writer.transport.abort()
            self._tasks.discard(task)

    def _cut_queue(self) -> None:
        """Disconnects the oldest of those that connected and have not yet said who they are, if there are many."""
        waiting = [c for c in self._connections if not c.greeted]
        if len(waiting) >= self.limits.clients:
            self._disconnect(min(waiting, key=lambda c: c.heard))

    def _make_room(self) -> None:
        """Disconnects the client that was silent longest if there are too many, else refuses the new one."""
        clients = [c for c in self._connections if c.greeted]
        if len(clients) < self.limits.clients:
            return
        now = time.monotonic()
        spare = [c for c in clients if c.strays > _STRAYS or now - c.heard > (_IDLE if c.idle else _SILENT)]
        if not spare:
            raise ProtocolError(f"there are {len(clients)} clients already")
        self._disconnect(min(spare, key=lambda c: (-c.strays, not c.idle, c.heard)))

    def _disconnect(self, connection: Connection) -> None:
        connection.abort()
        self._connections.pop(connection).cancel()


def _tune(writer: asyncio.StreamWriter) -> None:
    """Bounds what waits in a connection, and lets the system notice a client that is gone without a word."""
    writer.transport.set_write_buffer_limits(high=_BUFFER)
    raw: socket.socket = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _SO_KEEPALIVE:
        if hasattr(socket, name):  # not on every system
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
