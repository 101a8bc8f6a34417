"""The plot of ``evidence_drift.py``: drift and attention on the policy by turn, and what a reminder changes.

    python benchmarks/drift_plot.py docs/evidence/drift.json docs/plots/drift_by_turn.png

It reads the JSON and measures nothing itself.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from homeostat.plots import Panel, Series, lines

__all__ = ["plot"]


def plot(result: dict[str, Any], path: Path) -> None:
    """Draws drift, attention on the policy and the pulse, by turn.

    Args:
        result: What ``drift_tables.tables`` returned.
        path: The image file.
    """
    panels = []
    for key, label in (("drift", "drift, nats per token"), ("policy mass", "attention mass on the policy")):
        series = []
        for name, part in result["models"].items():
            turns, values = [one["turn"] for one in part["by_turn"]], [one[key] for one in part["by_turn"]]
            mean, low, high = zip(*values, strict=True)
            series.append(Series(name, turns, mean, low, high))
        panels.append(Panel(series, "assistant turn", label, from_zero=True))
    pulses = {name: part["pulse"]["drift"] for name, part in result["models"].items() if part["pulse"]}
    series = [
        Series(name, range(len(one["mean"])), one["mean"], one["low"], one["high"]) for name, one in pulses.items()
    ]
    if series:
        change = "change of drift, nats per token"
        panels.append(Panel(series, "turns after the reminder", change, levels={"": 0.0}))
    lines(panels).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("figures", type=Path, help="The JSON file that evidence_drift.py wrote.")
    parser.add_argument("image", type=Path, help="The image file.")
    options = parser.parse_args()
    plot(json.loads(options.figures.read_text(encoding="utf-8")), options.image)


if __name__ == "__main__":
    main()
