"""The plot of ``evidence_drift.py``: drift and attention on the policy by turn, and what a reminder changes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["plot"]


def plot(result: dict[str, Any], path: Path) -> None:
    """Draws drift, attention on the policy and the pulse, by turn.

    Args:
        result: What ``drift_tables.tables`` returned.
        path: The image file.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (above, middle, below) = pyplot.subplots(1, 3, figsize=(12, 3.4), layout="constrained")
    for name, part in result["models"].items():
        turns = [one["turn"] for one in part["by_turn"]]
        for axes, key in ((above, "drift"), (middle, "policy mass")):
            value, low, high = np.array([one[key] for one in part["by_turn"]]).T
            (line,) = axes.plot(turns, value, marker="o", markersize=3, label=name)
            axes.fill_between(turns, low, high, alpha=0.2, color=line.get_color(), linewidth=0)
        if part["pulse"]:
            response = part["pulse"]["drift"]
            after = range(len(response["mean"]))
            (line,) = below.plot(after, response["mean"], marker="o", markersize=3, label=name)
            below.fill_between(after, response["low"], response["high"], alpha=0.2, color=line.get_color(), linewidth=0)
    above.set_ylabel("drift, nats per token")
    middle.set_ylabel("attention mass on the policy")
    below.set_ylabel("change of drift, nats per token")
    below.axhline(0, color="grey", linewidth=0.8)
    for axes, label in ((above, "assistant turn"), (middle, "assistant turn"), (below, "turns after the reminder")):
        axes.set_xlabel(label)
    above.set_ylim(bottom=0)
    middle.set_ylim(bottom=0)
    above.legend(frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
