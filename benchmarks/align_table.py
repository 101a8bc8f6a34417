"""Compares ways to train on conflicts of instructions: what each one gains and what it forgets.

    python benchmarks/align_table.py --json align_table.json            # three seeds, every row
    python benchmarks/align_table.py --seeds 0 --out runs/align_table --json seed0.json

A row is a way to train: DPO (direct preference optimisation) on all or on random layers, or SAIL with one of its
sources of token weights. Every row is compared with the untrained model (``base``) on the same held-out conflicts and
their twins, the same screens without a conflict. A seed determines the training pairs, the initial weights and the
order. All rows have the same learning rate, number of epochs and number of trained parameters; the rank of an adapter
on all layers is reduced accordingly.

JSON: ``local`` is the localization (focal heads and layers, causal check). ``table`` has for each row one entry per
seed: ``kept`` and ``right`` say for each conflict and each twin whether it was answered correctly, ``scores`` are the
four CRAS scores, ``by_kind`` is the share kept and right for each kind of conflict. ``parameters``, ``layers``,
``loss``, ``seconds`` and ``peak_mib`` (of the whole process) describe the training.
"""

from __future__ import annotations

import argparse
import json
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import pairs_of
from homeostat.alignment.conflicts.phone import phone_twins
from homeostat.alignment.diagnosis.run import diagnose, generated
from homeostat.alignment.preference.pairs import write_pairs
from homeostat.alignment.sail.adapters import load_adapted
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.localization import Localization
from homeostat.alignment.sail.localize import causal_check, localize
from homeostat.alignment.sail.run import align
from homeostat.sensors.rubric import DIMENSIONS

RECIPE = {"rate": 5e-3, "epochs": 2, "batch": 16, "beta": 0.5, "nll": 0.2}  # chosen on the dev split
RANK = 10


def localized(model: TransformersModel, out: Path, count: int) -> Localization:
    file = out / "localization.json"
    if not file.is_file():
        twins = list(islice(phone_twins(model.style, "train", 7), count))
        found = localize(model, twins)
        told = causal_check(model, [both.conflict for both in twins[:54]], found.heads)
        found.model_copy(update={"causal": told}).save(file)
    return Localization.load(file)


def rows(local: Localization, layers: int, out: Path) -> dict[str, dict]:
    """Returns the settings of each row besides data, seed and recipe. Rows that others need come first."""
    whole = {"layers": "all", "weights": "uniform", "r": max(1, RANK * len(local.layers) // layers)}
    focal = {"layers": "focal", "r": RANK}
    every = f"{out}/dpo all layers/adapter"
    return {
        "dpo all layers": whole,
        "(dpo all layers, swapped)": whole | {"swap": True},
        "dpo random layers": {"layers": "random", "weights": "uniform", "r": RANK},
        "sail focal, uniform (lambda 0)": focal | {"weights": "uniform"},
        "sail focal, attention, lambda 0.5": focal | {"weights": "attention", "lam": 0.5},
        "sail focal, attention, lambda 1": focal | {"weights": "attention"},
        "sail focal, attention of random heads": focal | {"weights": "attention", "heads": "random"},
        "sail focal, reward": focal | {"weights": "reward", "reward_model": every},
        "sail focal, contrast": focal
        | {
            "weights": "contrast",
            "positive_model": every,
            "negative_model": f"{out}/(dpo all layers, swapped)/adapter",
        },
        "sail focal, judge": focal | {"weights": "judge"},
        "sail focal, anchors": focal | {"weights": "anchors"},
    }


def scored(model: TransformersModel, split: str, count: int) -> dict:
    """Measures one model on the conflicts of a split and on their twins."""
    cases = generated(model, "phone", split, 0, count)
    answers, _ = diagnose(model, cases)
    conflicts = [a for a in answers if not a.aligned]
    kinds = list(dict.fromkeys(a.kind for a in answers))
    return {
        "kept": [a.kept for a in conflicts],
        "right": [a.right for a in answers if a.aligned],
        "scores": {d: float(np.mean([a.truth[d] for a in conflicts])) for d in DIMENSIONS},
        "by_kind": {
            k: [
                float(np.mean([a.kept for a in conflicts if a.kind == k])),
                float(np.mean([a.right for a in answers if a.kind == k and a.aligned])),
            ]
            for k in kinds
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="The seeds of the training runs.")
    parser.add_argument("--twins", type=int, default=540, help="The number of training twins.")
    parser.add_argument("--test", type=int, default=270, help="The number of conflicts to measure on.")
    parser.add_argument(
        "--split", choices=["dev", "test"], default="test", help="The data split; dev is for choosing a recipe."
    )
    parser.add_argument("--rows", nargs="+", help="Only the rows with these names.")
    for name, value in RECIPE.items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help="As for homeostat align.")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/align_table"),
        help="The folder for pairs, adapters and caches. An existing one is continued.",
    )
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    args = parser.parse_args()
    model = TransformersModel.load(args.model)
    local = localized(model, args.out, 270)
    found: dict[str, dict] = {"base": scored(model, args.split, args.test) | {"parameters": 0}}
    table: dict[str, list[dict]] = {"base": [found["base"]]}
    for seed in args.seeds:
        data = args.out / f"pairs-{seed}"
        if not data.is_dir():
            write_pairs(pairs_of(islice(phone_twins(model.style, "train", seed), args.twins)), data)
        for name, told in rows(local, len(local.score), args.out / str(seed)).items():
            if args.rows and name not in args.rows:
                continue
            folder = args.out / str(seed) / name
            settings = AlignSettings(
                model=args.model,
                data=data,
                out=folder,
                localization=args.out / "localization.json",
                alpha=2 * told["r"],
                forgetting=0,  # the table scores the twins itself
                attention_steps=0,
                seed=seed,
                cache=args.out / "states",
                **told,
                **{name: getattr(args, name) for name in RECIPE},
            )
            begun = time.monotonic()
            Path("/proc/self/clear_refs").write_text("5")  # the peak is counted anew
            result = align(settings)
            status = Path("/proc/self/status").read_text()
            peak = int(status.partition("VmHWM:")[2].split()[0]) / 1024
            if name.startswith("("):
                continue
            one = scored(load_adapted(str(folder / "adapter")), args.split, args.test)
            one |= {"seed": seed, "parameters": result.parameters, "layers": result.layers, "loss": result.loss}
            one |= {"seconds": result.seconds, "peak_mib": peak}
            table.setdefault(name, []).append(one)
            kept, right = (100 * float(np.mean(one[k])) for k in ("kept", "right"))
            print(f"{seed} {name}: {kept:.1f} {right:.1f} ({time.monotonic() - begun:.0f} s)", flush=True)
            if args.json:
                args.json.write_text(json.dumps({"local": local.model_dump(mode="json"), "table": table}) + "\n")
    show(table)
    if args.json:
        args.json.write_text(json.dumps({"local": local.model_dump(mode="json"), "table": table}) + "\n")


def bootstrap(cases: np.ndarray) -> str:
    """Returns the mean in percent with its 95 % bootstrap interval over cases. All seeds answer the same cases."""
    rng = np.random.default_rng(0)
    draws = cases[rng.integers(0, len(cases), (2000, len(cases)))].mean(1)
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{100 * cases.mean():.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def show(table: dict[str, list[dict]]) -> None:
    """Prints one line per row: the mean over seeds, the share of each seed, and the paired gain over the base."""
    print(
        f"| row | rule kept, % | by seed | gain | twins right, % | by seed | gain | {' | '.join(DIMENSIONS)} | CRAS "
        "| parameters | seconds | peak MiB |"
    )
    print("|" + "---|" * (11 + len(DIMENSIONS)))
    for name, runs in table.items():
        cells = [name]
        for key in ("kept", "right"):
            own = np.mean([run[key] for run in runs], axis=0)
            base = np.array(table["base"][0][key], float)
            cells += [bootstrap(own), ", ".join(f"{100 * np.mean(run[key]):.1f}" for run in runs)]
            cells.append("" if name == "base" else bootstrap(own - base))
        means = [float(np.mean([run["scores"][d] for run in runs])) for d in DIMENSIONS]
        cells += [f"{m:.2f}" for m in means] + [f"{np.mean(means):.2f}", f"{runs[0]['parameters']:,}"]
        cells += [f"{np.mean([run.get(key, 0) for run in runs]):.0f}" for key in ("seconds", "peak_mib")]
        print("| " + " | ".join(cells) + " |")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
