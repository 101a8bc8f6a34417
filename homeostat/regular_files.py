"""Reads files from folders that somebody else may have filled.

An archive can hold named pipes and links to devices. Reading a pipe waits for ever, and ``/dev/zero`` has no end. So a
file is opened without waiting, and it is read only if it is a regular file.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["open_regular", "read_regular"]


def open_regular(path: Path, *, follow: bool = True) -> BinaryIO:
    """Opens a regular file for reading.

    Args:
        path: The file.
        follow: Whether the path itself may be a symbolic link to a file.

    Returns:
        The open file, in binary mode.

    Raises:
        OSError: The file can't be opened, or is a pipe, a device, a socket or a folder; without ``follow``, a link.
    """
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    opened = os.open(path, flags if follow else flags | getattr(os, "O_NOFOLLOW", 0))
    if not stat.S_ISREG(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "not a regular file")
    return os.fdopen(opened, "rb")


def read_regular(path: Path, limit: int, *, follow: bool = True) -> bytes:
    """Reads a regular file.

    Args:
        path: The file.
        limit: The most bytes that it may hold.
        follow: Whether the path itself may be a symbolic link to a file.

    Returns:
        Its content.

    Raises:
        OSError: The file can't be opened, is no regular file, or is larger than the limit.
    """
    with open_regular(path, follow=follow) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise OSError(errno.EFBIG, f"more than {limit:,} bytes")
    return data
