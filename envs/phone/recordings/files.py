"""Recordings on disk: ``recording.json`` and ``frames/<sha256>.png``; and as a moving picture to look at."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image
from pydantic import TypeAdapter, ValidationError

from homeostat.envs.core import TaskInfo
from homeostat.envs.phone.recordings.record import Moment, Recording
from homeostat.envs.screens import load_screen, save_screen
from homeostat.errors import ConfigError, TraceError

__all__ = ["export_picture", "load_recording", "save_recording"]

_FILE = "recording.json"
_MOMENTS = TypeAdapter(tuple[Moment, ...])
_FORMATS = {".gif": "GIF", ".webp": "WEBP", ".png": "PNG"}


def save_recording(recording: Recording, folder: Path) -> None:
    """Write the recording into a folder, which may hold none yet. Raises :class:`ConfigError`."""
    if (folder / _FILE).exists():
        raise ConfigError(f"folder {str(folder)!r} already holds a recording; give another folder")
    try:
        (folder / "frames").mkdir(parents=True, exist_ok=True)
        frames = [save_screen(folder / "frames", frame) for frame in recording.frames]
        data = {
            "task": recording.task.model_dump(mode="json"),
            "split": recording.split,
            "frames": frames,
            "steps": recording.steps,
            "moments": _MOMENTS.dump_python(recording.moments, mode="json"),
            "start": recording.start,
        }
        part = folder / f"{_FILE}.part"
        part.write_text(json.dumps(data), encoding="utf-8")
        part.replace(folder / _FILE)
    except OSError as error:
        raise ConfigError(f"can't write the recording {str(folder)!r}: {error.strerror}; give another folder") from None


def load_recording(folder: Path) -> Recording:
    """Read a recording back. Raises :class:`TraceError` where it is missing or damaged."""
    path = folder / _FILE
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        recording = Recording(
            TaskInfo.model_validate(data["task"]),
            data["split"],
            tuple(load_screen(folder / "frames", digest) for digest in data["frames"]),
            tuple(data["steps"]),
            _MOMENTS.validate_python(data["moments"]),
            {table: tuple(rows) for table, rows in data["start"].items()},
        )
    except OSError as error:
        raise TraceError(f"recording {str(path)!r} can't be read: {error.strerror}; record it anew") from None
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        problem = str(error).splitlines()[0]
        raise TraceError(f"recording {str(path)!r} is damaged ({problem}); record it anew") from None
    return recording


def export_picture(recording: Recording, path: Path, *, seconds: float = 0.6) -> None:
    """Write a moving picture (``.gif``, ``.webp``, or ``.png`` for an animated PNG), each frame for so many seconds.

    Raises :class:`ConfigError` for another ending, a time that is not positive, or a path that can't be written.
    """
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"{str(path)!r} is no moving picture; end it in {', '.join(_FORMATS)}")
    if not 0 < seconds <= 60:
        raise ConfigError(f"seconds {seconds!r} are out of range; choose more than 0 and at most 60")
    first, *rest = (Image.fromarray(frame) for frame in recording.frames)
    try:
        first.save(
            path,
            format=_FORMATS[path.suffix.lower()],
            save_all=True,
            append_images=rest,
            duration=round(1000 * seconds),
            loop=0,
            lossless=True,  # WebP's own; the other formats are
        )
    except OSError as error:
        raise ConfigError(f"can't write {str(path)!r}: {error.strerror or error}; give another path") from None
