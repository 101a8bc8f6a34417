"""Span masses as a file: one ``.npz`` that holds every field exactly as it was.

Arrays are stored as arrays, everything else as JSON. A file is read without pickle, so that it can hold no code. A file
from elsewhere is checked: its arrays have the shapes that their names promise, and it unpacks to a bounded size.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, visible
from homeostat.regular_files import open_regular
from homeostat.sensors.spans import Spans

if TYPE_CHECKING:
    from homeostat.sensors.attempts import SpanMass

__all__ = ["read_fields", "write_fields"]

_FORMAT = "homeostat span masses, version 1"
_MOST = 16 * 2**30
"""The most bytes that a file may unpack to."""
_ALWAYS = 2**30
"""So many bytes a file may unpack to, however small it is."""
_RATIO = 100
"""To so many times its size a larger file may unpack. Weights are packed to no less than a tenth."""

_SHAPES = {
    "mass": "TLHS",
    "prompt_mass": "WLHS",
    "lengths": "S",
    "visible": "T",
    "sink": "TLH",
    "sink_in_span": "TLHS",
    "index": "T",
    "keys": "TLH*",
    "recent": "TLH*",
    "entropy": "TLH",
    "distance": "TLH",
    "top": "TLH",
    "received": "LH*",
    "outputs": "TLH*",
    "prompt_keys": "TLH*",
}
"""The axes of each array; ``*`` may have any length."""


def write_fields(mass: SpanMass, path: str | os.PathLike[str]) -> Path:
    """Writes span masses to a file, which is replaced as a whole.

    Args:
        mass: The span masses.
        path: The file, which usually ends in ``.npz``. Missing folders are created.

    Returns:
        The file.

    Raises:
        ConfigError: The file can't be written, or a field holds Python objects.
    """
    file, arrays, told = Path(path), dict[str, NDArray[Any]](), dict[str, Any]()
    for one in fields(mass):
        value = getattr(mass, one.name)
        if isinstance(value, np.ndarray):
            arrays[one.name] = value
        elif isinstance(value, Spans):
            told[one.name] = {"ranges": {label: list(value[label]) for label in value}, "length": value.length}
        elif isinstance(value, Mapping) and any(isinstance(v, np.ndarray) for v in value.values()):
            told[one.name] = list(value)  # labels may hold any character, so they do not name the zip file's entries
            arrays |= {f"{one.name}.{k}": array for k, array in enumerate(value.values())}
        elif value is not None:
            told[one.name] = dict(value) if isinstance(value, Mapping) else value
    if strange := next((name for name, array in arrays.items() if array.dtype.hasobject), None):
        raise ConfigError(f"{strange!r} holds Python objects, which a file can't hold; make it an array of numbers")
    header = np.frombuffer(json.dumps({"format": _FORMAT, "fields": told}, default=_plain).encode(), np.uint8)
    if file.exists() and (not file.is_file() or Path(os.path.abspath(file)).is_relative_to("/dev")):
        raise ConfigError(f"{str(file)!r} is a device, a pipe or a folder; give another file")
    part = file.with_name(f"{file.name}.part")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)  # a link of this name is not written through
        with part.open("xb") as stream:
            np.savez_compressed(stream, allow_pickle=False, header=header, **arrays)
        os.replace(part, file)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise ConfigError(f"can't write {str(file)!r}: {error.strerror}; give another file") from None
    return file


def read_fields(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads what :func:`write_fields` wrote.

    Args:
        path: The file.

    Returns:
        The fields of :class:`~homeostat.sensors.SpanMass` by name.

    Raises:
        ConfigError: The file can't be read, or holds something else.
    """
    try:
        with open_regular(Path(path)) as file:
            with zipfile.ZipFile(file) as archive:
                size, packed = sum(one.file_size for one in archive.infolist()), file.seek(0, os.SEEK_END)
            if size > min(_MOST, max(_ALWAYS, _RATIO * packed)):
                raise ValueError(f"its {packed:,} bytes unpack to {size:,}")
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                arrays = {name: stored[name] for name in stored.files}
        header = json.loads(arrays.pop("header").tobytes())
        if header["format"] != _FORMAT:
            raise ValueError(f"its format is {str(header['format'])[:60]!r}")
        found = _fields(header["fields"], arrays)
        _check(found)
        return found
    except OSError as error:
        raise ConfigError(
            f"can't read {str(path)!r}: {error.strerror or error}; give a file of SpanMass.save"
        ) from None
    except Exception as error:  # zip, zlib, numpy and JSON raise errors of many kinds for a damaged file
        reason = clipped(visible(str(error)), 120) or type(error).__name__
        raise ConfigError(f"{str(path)!r} holds no span masses ({reason}); give a file of SpanMass.save") from None


def _fields(told: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {name: array for name, array in arrays.items() if "." not in name}
    for name, value in told.items():
        if name == "spans":
            found[name] = Spans(value["ranges"], value["length"])
        elif isinstance(value, list) and any(key.startswith(f"{name}.") for key in arrays):
            found[name] = {label: arrays[f"{name}.{k}"] for k, label in enumerate(value)}
        else:
            found[name] = tuple(value) if isinstance(value, list) else value
    return found


def _check(found: Mapping[str, Any]) -> None:
    """Raises ValueError where an axis has not the length that other fields give it."""
    for name, kind in (("labels", str), ("layers", int)):
        if not all(isinstance(one, kind) for one in found[name]):
            raise ValueError(f"{name!r} has another form")
    sizes = {"S": len(found["labels"]), "L": len(found["layers"]), "T": len(found["mass"]), "H": found["mass"].shape[2]}
    for name, axes in _SHAPES.items():
        value = found.get(name)
        if value is None:
            if name in ("mass", "prompt_mass", "lengths", "visible"):
                raise ValueError(f"it has no {name!r}")
            continue
        for array in value.values() if isinstance(value, Mapping) else (value,):
            wanted = tuple(sizes.get(axis, length) for axis, length in zip(axes, array.shape, strict=False))
            if array.ndim != len(axes) or wanted != array.shape:
                raise ValueError(f"{name!r} has the shape {array.shape}")
            if array.dtype.kind not in "fiu":
                raise ValueError(f"{name!r} has the type {array.dtype}")


def _plain(value: Any) -> Any:
    """A numpy number as JSON writes it."""
    if isinstance(value, np.generic):
        return value.item()
    raise ConfigError(f"{value!r} can't be written to a file; make it a number or a text")
