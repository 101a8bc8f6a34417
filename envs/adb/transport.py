"""One client's connection: the handshake, and the streams that the client opens on it.

A peer may have one ``WRTE`` under way on a stream; the next waits for ``OKAY``. We send that once the bytes have been
taken up, so what a client can make us hold is bounded.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable

from homeostat.envs.adb.protocol import MAX_DATA, VERSION, Command, Message, ProtocolError, read_message

__all__ = ["Connection", "Stream"]

_STREAMS = 64  # open at once on one connection
_HELD = 4 * MAX_DATA  # bytes that wait on one stream
_GREETING = 10.0  # seconds that a client may take to say CNXN
_log = logging.getLogger(__name__)


class Stream:
    """One stream: what comes in is read by the byte; what goes out waits for the client's acknowledgement."""

    def __init__(self, local: int, remote: int, largest: int, send: Callable[..., Awaitable[None]]) -> None:
        self.local, self.remote, self.largest = local, remote, largest
        self.deaf = False
        self._send = send
        self._ready = asyncio.Event()
        self._ready.set()
        self._arrived = asyncio.Event()
        self._held = bytearray()
        self._owed = False
        self._closed = False

    async def feed(self, data: bytes) -> None:
        """Bytes from the client. Raises :class:`ProtocolError` where it does not wait for its acknowledgements."""
        if self._closed:
            return
        if not self.deaf:
            if len(self._held) + len(data) > _HELD:
                raise ProtocolError(f"stream {self.remote} writes on without waiting")
            self._held += data
            self._arrived.set()
        if self.deaf or len(self._held) < MAX_DATA:
            await self._send(Command.OKAY, self.local, self.remote)
        else:
            self._owed = True

    def acknowledged(self) -> None:
        """The client has taken the last payload."""
        self._ready.set()

    def close(self) -> None:
        """The client has closed its side."""
        self._closed = True
        self._ready.set()
        self._arrived.set()

    async def read(self, count: int) -> bytes:
        """Just so many bytes. Raises ``ConnectionError`` where the client closed before."""
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
        """Bytes to the client, in payloads as large as it takes. Raises ``ConnectionError`` on a closed stream."""
        for i in range(0, len(data), self.largest):
            await self._ready.wait()
            if self._closed:
                raise ConnectionError("the stream is closed")
            self._ready.clear()
            await self._send(Command.WRTE, self.local, self.remote, data[i : i + self.largest])

    async def flushed(self) -> None:
        """Until everything was acknowledged."""
        await self._ready.wait()


Serve = Callable[[Stream, str], Awaitable[None]]


class Connection:
    """A client's transport. ``banner``: what the phone is; ``serve`` runs a service that was opened."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, banner: bytes, serve: Serve) -> None:
        self._reader, self._writer, self._banner, self._serve = reader, writer, banner, serve
        self._streams: dict[int, Stream] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._largest = 4096
        self._version = 0  # the lower of both sides'; 0 before the handshake
        self._last = 0

    async def run(self) -> None:
        """Until the client goes. Raises :class:`ProtocolError` for bytes that are no adb, ``TimeoutError`` for none."""
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
        """One message to the client."""
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
                pass  # of a stream that is closed already; or AUTH, which nobody asked for

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
        except Exception:  # a defect of a service ends its stream and is told; the phone goes on
            _log.exception("service %r failed", service[:200])
        finally:
            self._streams.pop(stream.local, None)
            with contextlib.suppress(ConnectionError):
                await self.send(Command.CLSE, stream.local, stream.remote)
