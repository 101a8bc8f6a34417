"""Recordings on disk, as ``recording.json`` and ``frames/<sha256>.png``, and their export as moving pictures."""

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
    """Writes a recording into a folder.

    Args:
        recording: The recording.
        folder: The folder. It is created, and it must not hold a recording.

    Raises:
        ConfigError: The folder already holds a recording or can't be written.
    """
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
    """Reads a recording back.

    Args:
        folder: The folder that it was saved in.

    Returns:
        The recording.

    Raises:
        TraceError: The recording is missing or damaged.
    """
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
        raise TraceError(f"recording {str(path)!r} can't be read: {error.strerror}; record it again") from None
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        problem = str(error).splitlines()[0]
        raise TraceError(f"recording {str(path)!r} is damaged ({problem}); record it again") from None
    return recording


def export_picture(recording: Recording, path: Path, *, seconds: float = 0.6) -> None:
    """Writes a recording as a moving picture.

    Args:
        recording: The recording.
        path: The file, which ends in ``.gif``, ``.webp``, or ``.png`` for an animated PNG.
        seconds: The duration of each frame.

    Raises:
        ConfigError: The ending is unknown, ``seconds`` is out of range, or the path can't be written.
    """
    if path.suffix.lower() not in _FORMATS:
        raise ConfigError(f"{str(path)!r} is not a moving picture; use the ending {', '.join(_FORMATS)}")
    if not 0 < seconds <= 60:
        raise ConfigError(f"seconds {seconds!r} is out of range; choose more than 0 and at most 60")
    first, *rest = (Image.fromarray(frame) for frame in recording.frames)
    try:
        first.save(
            path,
            format=_FORMATS[path.suffix.lower()],
            save_all=True,
            append_images=rest,
            duration=round(1000 * seconds),
            loop=0,
            lossless=True,  # an option of WebP; the other formats are always lossless
        )
    except OSError as error:
        raise ConfigError(f"can't write {str(path)!r}: {error.strerror or error}; give another path") from None
