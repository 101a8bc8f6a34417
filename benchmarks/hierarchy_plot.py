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

ACROSS = 3
"""The most panels side by side."""
SIDES = (("gain", "rule kept in conflicts", "#1b6ca8"), ("twins_gain", "aligned cases done", "#c25b1f"))


def draw(found: dict[str, Any], file: Path) -> None:
    """Draws one panel for each column, with a pair of points with intervals for each row."""
    panels = {**found["table"], "all columns": found["pooled"]}
    if len(found["table"]) == 1:
        panels.pop("all columns")
    rows = [row for row in dict.fromkeys(row for table in panels.values() for row in table) if row != "bare"]
    across = min(len(panels), ACROSS)
    down = -(-len(panels) // across)
    size = (3.4 * across + 2, (0.4 * len(rows) + 0.9) * down + 0.7)
    figure, grid = plt.subplots(down, across, figsize=size, sharey=True, squeeze=False)
    axes = grid.flatten()
    for axis in axes[len(panels) :]:
        axis.set_visible(False)
    for axis, (name, table) in zip(axes, panels.items(), strict=False):
        for shift, (key, label, colour) in zip((-0.13, 0.13), SIDES, strict=True):
            shown = [(place, table[row][key]) for place, row in enumerate(rows) if key in table.get(row, {})]
            values = [100 * one["mean"] for _, one in shown]
            spread = [
                [value - 100 * one["low"] for value, (_, one) in zip(values, shown, strict=True)],
                [100 * one["high"] - value for value, (_, one) in zip(values, shown, strict=True)],
            ]
            places = [place + shift for place, _ in shown]
            axis.errorbar(values, places, xerr=spread, fmt="o", color=colour, label=label, capsize=2, markersize=4)
        axis.axvline(0, color="grey", linewidth=0.8)
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=8)
        axis.grid(axis="x", alpha=0.3)
    for axis in axes[max(len(panels) - across, 0) : len(panels)]:
        axis.set_xlabel("points against bare", fontsize=8)
    axes[0].set_yticks(range(len(rows)), rows)
    axes[0].set_ylim(len(rows) - 0.5, -0.5)
    handles, labels = axes[0].get_legend_handles_labels()
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
