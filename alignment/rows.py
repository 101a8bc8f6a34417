"""Reads rows of data from files: JSON lines, or JSON with a list of objects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from homeostat.data_files import DataError, parse_json
from homeostat.errors import ConfigError

__all__ = ["read_rows"]


def read_rows(file: Path) -> Iterator[Mapping[str, Any]]:
    """Reads the rows of a file, whatever its suffix.

    Args:
        file: A file with one JSON object on each line, or with one JSON list of objects.

    Yields:
        The rows, in order.

    Raises:
        ConfigError: The file can't be read, or a row is no JSON object. The message names the file and the row.
    """
    try:
        data = file.read_bytes().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ConfigError(f"{str(file)!r} can't be read: {error.strerror}; give a .jsonl or .json file") from None
    rows = _list(file, data) if data.lstrip().startswith(b"[") else _lines(file, data)
    for n, row in rows:
        if not isinstance(row, dict):
            raise ConfigError(f"{file.name} row {n} is a {type(row).__name__}; each row must be a JSON object")
        yield row


def _list(file: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    try:
        yield from enumerate(parse_json(data), start=1)
    except DataError as error:
        raise ConfigError(f"{file.name} is not valid JSON ({error}); give a list of objects") from None


def _lines(file: Path, data: bytes) -> Iterator[tuple[int, Any]]:
    lines = [(n, line) for n, line in enumerate(data.split(b"\n"), start=1) if line.strip()]
    try:
        yield 1, parse_json(data)  # one object, which may extend over several lines
        return
    except DataError as error:
        if len(lines) == 1:
            raise ConfigError(
                f"{file.name} row {lines[0][0]} is not valid JSON ({error}); write one object on each line"
            ) from None
    for n, line in lines:
        try:
            yield n, parse_json(line)
        except DataError as error:
            raise ConfigError(
                f"{file.name} row {n} is not valid JSON ({error}); write one object on each line"
            ) from None
