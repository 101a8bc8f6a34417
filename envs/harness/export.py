"""Results as files: JSON for people and scripts, Parquet for tables that cover many runs."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.data_files import StrPath
from homeostat.envs.harness.results import Result, nexus_ending
from homeostat.errors import ConfigError

__all__ = ["has_parquet", "is_stream", "write_json", "write_parquet", "write_text", "write_whole"]


def write_json(figures: Mapping[str, Any], path: StrPath) -> None:
    """Writes figures as JSON. The file is replaced as a whole, so an interruption never leaves half of it.

    Args:
        figures: Plain data, such as :func:`homeostat.envs.harness.summary` returns.
        path: The file.

    Raises:
        ConfigError: The file can't be written.
    """
    write_text(json.dumps(figures, indent=1) + "\n", Path(path))


def write_text(text: str, path: Path, option: str = "--json") -> None:
    """Writes a text file. The file is replaced as a whole, so an interruption never leaves half of it.

    Args:
        text: The file's content.
        path: The file.
        option: The command-line option that named the file, for the error message.

    Raises:
        ConfigError: The file can't be written.
    """
    write_whole(path, option, lambda part: part.write_text(text, encoding="utf-8"))


def write_whole(path: Path, option: str, write: Callable[[Path], Any]) -> None:
    """Writes a file under a temporary name beside it, then renames it, so that it is either old or complete.

    A link stays a link: the file that it points to is replaced. A device, a pipe or a terminal (see :func:`is_stream`)
    is written to as it is.

    Args:
        path: The file. Missing folders are created.
        option: The command-line option that named the file, for the error message.
        write: Writes the content to the path that it is given.

    Raises:
        ConfigError: The file can't be written.
    """
    try:
        if is_stream(path):
            write(path)
            return
        target = Path(os.path.realpath(path)) if path.is_symlink() else path
        part = Path(f"{target}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(part)
            os.replace(part, target)
        except OSError:
            part.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise ConfigError(f"can't write {str(path)!r}: {error.strerror}; give another {option}") from None


def is_stream(path: Path) -> bool:
    """Whether a path names no file that could be replaced: a device, a pipe, or what a process has open.

    Args:
        path: The path, such as ``/dev/stdout``.

    Returns:
        True for these; False for a regular file, a folder, and a path where nothing is yet.
    """
    place = Path(os.path.abspath(path))
    try:
        kind = place.stat().st_mode
    except OSError:
        return False
    opened = any(place.is_relative_to(folder) for folder in ("/dev", "/proc")) and not place.is_relative_to("/dev/shm")
    return opened or not (stat.S_ISREG(kind) or stat.S_ISDIR(kind))


def has_parquet() -> bool:
    """Whether pyarrow, which writes Parquet files, is installed.

    Returns:
        True if it can be imported.
    """
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def write_parquet(results: Sequence[Result], arguments: Mapping[str, Any], path: Path) -> None:
    """Writes one row per episode: the fields of :class:`Result`, and ``ended_nexus``.

    The run's arguments are stored twice: as JSON under ``homeostat.arguments`` in the file's metadata, and as one text
    column each (``run_model``, …), so that the files of many runs can be read as one table.

    Args:
        results: The run's episodes.
        arguments: What the run was started with.
        path: The file.

    Raises:
        ConfigError: pyarrow is not installed, or the file can't be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise ConfigError("a Parquet file needs pyarrow; pip install 'homeostat[harness]'") from None
    text, whole, number = pa.string(), pa.int64(), pa.float64()
    types = {
        "index": whole,
        "task": text,
        "kind": text,
        "seed": whole,
        "goal": text,
        "success": pa.bool_(),
        "obeyed": pa.bool_(),
        "fixation": pa.map_(text, whole),
        "ended": text,
        "ended_nexus": text,
        "reason": text,
        "steps": whole,
        "optimal_steps": whole,
        "calls": whole,
        "tokens": whole,
        "prompt_tokens": whole,
        "seconds": number,
        "step_seconds": pa.list_(number),
        "corrections": pa.map_(text, whole),
        "readings": pa.map_(text, pa.list_(number)),
    }
    run = {f"run_{name}": _text(value) for name, value in arguments.items()}
    rows = [
        r.model_dump()
        | {
            "ended_nexus": nexus_ending(r),
            "corrections": list(r.corrections.items()),
            "fixation": None if r.fixation is None else list(r.fixation.model_dump().items()),
            "readings": list(r.readings.items()),
        }
        | run
        for r in results
    ]
    fields = [pa.field(name, kind) for name, kind in (types | dict.fromkeys(run, text)).items()]
    schema = pa.schema(fields, metadata={"homeostat.arguments": json.dumps(dict(arguments))})
    table = pa.Table.from_pylist(rows, schema=schema)
    write_whole(path, "--json", lambda part: pq.write_table(table, part, compression="zstd"))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
