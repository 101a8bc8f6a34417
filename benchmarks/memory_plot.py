"""Draws how well questions are answered from a thinned cache, for several runs of ``memory_quality.py``.

python benchmarks/memory_plot.py docs/plots/memory_quality.png "4k=short.json" "8k=long.json"
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from homeostat.envs.harness import wilson

NAMES = {"full": "full cache", "ours": "the default memory", "recency": "recency", "h2o": "H2O"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("png", type=Path)
    parser.add_argument("runs", nargs="+", metavar="NAME=JSON")
    args = parser.parse_args()
    figure, axis = plt.subplots(figsize=(1.5 + 2.2 * len(args.runs), 3.2))
    width = 0.8 / len(NAMES)
    for place, run in enumerate(args.runs):
        found = json.loads(Path(run.partition("=")[2]).read_text())
        count = found["questions"]
        for number, row in enumerate(NAMES):
            if row not in found["accuracy"]:  # it was not run at this length
                continue
            share = found["accuracy"][row]["all"]
            spread = wilson(round(share * count), count)
            at = place + (number - (len(NAMES) - 1) / 2) * width
            error = [[100 * (share - spread.low)], [100 * (spread.high - share)]]
            label = NAMES[row] if not place else None
            axis.bar(at, 100 * share, width * 0.9, yerr=error, capsize=2, color=f"C{number}", label=label)
    names = [run.partition("=")[0] for run in args.runs]
    axis.set_xticks(range(len(names)), names)
    axis.set_ylabel("questions answered, %")
    axis.set_ylim(0, 100)
    axis.legend(frameon=False, fontsize=8, ncols=2, loc="upper right")
    figure.tight_layout()
    args.png.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(args.png, dpi=130)


if __name__ == "__main__":
    main()
