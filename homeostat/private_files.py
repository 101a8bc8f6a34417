"""Files and folders that only their owner may read: a run shows what was on somebody's screen."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["make_private_folder", "open_private", "write_private"]


def make_private_folder(path: Path) -> None:
    """Makes a folder with mode 0700; one that exists already gets that mode. Missing parents get the default mode.

    Args:
        path: The folder.

    Raises:
        OSError: The folder can't be made.
    """
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & 0o777 != 0o700:
        path.chmod(0o700)


def open_private(path: Path, flags: int) -> int:
    """Opens a file; a new one gets mode 0600.

    Args:
        path: The file.
        flags: The flags of ``os.open`` besides ``O_CREAT``.

    Returns:
        The file descriptor.

    Raises:
        OSError: The file can't be opened.
    """
    return os.open(path, flags | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)


def write_private(path: Path, data: bytes) -> None:
    """Writes a whole file with mode 0600 under a temporary name beside it, then renames it.

    Whatever has the temporary name is deleted first, so a link of that name is never written through.

    Args:
        path: The file.
        data: Its content.

    Raises:
        OSError: The file can't be written. Nothing of it is left behind.
    """
    part = path.with_name(f"{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        with os.fdopen(open_private(part, os.O_WRONLY | os.O_EXCL), "wb") as file:
            file.write(data)
        os.replace(part, path)
    except OSError:
        part.unlink(missing_ok=True)
        raise
