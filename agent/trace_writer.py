"""Writes a run's folder, as :mod:`homeostat.agent.trace` describes it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError
from pydantic_core import PydanticSerializationError

from homeostat.agent.attention_record import AttentionRecord
from homeostat.agent.events import Event, event_from_json
from homeostat.agent.trace import ATTENTION, FILE
from homeostat.envs.screens import save_screen, screen_digest
from homeostat.errors import CheckpointError, ConfigError, EnvError, TraceError
from homeostat.foreign_text import clipped, quoted
from homeostat.private_files import make_private_folder, open_private, write_private
from homeostat.redaction import redact, redact_data

__all__ = ["TraceWriter"]

_DIGEST = re.compile("[0-9a-f]{64}")
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|.)")


class TraceWriter:
    """Writes one run's folder.

    Attributes:
        folder: The folder.
    """

    def __init__(self, folder: Path, *, resume_at: int | None = None) -> None:
        """Opens the folder, and makes it where it does not exist.

        Args:
            folder: The run's folder.
            resume_at: How many events of an existing trace are kept; those behind are cut off, because they happen
                again. None starts a new trace.

        Raises:
            ConfigError: The folder can't be written, or already holds a run that is not to be resumed.
        """
        self.folder = folder
        self._path = folder / FILE
        self._known: set[str] = set()
        if resume_at is None and self._path.exists():
            raise ConfigError(f"run folder {str(folder)!r} already holds a run; resume it or give another folder")
        try:
            for path in (folder, folder / "screens", folder / "snapshots"):
                make_private_folder(path)
            if resume_at is not None:
                self._truncate(resume_at)
            self._file = os.fdopen(open_private(self._path, os.O_WRONLY | os.O_APPEND), "ab", buffering=0)
            self._size = self._path.stat().st_size
        except OSError as error:
            raise ConfigError(f"can't write the run folder {str(folder)!r}: {error.strerror}; give another") from None

    def write(self, event: Event) -> None:
        """Appends one event.

        Args:
            event: The event.

        Raises:
            TraceError: The event holds a number that is not finite, or the file can't be written. The file then holds
                nothing of the event.
        """
        line = _line(event)
        with self._writing():
            try:
                left = memoryview(line)
                while left:
                    left = left[self._file.write(left) or 0 :]
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self._size)  # a part of a line would spoil the next one
                raise
        self._size += len(line)

    def screen(self, image: NDArray[np.uint8]) -> str:
        """Saves a screenshot as PNG, once.

        Args:
            image: (height, width, 3) uint8.

        Returns:
            Its name, the sha256 of its pixels and shape.
        """
        digest = screen_digest(image)
        if digest not in self._known:
            with self._writing():
                save_screen(self.folder / "screens", image, digest)
            self._known.add(digest)
        return digest

    def snapshot(self, state: dict[str, Any]) -> str:
        """Saves an environment's state, once.

        Args:
            state: JSON-able data.

        Returns:
            Its name, the sha256 of its JSON text.

        Raises:
            EnvError: The state is no JSON data.
            TraceError: The file can't be written.
        """
        try:
            data = json.dumps(state, sort_keys=True, separators=(",", ":")).encode()
        except (TypeError, ValueError, RecursionError) as error:
            raise EnvError(f"the environment's snapshot is no JSON data ({clipped(str(error), 120)})") from None
        digest = hashlib.sha256(data).hexdigest()
        path = self.folder / "snapshots" / f"{digest}.json"
        if not path.exists():
            with self._writing():
                write_private(path, data)
        return digest

    @property
    def keeps_attention(self) -> bool:
        """Whether the run keeps the attention on every token of each prompt."""
        return (self.folder / ATTENTION).is_dir()

    def keep_attention(self) -> None:
        """Makes the folder for the attention on every token of each prompt.

        Raises:
            TraceError: The folder can't be made.
        """
        with self._writing():
            make_private_folder(self.folder / ATTENTION)

    def attention(self, name: str, record: AttentionRecord) -> str:
        """Saves the attention on every token of a prompt, without secrets of known forms.

        Args:
            name: The name of the model call, such as ``"3-0"``.
            record: The attention.

        Returns:
            The file's name.

        Raises:
            TraceError: The file can't be written.
        """
        file = f"{name}.npz"
        with self._writing():
            write_private(self.folder / ATTENTION / file, record.redacted().to_bytes())
        return file

    def load_snapshot(self, digest: str) -> dict[str, Any]:
        """Loads an environment's state.

        Args:
            digest: Its name, as :meth:`snapshot` returned it.

        Returns:
            The state.

        Raises:
            CheckpointError: The file is missing or damaged.
        """
        if not _DIGEST.fullmatch(digest):
            raise CheckpointError(f"the checkpoint names the snapshot {quoted(digest)}, which is no name of one")
        path = self.folder / "snapshots" / f"{digest}.json"
        try:
            data = path.read_bytes()
        except OSError:
            raise CheckpointError(f"snapshot {str(path)!r} is missing; start the run anew") from None
        if hashlib.sha256(data).hexdigest() != digest:
            raise CheckpointError(f"snapshot {str(path)!r} is damaged; start the run anew")
        state: dict[str, Any] = json.loads(data)
        return state

    def close(self) -> None:
        """Closes the trace's file."""
        self._file.close()

    def _truncate(self, events: int) -> None:
        """Drops the events that were written after the checkpoint from which the run resumes. They happen again."""
        if not self._path.exists():
            raise CheckpointError(f"trace {str(self._path)!r} is missing; start the run anew")
        lines = self._path.read_bytes().split(b"\n")[:-1]
        if len(lines) < events:
            raise CheckpointError(
                f"trace {str(self._path)!r} holds {len(lines)} events, but its checkpoint covers {events}; "
                "a part of the trace is lost: start the run anew"
            )
        write_private(self._path, b"".join(line + b"\n" for line in lines[:events]))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Within it, a full or failing disk is a TraceError that says what to do."""
        try:
            yield
        except OSError as error:
            raise TraceError(
                f"can't write to the run folder {str(self.folder)!r}: {error.strerror or error}; "
                "free or mend the disk, then resume the run"
            ) from None


def _line(event: Event) -> bytes:
    """One line of the trace: JSON that can be read again, without secrets and halves of surrogate pairs."""
    try:
        line = event.model_dump_json()
    except PydanticSerializationError:
        data = _encodable(event.model_dump())
        line = type(event).model_validate(data).model_dump_json()
    try:
        event_from_json(line)  # pydantic writes NaN as null, which could not be read again
    except ValidationError as error:
        where = ".".join(map(str, error.errors(include_input=False)[0]["loc"]))
        raise TraceError(
            f"event {event.kind!r} of step {event.step} can't be stored: {clipped(where, 80)} is no finite number; the "
            "model, sensor or environment that gave it is at fault"
        ) from None
    # Secrets are rare, so the line is looked at as a whole first, with escapes such as \\n as the blanks that they are.
    plain = _ESCAPE.sub(" ", line) if "\\" in line else line
    if redact(plain) != plain:
        line = json.dumps(redact_data(json.loads(line)), ensure_ascii=False, separators=(",", ":"))
    return line.encode() + b"\n"


def _encodable(value: Any) -> Any:
    """The same data with U+FFFD in place of halves of surrogate pairs, which UTF-8 can't express."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_encodable(item) for item in value)
    return value
