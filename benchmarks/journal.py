"""Rows of a long run in a file of JSON lines. Each is written when it is finished, so a run that ended can go on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["Journal"]


class Journal:
    """Finished rows.

    Attributes:
        path: The file; None keeps the rows in memory only.
        rows: The rows so far.
    """

    def __init__(self, path: Path | None) -> None:
        """Reads the finished rows. A last line that was cut off is dropped from the file.

        Args:
            path: The file; it need not exist yet.
        """
        self.path = path
        self.rows: list[dict[str, Any]] = []
        if path is None:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]
        if len(whole) < len(lines):
            path.write_text("".join(whole), encoding="utf-8")
        self.rows = [json.loads(line) for line in whole]

    def has(self, **key: Any) -> bool:
        """Tests whether a row with these values is finished."""
        return any(all(row[name] == value for name, value in key.items()) for row in self.rows)

    def add(self, row: Mapping[str, Any]) -> None:
        """Writes a row."""
        self.rows.append(dict(row))
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(row) + "\n")
