"""One client's connection: the handshake, and the streams that the client opens on it.

After a ``WRTE`` on a stream, a peer waits for ``OKAY`` before it sends the next. The daemon sends ``OKAY`` when the
bytes have been consumed, and what waits is taken from the client's account, so the memory that a client can occupy is
bounded. A client that does not take what is sent to it loses its stream, and one whose socket is full its connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable

from homeostat.envs.adb.limits import Account, Limits, OutOfMemory
from homeostat.envs.adb.protocol import MAX_DATA, VERSION, Command, Message, ProtocolError, read_message

__all__ = ["Connection", "Stream"]

_SERVICE = 64 * 1024  # the largest name of a service, with its line, in bytes
_HELD = 4 * MAX_DATA  # the largest number of bytes that wait on one stream
_STRAYS = 1000  # messages in a row that concern no open stream; a client sends a few after a stream has ended
_GREETING = 10.0  # seconds that a client may take to say CNXN
_log = logging.getLogger(__name__)


class Stream:
    """One stream of a connection, with flow control in both directions.

    Attributes:
        discards_input: Whether bytes from the client are acknowledged and dropped.
    """

    def __init__(
        self,
        local: int,
        remote: int,
        largest: int,
        send: Callable[..., Awaitable[None]],
        account: Account,
        patience: float,
    ) -> None:
        """Opens the stream.

        Args:
            local: The daemon's id of the stream.
            remote: The client's id of the stream.
            largest: The largest payload that the client takes, in bytes.
            send: Sends a message, as :meth:`Connection.send` does.
            account: The client's memory, which holds what waits on the stream.
            patience: The time that the client may take to accept a payload, in seconds.
        """
        self.local, self.remote, self.largest = local, remote, largest
        self.discards_input = False
        self._send, self._account, self._patience = send, account, patience
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
            try:
                self._account.take(len(data))
            except OutOfMemory:
                raise ProtocolError("the streams write more than the client may hold") from None
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
        """Notes that the stream is closed, and drops what waits on it."""
        self._closed = True
        self._account.free(len(self._held))
        self._held.clear()
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
            self._account.free(len(part))
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
            ConnectionError: The stream is closed, or the client does not take the bytes.
        """
        for i in range(0, len(data), self.largest):
            await self.flushed()
            if self._closed:
                raise ConnectionError("the stream is closed")
            self._ready.clear()
            await self._send(Command.WRTE, self.local, self.remote, data[i : i + self.largest])

    async def flushed(self) -> None:
        """Waits until everything has been acknowledged.

        Raises:
            ConnectionError: The client does not acknowledge it in time.
        """
        try:
            async with asyncio.timeout(self._patience):
                await self._ready.wait()
        except TimeoutError:
            raise ConnectionError("the client does not take what is sent") from None


Serve = Callable[[Stream, str], Awaitable[None]]


class Connection:
    """The connection of one client.

    Attributes:
        heard: When the client's last message came, by ``time.monotonic``.
        strays: The number of messages since the last one that concerned an open stream or opened one.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        banner: bytes,
        serve: Serve,
        account: Account,
        limits: Limits,
        admit: Callable[[], None],
    ) -> None:
        """Takes the connection.

        Args:
            reader: Bytes from the client.
            writer: Bytes to the client.
            banner: The description of the phone, which is sent at the handshake.
            serve: Runs a service on a stream that the client opened.
            account: The client's memory.
            limits: What the client may use.
            admit: Called at the handshake. It raises ``ProtocolError`` if there are too many clients.
        """
        self._reader, self._writer, self._banner, self._serve = reader, writer, banner, serve
        self._account, self._limits, self._admit = account, limits, admit
        self._streams: dict[int, Stream] = {}
        self._tasks: dict[Stream, asyncio.Task[None]] = {}
        self._sending = asyncio.Lock()
        self._largest = 4096
        self._version = 0  # the lower of both sides'; 0 before the handshake
        self._last = self.strays = 0
        self.heard = time.monotonic()

    @property
    def greeted(self) -> bool:
        """Whether the handshake has taken place."""
        return self._version > 0

    @property
    def idle(self) -> bool:
        """Whether the client has no stream open."""
        return not self._tasks

    def abort(self) -> None:
        """Closes the connection at once, without waiting until sent bytes have arrived."""
        self._writer.transport.abort()

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
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def send(self, command: Command, arg0: int, arg1: int, data: bytes = b"") -> None:
        """Sends one message to the client.

        Args:
            command: The type of message.
            arg0: The daemon's stream id; in ``CNXN`` the version.
            arg1: The client's stream id; in ``CNXN`` the largest payload.
            data: The payload.

        Raises:
            ConnectionError: The client does not read, and has been disconnected.
        """
        async with self._sending:  # so that no more than one payload waits for a slow client
            if self._writer.transport.is_closing():
                raise ConnectionError("the connection is closed")
            self._writer.write(Message(command, arg0, arg1, data).pack())
            try:
                async with asyncio.timeout(self._limits.patience):
                    await self._writer.drain()
            except TimeoutError:
                self.abort()
                raise ConnectionError("the client does not read") from None

    async def _take(self, m: Message) -> None:
        self.heard = time.monotonic()
        await asyncio.sleep(0)  # so that a client that sends without a pause does not hold the others up
        if m.command is Command.CNXN:
            if not self._version:
                self._admit()
            self._version, self._largest = max(1, min(m.arg0, VERSION)), max(64, min(m.arg1, MAX_DATA))
            await self.send(Command.CNXN, VERSION, MAX_DATA, self._banner)
            return
        if not self._version:
            raise ProtocolError(f"{m.command.name} before CNXN")
        stream = self._streams.get(m.arg1)
        self.strays = 0 if stream is not None else self.strays + 1
        if self.strays > _STRAYS:
            raise ProtocolError(f"{self.strays} messages in a row for no stream")
        match m.command:
            case Command.OPEN:
                await self._open(m)
            case Command.OKAY if stream is not None:
                stream.acknowledged()
            case Command.WRTE if stream is not None:
                await stream.feed(m.data)
            case Command.CLSE if stream is not None:
                stream.close()
                self._tasks[stream].cancel()
            case _:
                pass  # of a stream that is closed already, or an unrequested AUTH

    async def _open(self, m: Message) -> None:
        service = m.data.rstrip(b"\0").decode(errors="replace")
        known = service.startswith(("shell:", "shell,", "exec:")) or service == "sync:"
        crowded = len(self._tasks) >= self._limits.streams or len(m.data) > _SERVICE
        if m.arg0 == 0 or crowded or not known:
            await self.send(Command.CLSE, 0, m.arg0)
            return
        self._last, self.strays = self._last + 1, 0
        stream = Stream(self._last, m.arg0, self._largest, self.send, self._account, self._limits.patience)
        self._streams[stream.local] = stream
        task = self._tasks[stream] = asyncio.create_task(self._run(stream, service))
        task.add_done_callback(lambda _: self._forget(stream))

    def _forget(self, stream: Stream) -> None:
        stream.close()
        self._streams.pop(stream.local, None)
        self._tasks.pop(stream, None)

    async def _run(self, stream: Stream, service: str) -> None:
        try:
            await self.send(Command.OKAY, stream.local, stream.remote)
            await self._serve(stream, service)
        except ProtocolError:
            self.abort()
            return
        except (ConnectionError, asyncio.CancelledError):  # cancelled: the client has closed the stream, or is gone
            pass
        except Exception:  # a defect of a service is logged and ends its stream only
            _log.exception("service %r failed", service[:200])
        self._streams.pop(stream.local, None)
        with contextlib.suppress(ConnectionError):
            await self.send(Command.CLSE, stream.local, stream.remote)
