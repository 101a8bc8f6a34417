"""Kills ``homeostat align`` at ten random moments and checks that the same command resumes to the same loss.

    python benchmarks/align_kills.py --json align_kills.json

An uninterrupted run gives the reference loss. Each other run gets SIGKILL at a moment drawn from the duration of the
reference run, so it can hit the computation of hidden states, a training step, or a checkpoint while it is written. The
command is then run again until it ends. Each run has its own cache and output folder.

JSON: ``whole`` is the reference loss. ``rows`` has for each kill the ``moment`` in seconds, whether the process was
still ``alive``, the checkpoints ``left`` behind, the final ``loss``, and its absolute difference from the reference
(``apart``). ``worst`` is the largest difference (bar: 1e-4).
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

from homeostat.alignment.conflicts.core import pairs_of
from homeostat.alignment.conflicts.phone import phone_twins
from homeostat.alignment.preference.pairs import write_pairs
from homeostat.nano.style import STYLE

COMMAND = [sys.executable, "-c", "from homeostat.cli.root import main; main()", "align", "--layers", "3,4"]
RECIPE = "--weights uniform --epochs 8 --batch 8 --rate 5e-3 --save-steps 2 --forgetting 0"
TOLD = RECIPE.split()


def started(data: Path, folder: Path) -> subprocess.Popen:
    where = ["--data", str(data), "--out", str(folder / "run"), "--cache", str(folder / "states")]
    return subprocess.Popen([*COMMAND, *TOLD, *where], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def loss_of(folder: Path) -> float:
    return json.loads((folder / "run" / "result.json").read_text())["loss"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10, help="How many runs are killed.")
    parser.add_argument("--twins", type=int, default=40, help="The number of twins that the training pairs come from.")
    parser.add_argument("--seed", type=int, default=0, help="The seed of the moments.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory() as root:
        data = Path(root) / "pairs"
        write_pairs(pairs_of(islice(phone_twins(STYLE, "train", 0), args.twins)), data)
        begun = time.monotonic()
        if started(data, Path(root) / "whole").wait():
            raise SystemExit("the uninterrupted run failed")
        length = time.monotonic() - begun
        whole = loss_of(Path(root) / "whole")
        print(f"uninterrupted: loss {whole:.6f}, {length:.1f} s", flush=True)
        rows = []
        for n in range(args.kills):
            folder = Path(root) / f"killed-{n}"
            moment = rng.uniform(0.2, 1.0) * length
            process = started(data, folder)
            time.sleep(moment)
            alive = process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.wait()
            left = sorted(p.name for p in (folder / "run" / "checkpoints").glob("*"))
            failed = started(data, folder).wait()
            loss = float("nan") if failed else loss_of(folder)
            rows.append({"moment": moment, "alive": alive, "left": left, "loss": loss, "apart": abs(loss - whole)})
            print(
                f"killed at {moment:.1f} s ({left or 'no checkpoint'}): loss {loss:.6f}, {loss - whole:+.1e}",
                flush=True,
            )
            shutil.rmtree(folder)
    worst = max(r["apart"] for r in rows)
    print(
        f"{sum(r['alive'] for r in rows)} of {len(rows)} were still running when killed; largest difference {worst:.1e}"
    )
    if args.json:
        args.json.write_text(json.dumps({"whole": whole, "rows": rows, "worst": worst}, indent=1) + "\n")


if __name__ == "__main__":
    main()
