"""The services that a client can open, each on one stream: ``shell:``, ``shell,v2:``, ``exec:`` and ``sync:``.

Shell protocol v2 (``shell_protocol.h`` in the Android source tree) frames a shell's streams and its exit status as an
id, a little-endian length, and the bytes.
"""

from __future__ import annotations

import asyncio
import struct

from homeostat.envs.adb.output import Result
from homeostat.envs.adb.shell import Shell
from homeostat.envs.adb.sync import serve_sync
from homeostat.envs.adb.transport import Stream

__all__ = ["serve"]

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_PROMPT = b"phone:/ $ "
_LONGEST = 64 * 1024  # bytes of a line that is typed in
_INTERRUPT, _END = 3, 4  # Ctrl-C, Ctrl-D


async def serve(shell: Shell, stream: Stream, service: str) -> None:
    """Runs one service to its end.

    Args:
        shell: The phone's shell.
        stream: The client's stream.
        service: What the client opened, such as ``shell:ls``.
    """
    if service == "sync:":
        await serve_sync(stream.read, stream.write, shell.files)
        return
    kind, _, line = service.partition(":")
    name, *options = kind.split(",")
    if not line.strip() and name == "shell":
        await _Session(shell, stream, v2="v2" in options, terminal="raw" not in options).run()
        return
    stream.discards_input = True
    await _reply(stream, await asyncio.to_thread(shell.run, line), v2="v2" in options)
    await stream.flushed()


def _packet(number: int, data: bytes) -> bytes:
    return struct.pack("<BI", number, len(data)) + data


async def _reply(stream: Stream, done: Result, *, v2: bool) -> None:
    if not v2:
        await stream.write(done.both)
        return
    for part in done.parts:
        for number, data in ((_STDOUT, part.out), (_STDERR, part.err)):
            if data:
                await stream.write(_packet(number, data))
    await stream.write(_packet(_EXIT, bytes([done.code & 255])))


class _Session:
    """An interactive shell until ``exit`` or the end of input. For a terminal in raw mode it prompts and echoes."""

    def __init__(self, shell: Shell, stream: Stream, *, v2: bool, terminal: bool) -> None:
        self.shell, self.stream, self.v2, self.terminal = shell, stream, v2, terminal
        self.code = 0

    async def run(self) -> None:
        """Runs line after line."""
        line = bytearray()
        await self._prompt()
        while True:
            for byte in await self._typed():
                if byte == _END and not line:
                    await self._leave()
                    return
                if byte in (10, 13, _END):
                    if self.terminal:
                        await self._say(b"\n")
                    if await self._run_line(line.decode(errors="replace")):
                        return
                    line.clear()
                elif self.terminal and byte == _INTERRUPT:
                    line.clear()
                    await self._say(b"^C\n")
                    await self._prompt()
                elif self.terminal and byte in (8, 127):
                    if line:
                        del line[-1]
                        await self._say(b"\b \b")
                elif len(line) < _LONGEST and (byte >= 32 or not self.terminal):
                    line.append(byte)
                    if self.terminal:
                        await self._say(bytes([byte]))

    async def _run_line(self, line: str) -> bool:
        """Runs a line; returns whether it ended the shell."""
        done = await asyncio.to_thread(self.shell.run, line)
        self.code = done.code
        for part in done.parts:
            await self._say(part.out)
            await self._say(part.err, _STDERR)
        if done.exited:
            await self._leave()
            return True
        await self._prompt()
        return False

    async def _typed(self) -> bytes:
        """The next bytes that the user typed. The end of the input is reported as Ctrl-D."""
        if not self.v2:
            return await self.stream.read(1)
        number, length = struct.unpack("<BI", await self.stream.read(5))
        data = b""
        for start in range(0, length, _LONGEST):  # in parts, because the length may be wrong
            part = await self.stream.read(min(_LONGEST, length - start))
            data += part if len(data) < _LONGEST else b""
        if number == _CLOSE_STDIN:
            return bytes([_END, _END])
        return data if number == _STDIN else b""

    async def _prompt(self) -> None:
        if self.terminal:
            await self._say(_PROMPT)

    async def _say(self, data: bytes, number: int = _STDOUT) -> None:
        if self.terminal:
            data = data.replace(b"\n", b"\r\n")
        if data:
            await self.stream.write(_packet(number, data) if self.v2 else data)

    async def _leave(self) -> None:
        if self.v2:
            await self.stream.write(_packet(_EXIT, bytes([self.code & 255])))
        await self.stream.flushed()
