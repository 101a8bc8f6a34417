"""Draws the hierarchy table: what each row gains on conflicts, and what it costs on aligned cases.

    python benchmarks/hierarchy_plot.py docs/evidence/hierarchy.json docs/plots/hierarchy.png \
        --adapters docs/plots/hierarchy_adapters.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from homeostat.plots import Interval, intervals

SIDES = {"gain": "rule kept in conflicts", "twins_gain": "aligned cases done"}


def draw(found: dict[str, Any], file: Path) -> None:
    """Draws one panel for each column, with a pair of points with intervals for each row."""
    tables = {**found["table"], "all columns": found["pooled"]}
    if len(found["table"]) == 1:
        tables.pop("all columns")
    _save({name: _points(table) for name, table in tables.items()}, 3, file)


def draw_adapters(found: dict[str, Any], file: Path) -> None:
    """Draws the adapters beside the rows of the column that they were asked, in one panel."""
    adapters = found["adapters"]
    rows = _points(found["table"][adapters["column"]]) | _points(adapters["rows"])
    _save({f"{adapters['column']}, {found['model']}": rows}, 1, file)


def _points(table: dict[str, Any]) -> dict[str, dict[str, Interval]]:
    """The differences of every row to the bare model."""
    return {
        row: {
            label: (one[key]["mean"], one[key]["low"], one[key]["high"]) for key, label in SIDES.items() if key in one
        }
        for row, one in table.items()
        if row not in ("bare", "base")
    }


def _save(panels: dict[str, dict[str, dict[str, Interval]]], columns: int, file: Path) -> None:
    intervals(panels, x_label="points against bare", factor=100, zero=0, columns=columns).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", type=Path, help="the figures of evidence_hierarchy.py")
    parser.add_argument("png", type=Path, help="the image of the table")
    parser.add_argument("--adapters", type=Path, help="the image of the adapters that hierarchy_adapters.py added")
    args = parser.parse_args()
    found = json.loads(args.json.read_text())
    draw(found, args.png)
    if args.adapters:
        if "adapters" not in found:
            parser.error(f"{args.json} holds no adapters; add them with benchmarks/hierarchy_adapters.py")
        draw_adapters(found, args.adapters)


if __name__ == "__main__":
    main()
