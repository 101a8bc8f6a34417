"""adb's ``sync:`` service: ``adb pull`` and ``adb push`` on the handset's files.

As described in the Android source tree, ``packages/modules/adb/SYNC.TXT``: requests of a four-letter id and a length.
"""

from __future__ import annotations

import struct
from collections.abc import Awaitable, Callable

__all__ = ["serve_sync"]

_MODE = 0o100644
_FOLDER = 0o040755
_CHUNK = 64 * 1024
_LONGEST = 32 * 2**20

Read = Callable[[int], Awaitable[bytes]]
Write = Callable[[bytes], Awaitable[None]]


async def serve_sync(read: Read, write: Write, files: dict[str, bytes]) -> None:
    """Serve requests until ``QUIT`` or the stream's end. ``read(n)`` gives just n bytes."""
    while True:
        name, length = struct.unpack("<4sI", await read(8))
        if name == b"QUIT" or length > 4096:
            return
        path = (await read(length)).decode(errors="replace")
        match name:
            case b"STAT":
                await write(b"STAT" + struct.pack("<3I", *_stat(path, files)))
            case b"LIST":
                await _list(path, files, write)
            case b"RECV":
                await _receive(path, files, write)
            case b"SEND":
                await _send(path, files, read, write)
            case _:
                await _fail(write, f"unknown request {name!r}")
                return


def _stat(path: str, files: dict[str, bytes]) -> tuple[int, int, int]:
    if path in files:
        return _MODE, len(files[path]), 0
    folder = path.rstrip("/") + "/"
    is_folder = folder in ("/", "/sdcard/", "/data/local/tmp/") or any(f.startswith(folder) for f in files)
    return (_FOLDER, 0, 0) if is_folder else (0, 0, 0)


async def _list(path: str, files: dict[str, bytes], write: Write) -> None:
    folder = path.rstrip("/") + "/"
    for name in sorted({f[len(folder) :].split("/")[0] for f in files if f.startswith(folder)}):
        mode, size, time = _stat(folder + name, files)
        raw = name.encode()
        await write(b"DENT" + struct.pack("<4I", mode, size, time, len(raw)) + raw)
    await write(b"DONE" + bytes(16))


async def _receive(path: str, files: dict[str, bytes], write: Write) -> None:
    if path not in files:
        await _fail(write, f"open failed: No such file or directory: {path}")
        return
    content = files[path]
    for i in range(0, len(content), _CHUNK):
        part = content[i : i + _CHUNK]
        await write(b"DATA" + struct.pack("<I", len(part)) + part)
    await write(b"DONE" + struct.pack("<I", 0))


async def _send(where: str, files: dict[str, bytes], read: Read, write: Write) -> None:
    path, content = where.rsplit(",", 1)[0], b""
    while True:
        name, length = struct.unpack("<4sI", await read(8))
        if name == b"DONE":
            break
        if name != b"DATA" or length > _CHUNK or len(content) + length > _LONGEST:
            await _fail(write, f"can't take {name!r} of {length} bytes")
            return
        content += await read(length)
    files[path] = content
    await write(b"OKAY" + struct.pack("<I", 0))


async def _fail(write: Write, reason: str) -> None:
    raw = reason.encode()
    await write(b"FAIL" + struct.pack("<I", len(raw)) + raw)
