"""The phone's files, which commands and ``adb push`` write. They are held in memory."""

from __future__ import annotations

import posixpath
import threading
import time
from collections import Counter
from dataclasses import dataclass

__all__ = ["File", "Files"]

_LIMIT = 64 * 2**20
_MOST = 4096  # files
_LONGEST = 512  # characters of a path
_DEEPEST = 16  # folders of a path
_FOLDERS = ("/", "/data", "/data/local", "/data/local/tmp", "/sdcard", "/sdcard/Download", "/system", "/system/bin")
_ALIASES = {"/storage/emulated/0": "/sdcard", "/storage/self/primary": "/sdcard", "/mnt/sdcard": "/sdcard"}
_SYSTEM = "/system"


@dataclass(frozen=True)
class File:
    """A file.

    Attributes:
        content: The file's bytes.
        mode: The permission bits.
        mtime: When the file was written, in seconds since 1970.
    """

    content: bytes
    mode: int = 0o644
    mtime: int = 0


class Files:
    """A tree of files, which several threads may use. A folder exists as soon as it holds a file.

    Paths are absolute, and Android's other names of the shared storage work too. Errors are ``OSError`` with the reason
    as their text.
    """

    def __init__(self) -> None:
        self._files: dict[str, File] = {}
        self._below: Counter[str] = Counter()  # the number of files in each folder and below it
        self._size = 0
        self._lock = threading.Lock()

    def path(self, path: str) -> str:
        """Normalises a path.

        Args:
            path: Any name of a file or folder.

        Returns:
            Its absolute name, without ``..`` and aliases.
        """
        clean = posixpath.normpath("/" + path.replace("\0", "")).replace("//", "/")
        for alias, name in _ALIASES.items():
            if clean == alias or clean.startswith(alias + "/"):
                return name + clean[len(alias) :]
        return clean

    def get(self, path: str) -> File | None:
        """Looks a file up.

        Args:
            path: The file's name.

        Returns:
            The file; None if there is none.
        """
        return self._files.get(self.path(path))

    def read(self, path: str) -> bytes:
        """Reads a file.

        Args:
            path: The file's name.

        Returns:
            Its content.

        Raises:
            OSError: There is no such file.
        """
        found = self.get(path)
        if found is None:
            raise OSError("Is a directory" if self.is_folder(path) else "No such file or directory")
        return found.content

    def write(self, path: str, content: bytes, *, mode: int = 0o644, mtime: int | None = None) -> None:
        """Creates or replaces a file.

        Args:
            path: The file's name.
            content: The file's bytes.
            mode: The permission bits.
            mtime: When the file was written, in seconds since 1970. None: now.

        Raises:
            OSError: The path is too long, is a folder, lies in a read-only folder or below a file, or the storage is
                full.
        """
        name = self.path(path)
        if len(name) > _LONGEST or name.count("/") > _DEEPEST:
            raise OSError("File name too long")
        if self.is_folder(name):
            raise OSError("Is a directory")
        if name == _SYSTEM or name.startswith(_SYSTEM + "/"):
            raise OSError("Read-only file system")
        with self._lock:
            if any(f in self._files for f in _folders(name)):
                raise OSError("Not a directory")
            old = self._files.get(name)
            size = self._size - (len(old.content) if old else 0) + len(content)
            if size > _LIMIT or (old is None and len(self._files) >= _MOST):
                raise OSError("No space left on device")
            self._files[name] = File(content, mode & 0o777, int(time.time()) if mtime is None else mtime)
            self._size = size
            if old is None:
                self._below.update(_folders(name))

    def remove(self, path: str) -> bool:
        """Removes a file.

        Args:
            path: The file's name.

        Returns:
            Whether the file existed.
        """
        name = self.path(path)
        with self._lock:
            old = self._files.pop(name, None)
            if old is None:
                return False
            self._size -= len(old.content)
            for folder in _folders(name):
                self._below[folder] -= 1
                if not self._below[folder]:
                    del self._below[folder]
            return True

    def is_folder(self, path: str) -> bool:
        """Whether a path is a folder.

        Args:
            path: The path.

        Returns:
            True for a folder.
        """
        name = self.path(path)
        return name in _FOLDERS or name in self._below

    def inside(self, path: str) -> list[str]:
        """Lists a folder.

        Args:
            path: The folder.

        Returns:
            The names of its files and folders, sorted.
        """
        folder = self.path(path).rstrip("/") + "/"
        with self._lock:
            names = [*self._files, *_FOLDERS]
        return sorted({f[len(folder) :].split("/")[0] for f in names if f.startswith(folder)} - {""})

    def below(self, path: str) -> list[str]:
        """Lists the files of a folder and of all folders below it.

        Args:
            path: The folder.

        Returns:
            The files' absolute names, sorted.
        """
        folder = self.path(path).rstrip("/") + "/"
        return sorted(f for f in list(self._files) if f.startswith(folder))


def _folders(name: str) -> list[str]:
    """The folders that a file is in, the outermost first, without the root."""
    parts = name.split("/")[1:-1]
    return ["/" + "/".join(parts[:depth]) for depth in range(1, len(parts) + 1)]
