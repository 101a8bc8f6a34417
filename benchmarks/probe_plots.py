"""Plots the figures of ``probe_overhead.py``: time and memory against SDPA, by prompt length.

    python benchmarks/probe_plots.py probe.json docs/plots

It reads the JSON and writes ``probe_time.png`` and ``probe_memory.png``. It measures nothing itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot


def plot(figures: dict[str, Any], folder: Path) -> None:
    """Writes ``probe_time.png`` and ``probe_memory.png``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        "all": "probe, all layers",
        "focal": "probe, a quarter of the layers",
        "steered": "probe and a gain",
        "moved": "probe and a target",
        "eager": "eager, output_attentions",
        "nnsight": "eager, nnsight",
    }
    for what, key, label in (
        ("time", "ratio", "time against SDPA (prefill and decoding)"),
        ("memory", "growth_ratio", "memory growth against SDPA"),
    ):
        figure, axes = pyplot.subplots(figsize=(6, 3.6), layout="constrained")
        for variant, name in names.items():
            points = [(int(n), row[variant][key]) for n, row in figures[what].items() if variant in row]
            if points:
                axes.plot(*zip(*points, strict=True), marker="o", label=name)
        axes.axhline(1, color="grey", linewidth=0.8)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("{x:g}")
        axes.set_xticks([int(n) for n in figures[what]], list(figures[what]))
        axes.set_xlabel("prompt tokens")
        axes.set_ylabel(label)
        axes.legend(frameon=False)
        figure.savefig(folder / f"probe_{what}.png", dpi=150)
        pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="The JSON file that probe_overhead.py wrote.")
    parser.add_argument("folder", type=Path, help="The folder for the images.")
    options = parser.parse_args()
    plot(json.loads(options.figures.read_text()), options.folder)


if __name__ == "__main__":
    main()
