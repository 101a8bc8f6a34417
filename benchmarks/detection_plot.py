"""Plots the figures of ``evidence_detection.py``: AUROC with intervals by task, at both lengths.

    python benchmarks/detection_plot.py docs/evidence/detection.json docs/plots

It reads the JSON and writes ``detection.png``. It measures nothing itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

ROWS = {
    "conflict_probe": "ConflictProbe",
    "conflict_probe, other tasks": "ConflictProbe of other tasks",
    "focus_score, chosen heads": "FocusScore, chosen heads",
    "focus_score, all heads": "FocusScore, all heads",
    "attention_tracker, chosen heads": "Attention Tracker, chosen heads",
    "attention_drift": "AttentionDrift",
    "attention_entropy": "AttentionEntropy",
    "confidence": "Confidence",
    "length": "length of the prompt",
    "length of the text": "length of the text",
    "phrases": "phrases",
    "words": "words (fitted)",
    "judge": "judge",
}

SHOWN = {
    "1x matched": ("1×, prompts matched by length", -0.17, "tab:blue"),
    "8x": ("8×", 0.17, "tab:orange"),
}
"""The cells that are drawn: name, place beside the row's line, and colour."""


def plot(figures: dict[str, Any], folder: Path) -> None:
    """Writes ``detection.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    tasks = {task: one for task, one in figures["tasks"].items() if any(one["cells"][x]["rows"] for x in SHOWN)}
    read = {row for one in tasks.values() for length in SHOWN for row in one["cells"][length]["rows"]}
    shown = {row: name for row, name in ROWS.items() if row in read}
    figure, axes = pyplot.subplots(
        1, len(tasks), figsize=(2.4 * len(tasks) + 2, 4.2), sharey=True, squeeze=False, layout="constrained"
    )
    for axis, (task, one) in zip(axes[0], tasks.items(), strict=True):
        for length, (label, shift, colour) in SHOWN.items():
            rows = one["cells"][length]["rows"]
            found = []
            for n, row in enumerate(shown):
                other = f"{row}, other tasks"  # nothing is fitted on IHEval itself
                name = other if row not in rows and other not in ROWS else row
                if name in rows:
                    found.append((n + shift, rows[name]["auroc"]))
            if not found:
                continue
            where, values = zip(*found, strict=True)
            middle = [value["mean"] for value in values]
            sides = [
                [value["mean"] - value["low"] for value in values],
                [value["high"] - value["mean"] for value in values],
            ]
            axis.errorbar(middle, where, xerr=sides, fmt="o", markersize=4, color=colour, label=label)
        axis.axvline(0.5, color="grey", linewidth=0.8)
        axis.set_xlim(0.15, 1.02)
        axis.set_title(task)
    axes[0, 0].set_yticks(range(len(shown)), list(shown.values()))
    axes[0, 0].invert_yaxis()
    figure.legend(*axes[0, 0].get_legend_handles_labels(), frameon=False, loc="outside upper right", ncols=2)
    figure.supxlabel("AUROC with 95 % bootstrap intervals")
    figure.savefig(folder / "detection.png", dpi=150)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="The JSON file that evidence_detection.py wrote.")
    parser.add_argument("folder", type=Path, help="The folder for the image.")
    options = parser.parse_args()
    plot(json.loads(options.figures.read_text(encoding="utf-8")), options.folder)


if __name__ == "__main__":
    main()
