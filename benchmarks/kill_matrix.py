"""Kills runs, evaluations and trainings at random moments, and checks that nothing is lost and nothing is done twice.

    OMP_NUM_THREADS=1 python benchmarks/kill_matrix.py --json kill_matrix.json

Rows of the matrix, each with homeostat/nano in float32, seeded:

- ``phone``: a task of the phone simulator, which can be put back;
- ``question``: a joined task with a plan and a question to the user that waits inside it;
- ``android-0``, ``android-20``, ``android-200``: ``AndroidEnv`` with the stock adb server against the phone's adb
  daemon, which cannot be put back, with so many milliseconds of settling after an action;
- ``eval``: ``homeostat eval`` with the oracle and a journal;
- ``align``: ``homeostat align`` on a few pairs.

An unbroken run comes first. Each other one gets SIGKILL at a moment drawn from the unbroken run's duration (some of
them a second time while they are resumed), and is then resumed to its end. Runs are forked from one process that has
loaded the model, so that a kill costs little; the device of an Android row is a process of its own that survives the
kills. Where a resumed run asks whether an action was carried out, the answer comes from the device's own log of
commands.

JSON: ``kills`` (SIGKILLs that hit a living process), ``lost`` (runs that could not be resumed to an end), ``doubled``
(actions that the device got twice: its log of commands is longer than the unbroken run's), ``torn`` (unreadable
traces or results), ``unequal`` (ends that differ from the unbroken run's: ending, success, actions, final state of
the device), ``asked`` (how often the user was asked), ``rows`` the same by row.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kill_rows import Commands, Devices, Episodes, forked, pairs_in, result_of_align, result_of_eval

from homeostat.agent import TransformersModel

SHARES = {
    "phone": 0.2,
    "question": 0.15,
    "android-0": 0.14,
    "android-20": 0.14,
    "android-200": 0.14,
    "eval": 0.17,
    "align": 0.06,
}


@dataclass
class Row:
    """The counts of one row."""

    kills: int = 0
    runs: int = 0
    lost: int = 0
    doubled: int = 0
    torn: int = 0
    unequal: int = 0
    asked: int = 0
    faults: list[str] = field(default_factory=list)

    def judge(self, what: str, found: dict[str, Any], whole: dict[str, Any]) -> None:
        """Counts how a run's end differs from the unbroken run's."""
        self.runs += 1
        self.asked += int(found.get("asked", 0))
        if found.get("lost"):
            self.lost += 1
            self.faults.append(f"{what}: lost: {found['lost']}")
            return
        if found.get("torn"):
            self.torn += 1
            self.faults.append(f"{what}: torn: {found['torn']}")
            return
        if len(found.get("commands", ())) > len(whole.get("commands", ())):
            self.doubled += 1
            self.faults.append(f"{what}: commands {found['commands']} against {whole['commands']}")
        differs = [
            name for name in ("ended", "success", "acts", "state", "result") if found.get(name) != whole.get(name)
        ]
        if differs:
            self.unequal += 1
            self.faults.append(
                f"{what}: " + "; ".join(f"{n} {found.get(n)} against {whole.get(n)}" for n in differs)[:600]
            )


def killed_after(child: int, seconds: float) -> bool:
    """Kills the child after some seconds; False where it had ended by then."""
    time.sleep(seconds)
    alive = os.waitpid(child, os.WNOHANG)[0] == 0
    if alive:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return alive


def run_row(name: str, what: Any, kills: int, rng: random.Random, work: Path) -> Row:
    """Kills runs of one row until so many kills have hit."""
    row, wholes = Row(), {}
    number = 0
    while row.kills < kills:
        seed = number % 4 if name != "align" else 0
        folder = work / f"{name}-{number}"
        whole = wholes.get(seed)
        folder.mkdir(parents=True)
        device = what.device(folder, seed) if isinstance(what, Devices) else None
        begun = time.monotonic()
        if whole is None:
            os.waitpid(forked(lambda f=folder, s=seed: what.begin(f, s)), 0)
            seconds = time.monotonic() - begun
        else:
            child = forked(lambda f=folder, s=seed: what.begin(f, s))
            for again in range(4):
                if again and rng.random() < 0.6:
                    break
                if not killed_after(child, rng.uniform(0, whole[1] * 1.02)):
                    break
                row.kills += 1
                child = forked(lambda f=folder, s=seed: what.resume(f, s))
            status = os.waitpid(child, 0)[1] if child_lives(child) else 0
            seconds = 0.0
        if device is not None:
            (folder / "stop").touch()
            os.waitpid(device, 0)
        found = what.facts(folder)
        if whole is None:
            wholes[seed] = (found, seconds)
            print(f"{name}, seed {seed}: unbroken {seconds:.1f} s, {found.get('ended', '')}", flush=True)
        else:
            if status and not found.get("torn"):
                found["lost"] = found.get("lost") or f"the last process ended with {status}"
            row.judge(f"{name} {number}", found, whole[0])
            if not row.faults or not row.faults[-1].startswith(f"{name} {number}:"):
                shutil.rmtree(folder, ignore_errors=True)
        number += 1
    print(f"{name}: {row.kills} kills, {len(row.faults)} faults", *row.faults[:3], sep="\n  ", flush=True)
    return row


def child_lives(child: int) -> bool:
    """Whether the child has not been waited for."""
    try:
        os.kill(child, 0)
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description="Kill runs at random moments and check what is left.")
    parser.add_argument("--json", type=Path, help="where the figures go")
    parser.add_argument("--kills", type=int, default=300, help="how many SIGKILLs in all")
    parser.add_argument("--rows", default=",".join(SHARES), help="which rows, with commas")
    parser.add_argument("--seed", type=int, default=0, help="the seed of the moments")
    options = parser.parse_args()
    rng, rows = random.Random(options.seed), {}
    work = Path(tempfile.mkdtemp(prefix="kill-matrix-"))
    chosen = [name for name in SHARES if name in options.rows.split(",")]
    total = sum(SHARES[name] for name in chosen)
    nano = planner = None
    if any(not name.startswith(("eval", "align")) for name in chosen):
        nano = TransformersModel.load("homeostat/nano", "cpu", "float32")
        planner = TransformersModel.load("homeostat/nano-planner", "cpu", "float32")
    if any(name.startswith("android") for name in chosen):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            os.environ["ANDROID_ADB_SERVER_PORT"] = str(probe.getsockname()[1])
        subprocess.run(["adb", "start-server"], check=True, capture_output=True, timeout=60)
    try:
        for name in chosen:
            kills = round(options.kills * SHARES[name] / total + 0.5)
            what: Any
            if name.startswith("android"):
                what = Devices(nano, int(name.split("-")[1]) / 1000)
            elif name == "eval":
                words = "eval --suite atomic --policy oracle --episodes 40 --seed SEED --json FOLDER/r.json"
                what = Commands(words.split(), result_of_eval)
            elif name == "align":
                words = (
                    f"align --layers 3,4 --weights uniform --epochs 2 --batch 4 --save-steps 2 --data {pairs_in(work)}"
                )
                what = Commands([*words.split(), "--out", "FOLDER/run", "--cache", "FOLDER/states"], result_of_align)
            else:
                what = Episodes(nano, planner, question=name == "question")
            rows[name] = run_row(name, what, kills, rng, work)
    finally:
        if any(name.startswith("android") for name in chosen):
            subprocess.run(["adb", "kill-server"], check=False, capture_output=True, timeout=60)
    keys = ("kills", "lost", "doubled", "torn", "unequal", "asked")
    figures: dict[str, Any] = {key: sum(getattr(row, key) for row in rows.values()) for key in keys}
    figures["rows"] = {name: vars(row) for name, row in rows.items()}
    print(json.dumps({key: figures[key] for key in keys}))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if not any(row.faults for row in rows.values()):
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
