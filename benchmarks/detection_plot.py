"""Plots the figures of ``evidence_detection.py``: AUROC with intervals by task, at both lengths.

    python benchmarks/detection_plot.py docs/evidence/detection.json docs/plots

It reads the JSON and writes ``detection.png``. It measures nothing itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from homeostat.plots import Interval, intervals

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

SHOWN = {"1x matched": "1×, prompts matched by length", "8x": "8×"}
"""The cells that are drawn, and their names."""


def plot(figures: dict[str, Any], folder: Path) -> None:
    """Writes ``detection.png``."""
    panels: dict[str, dict[str, dict[str, Interval]]] = {}
    for task, one in figures["tasks"].items():
        if not any(one["cells"][cell]["rows"] for cell in SHOWN):
            continue
        panel = panels[task] = {}
        for row, name in ROWS.items():
            other = f"{row}, other tasks"  # nothing is fitted on IHEval itself
            for cell, label in SHOWN.items():
                rows = one["cells"][cell]["rows"]
                found = rows.get(other if row not in rows and other not in ROWS else row)
                if found is not None:
                    auroc = found["auroc"]
                    panel.setdefault(name, {})[label] = (auroc["mean"], auroc["low"], auroc["high"])
    order = [name for name in ROWS.values() if any(name in panel for panel in panels.values())]
    panels = {task: {name: panel.get(name, {}) for name in order} for task, panel in panels.items()}
    intervals(panels, x_label="AUROC, 95 % intervals", zero=0.5, limits=(0.15, 1.02)).save(folder / "detection.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="The JSON file that evidence_detection.py wrote.")
    parser.add_argument("folder", type=Path, help="The folder for the image.")
    options = parser.parse_args()
    plot(json.loads(options.figures.read_text(encoding="utf-8")), options.folder)


if __name__ == "__main__":
    main()
