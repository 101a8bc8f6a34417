"""Measures whether what the loop corrects can be trained into the model: play, mine, align, and measure again.

    python benchmarks/mined_round_trip.py --json mined.json

Joined goals with training words are played with the planner (``decompose``). What the loop did, preferred over what the
bare model would have done, becomes preference pairs, and an adapter is trained on them. The bare model is measured
before and after, on the joined test suite and, for what it may have forgotten, on atomic tasks. Every step is the
command that a user would give. Intermediate results in ``--out`` are reused.

JSON, for the suites ``joined`` and ``atomic``: the paired comparison that ``homeostat eval --compare`` writes (success
before and after, rescue, harm and gain, with intervals).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

HOMEOSTAT = [sys.executable, "-c", "from homeostat.cli.root import main; main()"]


def run(*told: str) -> None:
    done = subprocess.run([*HOMEOSTAT, *told], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"{' '.join(told)}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    print((done.stdout.strip().splitlines() or [""])[-1], flush=True)


def measured(model: str, suite: str, episodes: int, out: Path) -> Path:
    file = out / f"{suite}-{'before' if model == 'homeostat/nano' else 'after'}.json"
    told = ("--suite", suite, "--split", "test", "--episodes", str(episodes), "--seed", "1", "--controllers", "none")
    run("eval", *told, "--model", model, "--json", str(file))
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--episodes", type=int, default=120, help="The number of episodes that are played and mined.")
    parser.add_argument("--test", type=int, default=100, help="The number of test episodes of each suite.")
    parser.add_argument("--layers", default="all", help="The layers to adapt, as for homeostat align.")
    parser.add_argument("--rate", default="2e-3", help="The learning rate.")
    parser.add_argument("--epochs", default="3", help="The number of passes over the pairs.")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/mined"), help="The folder for traces, pairs, adapter and results."
    )
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    out = args.out
    out.mkdir(parents=True, exist_ok=True)
    played = ("--suite", "joined", "--split", "train", "--episodes", str(args.episodes), "--seed", "11")
    run(
        "eval", *played, "--controllers", "decompose", "--traces", str(out / "traces"), "--json", str(out / "loop.json")
    )
    if not (out / "mined").is_dir():
        run(
            "mine",
            "--traces",
            str(out / "traces"),
            "--sources",
            "loop",
            "--held-out",
            "0.1",
            "--out",
            str(out / "mined"),
        )
    recipe = (
        "--layers",
        args.layers,
        "--weights",
        "uniform",
        "--nll",
        "0.2",
        "--beta",
        "0.5",
        "--r",
        "8",
        "--alpha",
        "16",
    )
    steps = ("--rate", args.rate, "--epochs", args.epochs, "--batch", "16", "--merge")
    data = ("--data", str(out / "mined" / "pairs"), "--out", str(out / "aligned"), "--cache", str(out / "states"))
    run("align", *data, *recipe, *steps)
    found = {}
    for suite in ("joined", "atomic"):
        before, after = (
            measured(m, suite, args.test, out) for m in ("homeostat/nano", str(out / "aligned" / "merged"))
        )
        compared = out / f"{suite}-compared.json"
        run("eval", "--compare", str(before), str(after), "--json", str(compared))
        found[suite] = json.loads(compared.read_text())
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
