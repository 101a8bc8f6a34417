"""adb's transport protocol, the device's side of it: messages on the wire.

As described in the Android source tree, ``packages/modules/adb/protocol.txt``. A message is a header of six
little-endian 32-bit words (command, two arguments, payload length, payload checksum, the command's complement) and a
payload. The checksum is the sum of the payload's bytes; peers that both speak version 0x01000001 leave it unread.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum

__all__ = ["MAX_DATA", "VERSION", "Command", "Message", "ProtocolError", "read_message"]

VERSION = 0x01000001  # from this version on, peers do not check checksums
MAX_DATA = 256 * 1024
_HEADER = struct.Struct("<6I")


class Command(IntEnum):
    """What a message is."""

    CNXN = 0x4E584E43
    AUTH = 0x48545541
    OPEN = 0x4E45504F
    OKAY = 0x59414B4F
    WRTE = 0x45545257
    CLSE = 0x45534C43


class ProtocolError(Exception):
    """Bytes that are no adb message: the connection can't go on."""


@dataclass(frozen=True)
class Message:
    """One message. ``arg0`` and ``arg1`` are stream ids, or version and largest payload in ``CNXN``."""

    command: Command
    arg0: int
    arg1: int
    data: bytes = b""

    def pack(self) -> bytes:
        """The bytes on the wire, checksum included: a peer that does not need it does not mind."""
        check = sum(self.data) & 0xFFFFFFFF
        head = _HEADER.pack(self.command, self.arg0, self.arg1, len(self.data), check, self.command ^ 0xFFFFFFFF)
        return head + self.data


async def read_message(reader: asyncio.StreamReader, *, check: bool) -> Message:
    """The next message; ``check`` its checksum. Raises :class:`ProtocolError`, or ``IncompleteReadError`` at the end.

    A header is judged before its payload is waited for, so that a wrong length costs nothing.
    """
    command, arg0, arg1, length, checksum, magic = _HEADER.unpack(await reader.readexactly(_HEADER.size))
    if magic != command ^ 0xFFFFFFFF:
        raise ProtocolError(f"magic {magic:#x} does not fit the command {command:#x}")
    if length > MAX_DATA:
        raise ProtocolError(f"a payload of {length} bytes is longer than {MAX_DATA}")
    try:
        known = Command(command)
    except ValueError:
        raise ProtocolError(f"unknown command {command:#x}") from None
    data = await reader.readexactly(length)
    if check and sum(data) & 0xFFFFFFFF != checksum:
        raise ProtocolError(f"checksum {checksum:#x} does not fit the payload")
    return Message(known, arg0, arg1, data)
