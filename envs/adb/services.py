"""The services that a client can open, each on one stream: ``shell:``, ``shell,v2:``, ``exec:`` and ``sync:``.

Shell protocol v2 (``shell_protocol.h`` in the Android source tree) frames a shell's streams and its exit status as an
id, a little-endian length, and the bytes.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncGenerator
from contextlib import aclosing

from homeostat.envs.adb.access import TRIES, WELCOME, Access
from homeostat.envs.adb.limits import Account
from homeostat.envs.adb.output import Output
from homeostat.envs.adb.protocol import ProtocolError
from homeostat.envs.adb.shell import Script, Shell
from homeostat.envs.adb.sync import serve_sync
from homeostat.envs.adb.transport import Stream
from homeostat.envs.adb.workers import Workers

__all__ = ["Services"]

_STDIN, _STDOUT, _STDERR, _EXIT, _CLOSE_STDIN = range(5)
_PROMPT = b"phone:/ $ "
_PIECE = 128 * 1024  # bytes of output in one packet
_LONGEST = 64 * 1024  # bytes of a line that is typed in
_INTERRUPT, _END = 3, 4  # Ctrl-C, Ctrl-D


class Services:
    """The services for one client.

    Attributes:
        account: The client's memory.
    """

    def __init__(self, shell: Shell, workers: Workers, access: Access) -> None:
        """Serves one client.

        Args:
            shell: The phone's shell.
            workers: The threads that run commands.
            access: The daemon's token.
        """
        self.account = Account(shell.memory)
        self._shell, self._workers, self._access = shell, workers, access
        self._authorized, self._failures = not access.required, 0

    async def serve(self, stream: Stream, service: str) -> None:
        """Runs one service to its end.

        Args:
            stream: The client's stream.
            service: What the client opened, such as ``shell:ls``.

        Raises:
            ProtocolError: The client has given wrong tokens again and again.
        """
        kind, _, line = service.partition(":")
        name, *options = kind.split(",")
        v2 = "v2" in options
        if not self._authorized or self._access.allows(line) is not None:
            stream.discards_input = True
            await self._admit(stream, line, speaks=name != "sync", v2=v2)
        elif service == "sync:":
            await serve_sync(stream.read, stream.write, self._shell.files, self.account)
        elif not line.strip() and name == "shell":
            await _Session(self, stream, v2=v2, terminal="raw" not in options).run()
        else:
            stream.discards_input = True
            await self._answer(stream, line, v2=v2)
            await stream.flushed()

    async def run(self, script: Script) -> AsyncGenerator[Output, None]:
        """Runs a line on the client's turns.

        Args:
            script: The line.

        Yields:
            The result of each pipeline, whose memory is held until the next is asked for.
        """
        try:
            while not script.finished:
                yield await self._workers.run(self.account, script.run_next)
                script.release()
                if script.pause:
                    await asyncio.sleep(script.pause)
        finally:
            script.abandon()

    def script(self, line: str) -> Script:
        """Prepares a line of this client for :meth:`run`.

        Args:
            line: The line.

        Returns:
            The line, of which nothing has run yet.
        """
        return Script(self._shell, line, self.account)

    async def _answer(self, stream: Stream, line: str, *, v2: bool) -> None:
        script = self.script(line)
        async with aclosing(self.run(script)) as parts:
            async for part in parts:
                await _send(stream, part, v2=v2)
        if v2:
            await stream.write(_packet(_EXIT, bytes([script.code & 255])))

    async def _admit(self, stream: Stream, line: str, *, speaks: bool, v2: bool) -> None:
        """Takes the token, or refuses the service."""
        given = self._access.allows(line)
        told = Output(b"", b"unauthorized; first run: adb shell auth TOKEN\n", 1)
        if given:
            self._authorized, told = True, Output(WELCOME)
        elif given is False:
            self._failures += 1
            await asyncio.sleep(1)  # so that tokens can't be tried quickly
            told = Output(b"", b"wrong token\n", 1)
        if speaks:
            await _send(stream, told, v2=v2)
            if v2:
                await stream.write(_packet(_EXIT, bytes([told.code])))
            await stream.flushed()
        if self._failures >= TRIES:
            raise ProtocolError("too many wrong tokens")


def _packet(number: int, data: bytes) -> bytes:
    return struct.pack("<BI", number, len(data)) + data


async def _send(stream: Stream, part: Output, *, v2: bool) -> None:
    """Sends what a pipeline wrote, piece by piece, so that little of it is held twice."""
    for number, data in ((_STDOUT, part.out), (_STDERR, part.err)):
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            await stream.write(_packet(number, piece) if v2 else piece)


class _Session:
    """An interactive shell until ``exit`` or the end of input. For a terminal in raw mode it prompts and echoes."""

    def __init__(self, client: Services, stream: Stream, *, v2: bool, terminal: bool) -> None:
        self.client, self.stream, self.v2, self.terminal = client, stream, v2, terminal
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
        script = self.client.script(line)
        async with aclosing(self.client.run(script)) as parts:
            async for part in parts:
                await self._say(part.out)
                await self._say(part.err, _STDERR)
        self.code = script.code
        if script.exited:
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
        for start in range(0, len(data), _PIECE):
            piece = data[start : start + _PIECE]
            if self.terminal:
                piece = piece.replace(b"\n", b"\r\n")
            await self.stream.write(_packet(number, piece) if self.v2 else piece)

    async def _leave(self) -> None:
        if self.v2:
            await self.stream.write(_packet(_EXIT, bytes([self.code & 255])))
        await self.stream.flushed()
