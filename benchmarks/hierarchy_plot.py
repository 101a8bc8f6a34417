"""Draws the hierarchy table: what each row gains on conflicts, and what it costs on aligned cases.

python benchmarks/hierarchy_plot.py docs/evidence/hierarchy.json docs/plots/hierarchy.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from homeostat.plots import Interval, intervals

SIDES = {"gain": "rule kept in conflicts", "twins_gain": "aligned cases done"}


def draw(found: dict[str, Any], file: Path) -> None:
    """Draws one panel for each column, with a pair of points with intervals for each row; adapters have their own."""
    tables = {**found["table"], "all columns": found["pooled"]}
    if len(found["table"]) == 1:
        tables.pop("all columns")
    adapters = found.get("adapters")
    if adapters:
        tables[f"{adapters['column']}, adapters"] = adapters["rows"]
    panels: dict[str, dict[str, dict[str, Interval]]] = {}
    for name, table in tables.items():
        panels[name] = {
            row: {
                label: (one[key]["mean"], one[key]["low"], one[key]["high"])
                for key, label in SIDES.items()
                if key in one
            }
            for row, one in table.items()
            if row not in ("bare", "base")
        }
    intervals(panels, x_label="points against bare", factor=100, zero=0, columns=3).save(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", type=Path)
    parser.add_argument("png", type=Path)
    args = parser.parse_args()
    draw(json.loads(args.json.read_text()), args.png)


if __name__ == "__main__":
    main()
