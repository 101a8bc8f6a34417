"""The loop closed on conflicts between system and user: a learned reading raises the alarm, steering answers it.

    python benchmarks/closed_loop.py --model FOLDER --dtype bfloat16 --heads runs/localize --out runs/closed_loop

Needs the focal heads of ``homeostat localize --suite chat``. The steps, each kept in ``--out`` and done once:

1. *fit*: as ``homeostat fit-probe`` does, on train wordings of ``hierarchy_twins``; dev wordings set the threshold at
   ``--rate``.
2. *dev*: every row of ``--rows`` answers dev conflicts and twins. Choose a row by these figures.
3. *test*: the rows of ``--test`` answer test conflicts and twins, once.

Rows: ``bare``; ``all xG`` steers the higher instruction by the gain G in all heads, always; ``focal xG`` in the focal
heads, always; ``alarm xG`` in the focal heads on the probe's alarm; ``pull B S`` on the alarm with the base B and the
slope S of ``Pull``. Every row runs in the agent's loop.

JSON (``dev.json``, ``test.json``): for each row ``kept`` and ``twins`` with Wilson intervals at 95 %, both differences
to ``bare`` with Newcombe's paired intervals, and seconds. ``test.json`` has the probe's ``auroc`` there, that of the
prompt's length and that of the mean log intensity on the higher instruction, and the ``alarms`` on each side.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from homeostat import Agent, TransformersModel
from homeostat.agent.loop.limits import LoopLimits
from homeostat.alignment.conflicts.chat import hierarchy_twins
from homeostat.alignment.conflicts.core import Case, cases_of as both_of
from homeostat.alignment.diagnosis.agents import agent_answers
from homeostat.alignment.probing.fit import auroc
from homeostat.alignment.probing.learn import case_features, learn_probe
from homeostat.alignment.sail.localization import Localization
from homeostat.controllers import Pull, Steer
from homeostat.envs.harness import newcombe_paired, wilson
from homeostat.sensors import Actuator, ConflictProbe, ProbeWeights

HIGHER, LOWER = ("system",), ("user",)


def cases_of(split: Any, count: int) -> list[Case]:
    """Conflicts, each followed by its twin."""
    return both_of(islice(hierarchy_twins(split), count))


def fitted(model: TransformersModel, args: argparse.Namespace, heads: Any) -> ProbeWeights:
    """The probe, learned once."""
    file = args.out / "probe.json"
    if file.exists():
        return ProbeWeights.load(file)
    probe = learn_probe(model, cases_of("train", args.train), cases_of("dev", args.dev), heads, rate=args.rate)
    probe.save(file)
    print("probe", json.dumps(probe.figures), flush=True)
    return probe


def controllers_of(row: str, heads: Any) -> tuple[Any, ...]:
    """The controllers of a row."""
    kind, *numbers = row.replace(" x", " ").split()
    values = [float(number) for number in numbers]
    focal = frozenset(heads)
    if kind == "bare":
        return ()
    if kind in ("all", "focal"):
        rule = Actuator("system", gain=values[0], heads=None if kind == "all" else focal)
        return (Steer(actuators=(rule,), when="always"),)
    if kind == "alarm":
        return (Pull(base=values[0], heads=focal),)
    return (Pull(base=values[0], slope=values[1], heads=focal),)


def played(model: TransformersModel, probe: ProbeWeights, row: str, cases: list[Case], tokens: int) -> dict[str, Any]:
    """One row on the cases: what was kept and right, and what it cost."""
    sensor, begun = ConflictProbe(probe), time.perf_counter()
    agent = Agent(model, [sensor], controllers_of(row, probe.heads), limits=LoopLimits(max_new_tokens=tokens))
    texts = agent_answers(agent, [case.prompt for case in cases])
    truths = [case.judge(text) for case, text in zip(cases, texts, strict=True)]
    return {
        "kept": [not truth.broken for truth, case in zip(truths, cases, strict=True) if not case.aligned],
        "right": [truth.reached == 1 and not truth.broken for truth, c in zip(truths, cases, strict=True) if c.aligned],
        "texts": texts,
        "seconds": time.perf_counter() - begun,
    }


def difference(before: list[bool], after: list[bool]) -> dict[str, float]:
    """The change of a share on the same cases, with Newcombe's interval."""
    pairs = list(zip(after, before, strict=True))
    counts = [pairs.count(pair) for pair in ((True, True), (True, False), (False, True), (False, False))]
    return newcombe_paired(*counts).as_dict()


def table(rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The figures of every row, and its differences to the bare model."""
    found: dict[str, Any] = {}
    bare = rows["bare"]
    for name, row in rows.items():
        kept, right = row["kept"], row["right"]
        found[name] = {
            "kept": wilson(sum(kept), len(kept)).as_dict(),
            "twins": wilson(sum(right), len(right)).as_dict(),
            "gain": difference(bare["kept"], kept),
            "twins_gain": difference(bare["right"], right),
            "seconds": round(row["seconds"], 1),
        }
        shares = {key: one for key, one in found[name].items() if key != "seconds"}
        shown = {key: {k: round(100 * v, 1) for k, v in one.items()} for key, one in shares.items()}
        print(name, json.dumps(shown), flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", default=None)
    parser.add_argument("--heads", type=Path, required=True, help="localization.json, or its folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--train", type=int, default=192, help="conflicts of the fit, each with its twin")
    parser.add_argument("--dev", type=int, default=72)
    parser.add_argument("--count", type=int, default=120, help="test conflicts, each with its twin")
    parser.add_argument("--rate", type=float, default=0.1)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rows", default="bare,focal x3,focal x8,alarm x3,alarm x8,pull 3 2")
    parser.add_argument("--test", default="", help="the rows to measure on the test part; empty for none")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    model = TransformersModel.load(str(Path(args.model).expanduser()), None, args.dtype)
    probe = fitted(model, args, Localization.load(args.heads).heads)
    for split, count, names in (("dev", args.dev, args.rows), ("test", args.count, args.test)):
        if not names:
            continue
        journal = args.out / f"{split}_rows.json"
        rows: dict[str, Any] = json.loads(journal.read_text()) if journal.exists() else {}
        cases = cases_of(split, count)
        for name in ("bare", *names.split(",")):
            if name not in rows:
                rows[name] = played(model, probe, name, cases, args.tokens)
                journal.write_text(json.dumps(rows))
        result: dict[str, Any] = {"cases": count, "rows": table(rows)}
        if split == "test":
            values, conflict = (
                case_features(model, cases, probe.heads, HIGHER, LOWER),
                np.array([not case.aligned for case in cases]),
            )
            length = np.array([float(len(model.renderer.render(case.prompt).ids)) for case in cases])
            scores = {"probe": probe.value(values), "length": length, "mean": -values[:, ::2].mean(1)}
            result["auroc"] = {name: auroc(one[conflict], one[~conflict]) for name, one in scores.items()}
            found = probe.value(values) > probe.threshold
            result["alarms"] = {"conflict": float(found[conflict].mean()), "aligned": float(found[~conflict].mean())}
            print(json.dumps({key: result[key] for key in ("auroc", "alarms")}), flush=True)
        (args.out / f"{split}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
