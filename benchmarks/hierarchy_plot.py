"""Draws the hierarchy table: what each row gains on conflicts, and what it costs on aligned cases.

python benchmarks/hierarchy_plot.py docs/evidence/hierarchy.json docs/plots/hierarchy.png
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

SIDES = (("gain", "rule kept in conflicts", "#1b6ca8"), ("twins_gain", "aligned cases done", "#c25b1f"))


def draw(found: dict[str, Any], file: Path) -> None:
    """Draws one panel for each column, with a pair of points with intervals for each row."""
    panels = {**found["table"], "all columns": found["pooled"]}
    if len(found["table"]) == 1:
        panels.pop("all columns")
    rows = [row for row in found["pooled"] if row != "bare"]
    size = (3.4 * len(panels) + 2, 0.5 * len(rows) + 1.6)
    figure, axes = plt.subplots(1, len(panels), figsize=size, sharey=True, squeeze=False)
    for axis, (name, table) in zip(axes[0], panels.items(), strict=True):
        for shift, (key, label, colour) in zip((-0.13, 0.13), SIDES, strict=True):
            shown = [(place, table[row][key]) for place, row in enumerate(rows) if key in table[row]]
            values = [100 * one["mean"] for _, one in shown]
            spread = [
                [value - 100 * one["low"] for value, (_, one) in zip(values, shown, strict=True)],
                [100 * one["high"] - value for value, (_, one) in zip(values, shown, strict=True)],
            ]
            places = [place + shift for place, _ in shown]
            axis.errorbar(values, places, xerr=spread, fmt="o", color=colour, label=label, capsize=2, markersize=4)
        axis.axvline(0, color="grey", linewidth=0.8)
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("points against bare")
        axis.grid(axis="x", alpha=0.3)
    axes[0][0].set_yticks(range(len(rows)), rows)
    axes[0][0].invert_yaxis()
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(" ", fontsize=6)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("json", type=Path)
    parser.add_argument("png", type=Path)
    args = parser.parse_args()
    draw(json.loads(args.json.read_text()), args.png)


if __name__ == "__main__":
    main()
