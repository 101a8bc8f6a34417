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
from types import TracebackType

from homeostat.envs.adb.handset import Handset, HasDevice
from homeostat.envs.adb.protocol import MAX_DATA, VERSION, Command, Message, ProtocolError, read_message
from homeostat.envs.adb.reports import properties
from homeostat.envs.adb.services import Stream, serve
from homeostat.envs.adb.shell import Shell
from homeostat.envs.errors import EnvError
from homeostat.envs.phone.device import Device

__all__ = ["PhoneDaemon"]

_FEATURES = "shell_v2,cmd"
_STREAMS = 64  # open at once on one connection


class PhoneDaemon:
    """Serves a device, or an environment's, on ``host:port`` (port 0: any free one).

    ``scale``: of the screen, see :class:`Handset`. Raises :class:`EnvError` where the port can't be had.
    """

    def __init__(self, phone: Device | HasDevice, *, host: str = "127.0.0.1", port: int = 0, scale: int = 5) -> None:
        self.handset = Handset(phone, scale)
        self.files: dict[str, bytes] = {}
        self.shell = Shell(self.handset, self.files)
        self.host, self.port = host, port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="phone-daemon", daemon=True)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def address(self) -> str:
        """``host:port``, as ``adb connect`` takes it."""
        return f"{self.host}:{self.port}"

    def start(self) -> PhoneDaemon:
        """Begin to listen."""
        self._thread.start()
        try:
            self._server = asyncio.run_coroutine_threadsafe(
                asyncio.start_server(self._connected, self.host, self.port), self._loop
            ).result()
        except OSError as error:
            self.stop()
            raise EnvError(f"can't listen on {self.address!r}: {error.strerror}; choose another port") from None
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stop(self) -> None:
        """Close every connection and stop listening."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result()
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        if not self._loop.is_closed():
            self._loop.close()

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
        await self._loop.shutdown_default_executor()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await _Connection(self, reader, writer).run()
        except (ProtocolError, asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._connections.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()


class _Connection:
    """One client's transport: its streams, by our id."""

    def __init__(self, daemon: PhoneDaemon, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.daemon, self.reader, self.writer = daemon, reader, writer
        self.streams: dict[int, Stream] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.largest = 4096
        self.greeted = False
        self.last = 0

    async def run(self) -> None:
        """Until the client goes."""
        try:
            while True:
                await self._take(await read_message(self.reader))
        finally:
            for task in self.tasks:
                task.cancel()
            await asyncio.gather(*self.tasks, return_exceptions=True)

    async def send(self, command: Command, arg0: int, arg1: int, data: bytes = b"") -> None:
        """One message to the client."""
        self.writer.write(Message(command, arg0, arg1, data).pack())
        await self.writer.drain()

    async def _take(self, m: Message) -> None:
        if m.command is Command.CNXN:
            self.greeted, self.largest = True, max(64, min(m.arg1, MAX_DATA))
            await self.send(Command.CNXN, VERSION, MAX_DATA, self._banner())
            return
        if not self.greeted:
            raise ProtocolError(f"{m.command.name} before CNXN")
        stream = self.streams.get(m.arg1)
        match m.command:
            case Command.OPEN:
                await self._open(m)
            case Command.OKAY if stream is not None:
                stream.ready.set()
            case Command.WRTE if stream is not None:
                stream.feed(m.data)
                await self.send(Command.OKAY, stream.local, stream.remote)
            case Command.CLSE if stream is not None:
                stream.close()
            case _:
                pass  # a stream that is closed already

    async def _open(self, m: Message) -> None:
        service = m.data.rstrip(b"\0").decode(errors="replace")
        if m.arg0 == 0 or len(self.streams) >= _STREAMS or not service.startswith(("shell", "exec:", "sync:")):
            await self.send(Command.CLSE, 0, m.arg0)
            return
        self.last += 1
        stream = self.streams[self.last] = Stream(self.last, m.arg0, self.largest, self.send)
        await self.send(Command.OKAY, stream.local, stream.remote)
        task = asyncio.create_task(self._serve(stream, service))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _serve(self, stream: Stream, service: str) -> None:
        try:
            await serve(stream, service, self.daemon.shell)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.streams.pop(stream.local, None)
            with contextlib.suppress(ConnectionError):
                await self.send(Command.CLSE, stream.local, stream.remote)

    def _banner(self) -> bytes:
        known = properties(self.daemon.handset)
        names = ("ro.product.name", "ro.product.model", "ro.product.device")
        return f"device::{''.join(f'{n}={known[n]};' for n in names)}features={_FEATURES}".encode()
