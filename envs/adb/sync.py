"""adb's ``sync:`` service: ``adb pull``, ``adb push`` and ``adb ls`` on the phone's files.

Source: ``packages/modules/adb/SYNC.TXT`` in the Android source tree. A request is a four-letter id, a little-endian
length and a path.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Awaitable, Callable

from homeostat.envs.adb.files import Files
from homeostat.envs.adb.limits import Account

__all__ = ["serve_sync"]

_CHUNK = 64 * 1024
_PATH = 1024
_LONGEST = 64 * 2**20

Read = Callable[[int], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]


async def serve_sync(read: Read, write: Write, files: Files, account: Account) -> None:
    """Serves requests until ``QUIT``, a malformed request, or the end of the stream.

    Args:
        read: Reads exactly n bytes.
        write: Writes bytes.
        files: The phone's files.
        account: The client's memory, which holds a file while it is transferred.
    """
    while True:
        name, length = struct.unpack("<4sI", await read(8))
        if name == b"QUIT":
            return
        if length > _PATH:
            await _fail(write, f"a path of {length} bytes is longer than {_PATH}")
            return
        path = (await read(length)).decode(errors="replace")
        match name:
            case b"STAT":
                await write(b"STAT" + struct.pack("<3I", *_stat(path, files)))
            case b"LIST":
                await _list(path, files, write)
            case b"RECV":
                await _receive(path, files, write, account)
            case b"SEND":
                if not await _send(path, files, read, write, account):
                    return
            case _:
                await _fail(write, f"unknown request {name!r}")
                return


def _stat(path: str, files: Files) -> tuple[int, int, int]:
    """Mode, size and time; all 0 if the path does not exist."""
    found = files.get(path)
    if found is not None:
        return stat.S_IFREG | found.mode, len(found.content), found.mtime & 0xFFFFFFFF
    return (stat.S_IFDIR | 0o755, 0, 0) if files.is_folder(path) else (0, 0, 0)


async def _list(path: str, files: Files, write: Write) -> None:
    for name in files.inside(path):
        mode, size, time = _stat(f"{path}/{name}", files)
        raw = name.encode()
        await write(b"DENT" + struct.pack("<4I", mode, size, time, len(raw)) + raw)
    await write(b"DONE" + bytes(16))


async def _receive(path: str, files: Files, write: Write, account: Account) -> None:
    try:
        content = files.read(path)
        account.take(len(content))  # the file may be replaced before the client has read it
    except OSError as error:
        await _fail(write, str(error))
        return
    try:
        for i in range(0, len(content), _CHUNK):
            part = content[i : i + _CHUNK]
            await write(b"DATA" + struct.pack("<I", len(part)) + part)
        await write(b"DONE" + bytes(4))
    finally:
        account.free(len(content))


async def _send(where: str, files: Files, read: Read, write: Write, account: Account) -> bool:
    """Receives a file; returns whether the stream can continue."""
    path, _, mode = where.rpartition(",")
    content, taken = bytearray(), 0
    try:
        while True:
            name, length = struct.unpack("<4sI", await read(8))
            if name == b"DONE":  # its length is the file's time
                break
            if name != b"DATA" or length > _CHUNK or len(content) + length > _LONGEST:
                await _fail(write, f"can't take {name!r} of {length} bytes after {len(content)}")
                return False
            try:
                account.take(length)
            except OSError as error:
                await _fail(write, f"couldn't create file: {error}")
                return False
            taken += length
            content += await read(length)
        try:
            files.write(path, bytes(content), mode=int(mode[:9]) if mode.isdecimal() else 0o644, mtime=length)
        except OSError as error:
            await _fail(write, f"couldn't create file: {error}")
            return True
    finally:
        account.free(taken)
    await write(b"OKAY" + bytes(4))
    return True


async def _fail(write: Write, reason: str) -> None:
    raw = reason.encode()
    await write(b"FAIL" + struct.pack("<I", len(raw)) + raw)
