"""The phone's files: what commands and ``adb push`` wrote, in memory."""

from __future__ import annotations

import posixpath
import threading
import time
from dataclasses import dataclass

__all__ = ["File", "Files"]

_LIMIT = 64 * 2**20
_FOLDERS = ("/", "/data", "/data/local", "/data/local/tmp", "/sdcard", "/sdcard/Download", "/system", "/system/bin")
_ALIASES = {"/storage/emulated/0": "/sdcard", "/storage/self/primary": "/sdcard", "/mnt/sdcard": "/sdcard"}
_SYSTEM = "/system"


@dataclass(frozen=True)
class File:
    """A file's content, its permissions, and when it was written (seconds since 1970)."""

    content: bytes
    mode: int = 0o644
    mtime: int = 0


class Files:
    """A tree of files. Folders are there as soon as a file is in them. Safe to use from several threads.

    Paths are absolute; the shared storage has Android's several names. Raises ``OSError`` with the reason as text.
    """

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._lock = threading.Lock()

    def path(self, path: str) -> str:
        """The one name of a path: absolute, without ``..`` and aliases."""
        clean = posixpath.normpath("/" + path.replace("\0", "")).replace("//", "/")
        for alias, name in _ALIASES.items():
            if clean == alias or clean.startswith(alias + "/"):
                return name + clean[len(alias) :]
        return clean

    def get(self, path: str) -> File | None:
        """The file, None where there is none."""
        return self._files.get(self.path(path))

    def read(self, path: str) -> bytes:
        """The file's content."""
        found = self.get(path)
        if found is None:
            raise OSError("Is a directory" if self.is_folder(path) else "No such file or directory")
        return found.content

    def write(self, path: str, content: bytes, *, mode: int = 0o644, mtime: int | None = None) -> None:
        """Make the file, or put this content in its place."""
        name = self.path(path)
        if self.is_folder(name):
            raise OSError("Is a directory")
        if name == _SYSTEM or name.startswith(_SYSTEM + "/"):
            raise OSError("Read-only file system")
        with self._lock:
            if any(name.startswith(f + "/") for f in self._files):
                raise OSError("Not a directory")
            others = sum(len(f.content) for n, f in self._files.items() if n != name)
            if others + len(content) > _LIMIT:
                raise OSError("No space left on device")
            self._files[name] = File(content, mode & 0o777, int(time.time()) if mtime is None else mtime)

    def remove(self, path: str) -> bool:
        """Take the file away; whether it was there."""
        with self._lock:
            return self._files.pop(self.path(path), None) is not None

    def is_folder(self, path: str) -> bool:
        """Whether the path is a folder."""
        name = self.path(path)
        return name in _FOLDERS or any(f.startswith(name.rstrip("/") + "/") for f in list(self._files))

    def inside(self, path: str) -> list[str]:
        """The names in a folder, in order."""
        folder = self.path(path).rstrip("/") + "/"
        return sorted(
            {f[len(folder) :].split("/")[0] for f in (*self._files, *_FOLDERS) if f.startswith(folder)} - {""}
        )

    def below(self, path: str) -> list[str]:
        """Every file's path in a folder and in the folders in it."""
        folder = self.path(path).rstrip("/") + "/"
        return sorted(f for f in list(self._files) if f.startswith(folder))
