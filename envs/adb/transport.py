"""One client's connection: the handshake, and the streams that the client opens on it.

After a ``WRTE`` on a stream, a peer waits for ``OKAY`` before it sends the next. The daemon sends ``OKAY`` when the
bytes have been consumed, so the memory that a client can occupy is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from homeostat.envs.adb.protocol import MAX_DATA, VERSION, Command, Message, ProtocolError, read_message

__all__ = ["Connection", "Stream"]

_STREAMS = 64  # the largest number open at once on one connection
_HELD = 4 * MAX_DATA  # the largest number of bytes that wait on one stream
_GREETING = 10.0  # seconds that a client may take to say CNXN
_log = logging.getLogger(__name__)


class Stream:
    """One stream of a connection, with flow control in both directions.

    Attributes:
        discards_input: Whether bytes from the client are acknowledged and dropped.
    """

    def __init__(self, local: int, remote: int, largest: int, send: Callable[..., Awaitable[None]]) -> None:
        """Opens the stream.

        Args:
            local: The daemon's id of the stream.
            remote: The client's id of the stream.
            largest: The largest payload that the client takes, in bytes.
            send: Sends a message, as :meth:`Connection.send` does.
        """
        self.local, self.remote, self.largest = local, remote, largest
        self.discards_input = False
        self._send = send
        self._ready = asyncio.Event()
        self._ready.set()
        self._arrived = asyncio.Event()
        self._held = bytearray()
        self._owed = False
        self._closed = False

    async def feed(self, data: bytes) -> None:
        """Takes bytes from the client.

        Args:
            data: The payload of a ``WRTE``.

        Raises:
            ProtocolError: The client does not wait for acknowledgements.
        """
        if self._closed:
            return
        if not self.discards_input:
            if len(self._held) + len(data) > _HELD:
                raise ProtocolError(f"stream {self.remote} writes on without waiting")
            self._held += data
            self._arrived.set()
        if self.discards_input or len(self._held) < MAX_DATA:
            await self._send(Command.OKAY, self.local, self.remote)
        else:
            self._owed = True

    def acknowledged(self) -> None:
        """Notes that the client has taken the last payload."""
        self._ready.set()

    def close(self) -> None:
        """Notes that the client has closed its side."""
        self._closed = True
        self._ready.set()
        self._arrived.set()

    async def read(self, count: int) -> bytes:
        """Reads bytes from the client.

        Args:
            count: How many bytes to read.

        Returns:
            Exactly this many bytes.

        Raises:
            ConnectionError: The client closed the stream before.
        """
        taken = bytearray()
        while len(taken) < count:
            while not self._held:
                if self._closed:
                    raise ConnectionError("the stream is closed")
                self._arrived.clear()
                await self._arrived.wait()
            part = self._held[: count - len(taken)]
            del self._held[: len(part)]
            taken += part
            if self._owed and len(self._held) < MAX_DATA:
                self._owed = False
                await self._send(Command.OKAY, self.local, self.remote)
        return bytes(taken)

    async def write(self, data: bytes) -> None:
        """Sends bytes to the client, split into payloads that it takes.

        Args:
            data: The bytes.

        Raises:
            ConnectionError: The stream is closed.
        """
        for i in range(0, len(data), self.largest):
            await self._ready.wait()
            if self._closed:
                raise ConnectionError("the stream is closed")
            self._ready.clear()
            await self._send(Command.WRTE, self.local, self.remote, data[i : i + self.largest])

    async def flushed(self) -> None:
        """Waits until everything has been acknowledged."""
        await self._ready.wait()


Serve = Callable[[Stream, str], Awaitable[None]]


class Connection:
    """The connection of one client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, banner: bytes, serve: Serve) -> None:
        """Takes the connection.

        Args:
            reader: Bytes from the client.
            writer: Bytes to the client.
            banner: The description of the phone, which is sent at the handshake.
            serve: Runs a service on a stream that the client opened.
        """
        self._reader, self._writer, self._banner, self._serve = reader, writer, banner, serve
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._largest = 4096
        self._version = 0  # the lower of both sides'; 0 before the handshake
        self._last = 0

    async def run(self) -> None:
        """Serves the client until it disconnects.

        Raises:
            ProtocolError: The bytes are no adb message.
            TimeoutError: The client sends no handshake.
        """
        try:
            async with asyncio.timeout(_GREETING):
                while not self._version:
                    await self._take(await read_message(self._reader, check=True))
            while True:
                await self._take(await read_message(self._reader, check=self._version < VERSION))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def send(self, command: Command, arg0: int, arg1: int, data: bytes = b"") -> None:
        """Sends one message to the client.

        Args:
            command: The type of message.
            arg0: The daemon's stream id; in ``CNXN`` the version.
            arg1: The client's stream id; in ``CNXN`` the largest payload.
            data: The payload.
        """
        self._writer.write(Message(command, arg0, arg1, data).pack())
        await self._writer.drain()

    async def _take(self, m: Message) -> None:
        if m.command is Command.CNXN:
            self._version, self._largest = max(1, min(m.arg0, VERSION)), max(64, min(m.arg1, MAX_DATA))
            await self.send(Command.CNXN, VERSION, MAX_DATA, self._banner)
            return
        if not self._version:
            raise ProtocolError(f"{m.command.name} before CNXN")
        stream = self._streams.get(m.arg1)
        match m.command:
            case Command.OPEN:
                await self._open(m)
            case Command.OKAY if stream is not None:
                stream.acknowledged()
            case Command.WRTE if stream is not None:
                await stream.feed(m.data)
            case Command.CLSE if stream is not None:
                stream.close()
            case _:
                pass  # of a stream that is closed already, or an unrequested AUTH

    async def _open(self, m: Message) -> None:
        service = m.data.rstrip(b"\0").decode(errors="replace")
        known = service.startswith(("shell:", "shell,", "exec:")) or service == "sync:"
        if m.arg0 == 0 or len(self._streams) >= _STREAMS or not known:
            await self.send(Command.CLSE, 0, m.arg0)
            return
        self._last += 1
        stream = self._streams[self._last] = Stream(self._last, m.arg0, self._largest, self.send)
        await self.send(Command.OKAY, stream.local, stream.remote)
        task = asyncio.create_task(self._run(stream, service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, stream: Stream, service: str) -> None:
        try:
            await self._serve(stream, service)
        except ConnectionError:
            pass
        except Exception:  # a defect of a service is logged and ends its stream only
            _log.exception("service %r failed", service[:200])
        finally:
            self._streams.pop(stream.local, None)
            with contextlib.suppress(ConnectionError):
                await self.send(Command.CLSE, stream.local, stream.remote)
