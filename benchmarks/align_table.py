"""Compares ways to train on conflicts of instructions: what each one gains and what it forgets.

    python benchmarks/align_table.py --json align_table.json            # nano, three seeds, every row
    python benchmarks/align_table.py --seeds 0 --out runs/align_table --json seed0.json
    homeostat localize --model FOLDER --suite chat --count 80 --causal 30 --draws 5 --dtype bfloat16 --out OUT
    python benchmarks/align_table.py --model FOLDER --dtype bfloat16 --suite chat --out OUT --json alignment.json

A row is a way to train: DPO (direct preference optimisation) on all or on random layers, or SAIL with one of its
sources of token weights. Every row is compared with the untrained model (``base``) on the same held-out conflicts and
their twins, the same situations without a conflict. A seed determines the training pairs, the initial weights and the
order. All rows have the same learning rate, number of epochs and number of trained parameters; the rank of an adapter
on all layers is reduced accordingly.

``--suite phone`` has screens of the simulated phone, for a model that reads images. ``--suite chat`` has conflicts
between system and user in the wordings of ``alignment/conflicts/hierarchy.yaml``, for any language model.

Each training is a process of its own, which reports its processor time and its peak memory. Answers are kept in
``--out``: a killed run goes on where it was, and a finished row is not measured again.

JSON: the headline (:func:`align_figures.headline`; what ``mined_round_trip.py --suite chat`` has written into the file
stays); ``local``, the focal heads and layers and the causal check; and ``table``, which has for each row one entry per
seed: ``kept`` says for each conflict whether the rule was kept, ``right`` for each twin whether it was answered
correctly, ``both`` whether its rule was kept too. ``kinds`` and ``variants`` name the kind and the wording of a case,
``scores`` are the four CRAS scores, ``by_kind`` is the share kept and right for each kind of conflict, and ``text`` the
mean log-probability of a plain text (the Gettysburg Address) in nats per token, which shows what the model forgets.

``parameters``, ``layers``, ``loss``, ``cpu_seconds`` and ``peak_mib`` (of the whole process) describe the training, and
``held_mib`` what the process held before the model was loaded. ``parts`` is the number of processes that it took, more
than 1 after a kill; their processor times are added up. Hidden states and token weights are computed by the row that
needs them first, and kept for the next.
"""

from __future__ import annotations

import argparse
import json
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from align_answers import answers, is_complete, scored
from align_figures import by_kind, headline, show, with_round_trip
from align_rows import SUITES, localizing_twins, measured_cases, rows, training_twins
from align_training import train_here, trained

from homeostat.agent.models.transformers_model import TransformersModel
from homeostat.alignment.conflicts.core import Case, pairs_of
from homeostat.alignment.preference.pairs import write_pairs
from homeostat.alignment.sail.adapters import load_adapted
from homeostat.alignment.sail.config import AlignSettings
from homeostat.alignment.sail.localization import Localization
from homeostat.alignment.sail.localize import causal_check, localize


class Comparison:
    """One run of the benchmark: everything that its rows share."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args, self.suite, self.out = args, SUITES[args.suite], Path(args.out)
        self.count = args.test or self.suite.test
        self.out.mkdir(parents=True, exist_ok=True)

    @cached_property
    def base(self) -> TransformersModel:
        """The untrained model."""
        return TransformersModel.load(self.args.model, None, self.args.dtype)

    @property
    def writer(self) -> TransformersModel | None:
        """The model in whose style prompts are written; None for chats, which have no style."""
        return self.base if self.args.suite == "phone" else None

    @cached_property
    def cases(self) -> list[Case]:
        """What every row answers."""
        return measured_cases(self.writer, self.args.split, self.count)

    @cached_property
    def local(self) -> Localization:
        """The focal heads and layers, found once."""
        file = self.out / "localization.json"
        if not file.is_file():
            twins, causal, draws = self.suite.localize
            drawn = list(islice(localizing_twins(self.base, self.args.suite), twins))
            found = localize(self.base, drawn)
            told = causal_check(self.base, [both.conflict for both in drawn[:causal]], found.heads, draws=draws)
            found.model_copy(update={"causal": told}).save(file)
        return Localization.load(file)

    def pairs(self, seed: int) -> Path:
        """The training pairs of a seed, written once."""
        folder = self.out / f"pairs-{seed}"
        if not folder.is_dir():
            twins = training_twins(self.writer, seed)
            write_pairs(pairs_of(islice(twins, self.args.twins or self.suite.twins)), folder)
        return folder

    def settings(self, seed: int, name: str, told: dict[str, Any]) -> AlignSettings:
        """The settings of one training."""
        recipe = {
            key: kept if (kept := getattr(self.args, key)) is not None else v for key, v in self.suite.recipe.items()
        }
        return AlignSettings(
            model=self.args.model,
            dtype=self.args.dtype,
            data=self.pairs(seed),
            out=self.out / str(seed) / name,
            localization=self.out / "localization.json",
            alpha=2 * told["r"],
            forgetting=0,  # the table scores the twins itself
            attention_steps=0,
            save_steps=5,
            seed=seed,
            cache=self.out / "states",
            **told,
            **recipe,
        )

    def answered(self, folder: Path, adapter: Path | None) -> dict[str, Any]:
        """The figures of a model, which is asked once."""

        def load() -> TransformersModel:
            return self.base if adapter is None else load_adapted(str(adapter), None, self.args.dtype)

        return scored(answers(load, self.cases, folder / f"answers-{self.args.split}.json", self.suite))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--model",
        default="homeostat/nano",
        help="The model: a Hugging Face name, a folder, or the name of an embedded model.",
    )
    parser.add_argument("--dtype", help="The type of the weights; by default, it depends on the model's size.")
    parser.add_argument("--suite", choices=list(SUITES), default="phone", help="The set of conflicts.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="The seeds of the training runs.")
    parser.add_argument("--twins", type=int, help="The number of training twins; by default, the suite's.")
    parser.add_argument("--test", type=int, help="The number of conflicts to measure on; by default, the suite's.")
    parser.add_argument(
        "--split", choices=["dev", "test"], default="test", help="The data split; dev is for choosing a recipe."
    )
    parser.add_argument("--rows", nargs="+", help="Only the rows with these names.")
    parser.add_argument("--finished", action="store_true", help="Only the rows that are finished; nothing is trained.")
    for name in ("rate", "epochs", "batch", "beta", "nll"):
        kind = int if name == "batch" else float
        parser.add_argument(f"--{name}", type=kind, help="As for homeostat align; by default, the suite's recipe.")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("runs/align_table"),
        help="The folder for pairs, adapters, answers and caches. An existing one is continued.",
    )
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    if args.one:
        train_here(AlignSettings.model_validate_json(args.one.read_text()))
        return
    run = Comparison(args)
    table: dict[str, list[dict[str, Any]]] = {"base": [run.answered(run.out / "base", None)]}

    def write() -> None:
        if args.json:
            local = run.local.model_dump(mode="json", include={"heads", "layers", "twins", "causal"})
            told = json.loads(args.json.read_text()) if args.json.is_file() else {}
            kept = {name: told[name] for name in told if name.startswith("round_trip")}
            kept["intervals"] = {k: v for k, v in told.get("intervals", {}).items() if k.startswith("round_trip")}
            found = headline(table) | {"local": local, "table": table}
            args.json.write_text(json.dumps(with_round_trip(found, kept)) + "\n")

    local = run.local
    for seed in args.seeds:
        wanted = rows(args.suite, len(local.layers), len(local.score), run.out / str(seed))
        if unknown := set(args.rows or ()) - {*wanted, "base"}:
            raise SystemExit(f"--rows {sorted(unknown)[0]!r} is not one of: {', '.join(wanted)}")
        for name, told in wanted.items():
            if args.rows and name not in args.rows:
                continue
            settings = run.settings(seed, name, told)
            if args.finished and not is_complete(settings.out / f"answers-{args.split}.json"):
                continue
            cost = trained(settings, __file__)
            if name.startswith("("):
                continue
            one = run.answered(settings.out, settings.out / "adapter") | cost
            table.setdefault(name, []).append(one)
            base = table["base"][0]
            kept, right = (
                100 * float(np.dot(by_kind(base["kinds"][side]), one[key]))
                for key, side in (("kept", "conflict"), ("right", "aligned"))
            )
            print(f"{seed} {name}: {kept:.1f} {right:.1f} ({cost['cpu_seconds']:.0f} s of CPU time)", flush=True)
            write()
    show(table)
    write()


if __name__ == "__main__":
    main()
