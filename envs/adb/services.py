"""What a client can open on the phone: ``shell:``, ``shell,v2:``, ``exec:`` and ``sync:``, over one stream each."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable

from homeostat.envs.adb.files import serve_sync
from homeostat.envs.adb.protocol import Command
from homeostat.envs.adb.shell import Shell

__all__ = ["Stream", "serve"]

Send = Callable[[Command, int, int, bytes], Awaitable[None]]
_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)  # shell protocol v2
_PROMPT = b"phone:/ $ "


class Stream:
    """One stream: what comes in can be read by the byte, what goes out waits for the client's acknowledgement."""

    def __init__(self, local: int, remote: int, largest: int, send: Callable[..., Awaitable[None]]) -> None:
        self.local, self.remote, self.largest = local, remote, largest
        self.ready = asyncio.Event()
        self.ready.set()
        self._send = send
        self._inside = asyncio.StreamReader()
        self._closed = False

    def feed(self, data: bytes) -> None:
        """Bytes from the client."""
        if not self._closed:
            self._inside.feed_data(data)

    def close(self) -> None:
        """The client has closed its side."""
        if not self._closed:
            self._closed = True
            self._inside.feed_eof()
            self.ready.set()

    async def read(self, count: int) -> bytes:
        """Just so many bytes. Raises ``IncompleteReadError`` where the client closed before."""
        return await self._inside.readexactly(count)

    async def write(self, data: bytes) -> None:
        """Bytes to the client, in payloads as large as it takes. Raises ``ConnectionError`` on a closed stream."""
        for i in range(0, len(data), self.largest):
            await self.ready.wait()
            if self._closed:
                raise ConnectionError("the stream is closed")
            self.ready.clear()
            await self._send(Command.WRTE, self.local, self.remote, data[i : i + self.largest])

    async def flushed(self) -> None:
        """Until everything was acknowledged."""
        await self.ready.wait()


async def serve(stream: Stream, service: str, shell: Shell) -> None:
    """Run one service to its end."""
    if service.startswith("sync:"):
        await serve_sync(stream.read, stream.write, shell.files)
        return
    kind, _, line = service.partition(":")
    options = kind.split(",")
    if not line.strip() and options[0] == "shell":
        await _interactive(stream, shell, "v2" in options)
        return
    done = await asyncio.to_thread(shell.run, line)
    if "v2" in options:
        for number, data in ((_STDOUT, done.out), (_STDERR, done.err)):
            if data:
                await stream.write(_packet(number, data))
        await stream.write(_packet(_EXIT, bytes([done.code & 255])))
    else:
        await stream.write(done.out + done.err)
    await stream.flushed()


def _packet(number: int, data: bytes) -> bytes:
    return struct.pack("<BI", number, len(data)) + data


async def _interactive(stream: Stream, shell: Shell, v2: bool) -> None:
    """A shell to type in, until ``exit`` or Ctrl-D; it echoes, since the client's terminal is raw."""

    async def say(data: bytes) -> None:
        data = data.replace(b"\n", b"\r\n")
        await stream.write(_packet(_STDOUT, data) if v2 else data)

    line = b""
    await say(_PROMPT)
    while True:
        typed = await stream.read(1)
        if v2:
            number, length = typed[0], struct.unpack("<I", await stream.read(4))[0]
            typed = await stream.read(min(length, 65536))
            if number == _CLOSE_STDIN:
                typed = b"\x04"
            elif number != _STDIN:
                continue
        for byte in typed:
            if byte == 4 and not line:
                await say(b"\n")
                if v2:
                    await stream.write(_packet(_EXIT, b"\0"))
                return
            if byte in (10, 13):
                await say(b"\n")
                done = await asyncio.to_thread(shell.run, line.decode(errors="replace"))
                await say(done.out + done.err)
                if line.split()[:1] == [b"exit"]:
                    if v2:
                        await stream.write(_packet(_EXIT, bytes([done.code & 255])))
                    return
                line = b""
                await say(_PROMPT)
            elif byte in (8, 127):
                line = line[:-1]
                await say(b"\b \b")
            elif len(line) < 4096:
                line += bytes([byte])
                await say(bytes([byte]))
