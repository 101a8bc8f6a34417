"""Messages of adb's transport protocol, from the device's side.

Source: ``packages/modules/adb/protocol.txt`` in the Android source tree. A message is a header of six little-endian
32-bit words (command, two arguments, payload length, payload checksum, the command's complement) and a payload. The
checksum is the sum of the payload's bytes. Two peers of version 0x01000001 ignore it.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

__all__ = ["MAX_DATA", "VERSION", "Command", "Message", "ProtocolError", "read_message"]

VERSION = 0x01000001  # from this version on, peers ignore checksums
"""The protocol's version."""
MAX_DATA = 256 * 1024
"""The largest payload in bytes."""
_HEADER = struct.Struct("<6I")


class Command(IntEnum):
    """The type of a message."""

    CNXN = 0x4E584E43
    AUTH = 0x48545541
    OPEN = 0x4E45504F
    OKAY = 0x59414B4F
    WRTE = 0x45545257
    CLSE = 0x45534C43


class ProtocolError(Exception):
    """Bytes that are no adb message, after which the connection can't continue."""


@dataclass(frozen=True)
class Message:
    """One message.

    Attributes:
        command: The type of message.
        arg0: The sender's stream id; in ``CNXN`` the version.
        arg1: The receiver's stream id; in ``CNXN`` the largest payload.
        data: The payload.
    """

    command: Command
    arg0: int
    arg1: int
    data: bytes = b""

    def pack(self) -> bytes:
        """Returns the message's bytes, with the checksum, which newer peers ignore."""
        check = _checksum(self.data)
        head = _HEADER.pack(self.command, self.arg0, self.arg1, len(self.data), check, self.command ^ 0xFFFFFFFF)
        return head + self.data


def _checksum(data: bytes) -> int:
    return int(np.frombuffer(data, np.uint8).sum(dtype=np.uint64)) & 0xFFFFFFFF


async def read_message(reader: asyncio.StreamReader, *, check: bool) -> Message:
    """Reads the next message. The header is checked before the payload is awaited, so a wrong length costs nothing.

    Args:
        reader: The connection.
        check: Whether to check the payload's checksum.

    Returns:
        The message.

    Raises:
        ProtocolError: The bytes are no adb message.
        asyncio.IncompleteReadError: The connection has ended.
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
    if check and _checksum(data) != checksum:
        raise ProtocolError(f"checksum {checksum:#x} does not fit the payload")
    return Message(known, arg0, arg1, data)
