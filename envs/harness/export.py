"""Results as files: JSON for people and scripts, Parquet for tables of many runs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from homeostat.envs.harness.results import Result, nexus_ending
from homeostat.errors import ConfigError

__all__ = ["has_parquet", "write_json", "write_parquet", "write_text"]


def write_json(figures: Mapping[str, Any], path: Path) -> None:
    """Whole or not at all. Raises :class:`ConfigError` where the file can't be written."""
    write_text(json.dumps(figures, indent=1) + "\n", path)


def write_text(text: str, path: Path, option: str = "--json") -> None:
    """Whole or not at all: a kill can't leave half a file. Raises :class:`ConfigError` that names the option."""
    _whole(path, option, lambda part: part.write_text(text, encoding="utf-8"))


def has_parquet() -> bool:
    """Whether pyarrow is installed."""
    from importlib.util import find_spec

    return find_spec("pyarrow") is not None


def write_parquet(results: Sequence[Result], arguments: Mapping[str, Any], path: Path) -> None:
    """One row an episode: the fields of :class:`Result` and ``ended_nexus``.

    The run's arguments are JSON under ``homeostat.arguments`` in the file's own metadata, and a column each as text, so
    that files of many runs can be read as one table. Raises :class:`ConfigError` without pyarrow.
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
    said = {f"run_{name}": _text(value) for name, value in arguments.items()}
    rows = [
        r.model_dump()
        | {
            "ended_nexus": nexus_ending(r),
            "corrections": list(r.corrections.items()),
            "readings": list(r.readings.items()),
        }
        | said
        for r in results
    ]
    fields = [pa.field(name, kind) for name, kind in (types | dict.fromkeys(said, text)).items()]
    schema = pa.schema(fields, metadata={"homeostat.arguments": json.dumps(dict(arguments))})
    table = pa.Table.from_pylist(rows, schema=schema)
    _whole(path, "--json", lambda part: pq.write_table(table, part, compression="zstd"))


def _text(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _whole(path: Path, option: str, write: Callable[[Path], Any]) -> None:
    part = Path(f"{path}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(part)
        os.replace(part, path)
    except OSError as error:
        raise ConfigError(f"can't write {str(path)!r}: {error.strerror}; give another {option}") from None
