"""Measures whether what the loop corrects can be trained into the model: play, mine, align, and measure again.

    python benchmarks/mined_round_trip.py --json mined.json
    python benchmarks/mined_round_trip.py --suite chat --model FOLDER --dtype bfloat16 --probe PROBE \
        --localization LOCALIZE --threshold -0.371 --out OUT --json docs/evidence/alignment.json

Joined goals with training words are played with the planner (``decompose``). What the loop did, preferred over what the
bare model would have done, becomes preference pairs, and an adapter is trained on them. The bare model is measured
before and after, on the joined test suite and, for what it may have forgotten, on atomic tasks. Every step is the
command that a user would give. Intermediate results in ``--out`` are reused.

``--suite chat`` does the same with conversations of any language model (``chat_round_trip.py``): conflicts between
system and user and their twins, in train wordings, answered by an agent whose loop closes on the learned probe of
``homeostat fit-probe``. On its alarm, the controller ``pull-reminders`` restates the system message and pulls attention
to it. ``mine`` prefers each corrected answer to the first one, and ``align`` trains one adapter for each of
``--layers``. The dev split chooses one, and the test split of ``align_table.py`` measures it, without the loop.

JSON, for the suites ``joined`` and ``atomic``: the paired comparison that ``homeostat eval --compare`` writes (success
before and after, rescue, harm and gain, with intervals). With ``--suite chat``, ``round_trip_gain`` (rule kept in
conflicts) and ``round_trip_twins`` in percentage points, their intervals, and ``round_trip`` with everything else; the
other contents of an existing file stay.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from align_figures import with_round_trip
from chat_round_trip import STEPS, chat_round_trip

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


def episodes(args: argparse.Namespace) -> dict[str, Any]:
    """The round trip of nano, in episodes on the phone."""
    out = args.out
    played = ("--suite", "joined", "--split", "train", "--episodes", str(args.episodes), "--seed", "11")
    run(
        "eval", *played, "--controllers", "decompose", "--traces", str(out / "traces"), "--json", str(out / "loop.json")
    )
    if not (out / "mined").is_dir():
        traces = ("--traces", str(out / "traces"), "--sources", "loop", "--held-out", "0.1")
        run("mine", *traces, "--out", str(out / "mined"))
    recipe = ("--weights", "uniform", "--nll", "0.2", "--beta", "0.5", "--r", "8", "--alpha", "16")
    steps = ("--rate", args.rate or "2e-3", "--epochs", args.epochs or "3", "--batch", "16", "--merge")
    data = ("--data", str(out / "mined" / "pairs"), "--out", str(out / "aligned"), "--cache", str(out / "states"))
    run("align", *data, "--layers", *(args.layers or ["all"]), *recipe, *steps)
    found = {}
    for suite in ("joined", "atomic"):
        before, after = (
            measured(m, suite, args.test, out) for m in ("homeostat/nano", str(out / "aligned" / "merged"))
        )
        compared = out / f"{suite}-compared.json"
        run("eval", "--compare", str(before), str(after), "--json", str(compared))
        found[suite] = json.loads(compared.read_text())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--suite", choices=["phone", "chat"], default="phone", help="Episodes or conversations.")
    parser.add_argument("--episodes", type=int, default=120, help="The number of episodes that are played and mined.")
    parser.add_argument("--test", type=int, default=100, help="The number of test episodes of each suite.")
    parser.add_argument("--layers", nargs="+", help="The layers to adapt, as for homeostat align; chat compares them.")
    parser.add_argument("--rate", help="The learning rate.")
    parser.add_argument("--epochs", help="The number of passes over the pairs.")
    parser.add_argument("--model", help="With chat: a Hugging Face name or a folder.")
    parser.add_argument("--dtype", default="bfloat16", help="With chat: the type of the weights.")
    parser.add_argument("--probe", help="With chat: what homeostat fit-probe wrote.")
    parser.add_argument("--threshold", type=float, help="With chat: the alarm's threshold; by default the probe's own.")
    parser.add_argument("--localization", help="With chat: what homeostat localize wrote; for focal and random layers.")
    parser.add_argument("--conversations", type=int, default=320, help="With chat: how many are answered and mined.")
    parser.add_argument("--rows", type=int, default=16, help="With chat: the most conversations at a time.")
    parser.add_argument("--steps", nargs="+", default=list(STEPS), choices=STEPS, help="With chat: only these steps.")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/mined"), help="The folder for traces, pairs, adapter and results."
    )
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    if args.suite == "chat" and not (args.model and args.probe):
        parser.error("--suite chat needs --model and --probe")
    args.out.mkdir(parents=True, exist_ok=True)
    found = chat_round_trip(args, run) if args.suite == "chat" else episodes(args)
    if args.json:
        if args.suite == "chat":
            told = json.loads(args.json.read_text()) if args.json.is_file() else {}
            args.json.write_text(json.dumps(with_round_trip(found, told)) + "\n")
        else:
            args.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
