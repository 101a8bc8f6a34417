"""One process at a time works on a run's folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from homeostat.errors import CheckpointError, ConfigError

__all__ = ["locked"]

_FILE = "run.lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Within it, no other process can start or resume the run. A dead process holds no lock.

    Args:
        folder: The run's folder. It is made where it does not exist.

    Yields:
        Nothing.

    Raises:
        CheckpointError: Another process works on the run.
        ConfigError: The folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _FILE, mode=0o600)
        lock.acquire(timeout=0)
    except Timeout:
        owner = _owner(folder)
        raise CheckpointError(
            f"run {str(folder)!r} is in use by another process{owner}; wait for it to end, or stop it first"
        ) from None
    except OSError as error:
        raise ConfigError(f"can't write the run folder {str(folder)!r}: {error.strerror}; give another") from None
    try:
        (folder / f"{_FILE}.pid").write_text(f"{os.getpid()}\n", encoding="ascii")
        yield
    finally:
        lock.release()


def _owner(folder: Path) -> str:
    """The process that holds the lock, where it says so."""
    try:
        return f" ({(folder / f'{_FILE}.pid').read_text(encoding='ascii').strip()})"
    except OSError:
        return ""
