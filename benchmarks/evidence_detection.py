"""Measures whether sensors tell a conflict of instructions from its aligned twin, on a real language model.

    python benchmarks/evidence_detection.py --model FOLDER --dtype bfloat16 --data DATA --out OUT \\
        --json docs/evidence/detection.json

``DATA`` holds public sets as their authors publish them, in the folders ``realguardrails`` (RealGuardrails, MIT),
``iheval`` (IHEval, CC BY-NC-ND 4.0) and ``tau-bench`` (the file ``gpt-4o-airline.json`` of τ-bench, MIT).

1. Every prompt is read once, in batches: the attention of the answer's first token on the text with authority and on
   the text without, per head. ``detection_cases.py`` says which prompts, ``detection_readings.py`` what is kept of
   them. ``--out`` keeps the readings: an interrupted command goes on where it was, and commands for some of the
   ``--tasks`` each can share the work. ``--size`` reads more or fewer of a cell's prompts than ``SIZES``, and what is
   left out there: ``canary`` cells hold Attention Tracker's own prompts.
2. All sensors are computed from the readings (``detection_scores.py``): heads and probes come from train parts,
   thresholds (5 % false alarms) from dev parts, figures from test parts.
3. The figures are written to ``--json``, and the plot ``detection.png`` to ``--plots``. ``--scores`` gets a file for
   each task and cell, such as ``tensortrust-1x-matched.json``, with what every row says about each test prompt:
   ``homeostat plot roc FILE --out roc.png`` draws the curves.

JSON: ``auroc_1x`` (prompts matched by length), ``auroc_8x`` and ``false_alarm_gap`` (the distance of the false alarms
at 1× from 5 %) of the ``best`` attention sensor on the ``main_task``; ``text_auroc_1x``, the best reading of text alone
on the same matched prompts. ``tasks`` has for each task the sensor that is ``best`` on its dev part, and for each of
the ``cells`` (``1x``, ``1x matched``, ``8x``) all ``rows``: ``auroc`` with a bootstrap interval over groups of prompts
that resemble each other, and ``alarms`` with the threshold and the shares of alarms. ``better_than`` has the difference
between the best sensor's AUROC and each text reading's, on the prompts that both read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from detection_cases import STAGES, TASKS, Sizes, cell_twins, sizes_of, stage_size
from detection_padding import PARTS
from detection_plot import plot
from detection_readings import load_cell, read_cell
from detection_table import Scores, figures_of, markdown

from homeostat import TransformersModel

Cell = tuple[str, str, str, str]
"""Task, part, length and kind."""


def cell_names(tasks: Sequence[str], sizes: Sizes) -> list[Cell]:
    """The cells of some tasks, those of the prompts themselves first."""
    found = []
    for stage in STAGES:
        kind, length = stage.split()
        found += [
            (task, part, length, kind) for task in tasks for part in PARTS if stage_size(task, part, stage, sizes)
        ]
    return found


def begin_cell(folder: Path, size: int, usual: int) -> None:
    """Notes a cell's size, because its blocks are those of this size alone; a cell without a note has the usual one."""
    note = folder / "size"
    known = int(note.read_text(encoding="utf-8")) if note.exists() else usual if folder.exists() else size
    if known != size:
        raise SystemExit(f"{str(folder)!r} was begun with {known} twins, not {size}; delete it, or give another --out")
    folder.mkdir(parents=True, exist_ok=True)
    note.write_text(f"{size}\n", encoding="utf-8")


def folder_of(out: Path, cell: Cell) -> Path:
    """Where a cell's readings are kept."""
    return out / ".".join(cell)


def read_all(args: argparse.Namespace, cells: Sequence[Cell], sizes: Sizes) -> None:
    """Takes all readings that are missing."""
    settings = {"model": args.model.name, "dtype": args.dtype, "share": args.share}
    args.out.mkdir(parents=True, exist_ok=True)
    manifest = args.out / "settings.json"
    if not manifest.exists():
        manifest.write_text(json.dumps(settings) + "\n", encoding="utf-8")
    if (begun := json.loads(manifest.read_text(encoding="utf-8"))) != settings:
        raise SystemExit(f"{str(args.out)!r} was begun with {begun}; delete it, or give another --out")
    for task, part, length, kind in cells:
        stage = f"{kind} {length}"
        size, usual = (stage_size(task, part, stage, some) for some in (sizes, None))
        begin_cell(folder_of(args.out, (task, part, length, kind)), size, usual)
    missing = [one for one in cells if not (folder_of(args.out, one) / "done").exists()]
    if not missing:
        return
    model = TransformersModel.load(str(args.model.expanduser()), None, args.dtype)
    for task, part, length, kind in missing:
        folder = folder_of(args.out, (task, part, length, kind))
        twins = cell_twins(task, part, f"{kind} {length}", model, args.data, args.share, sizes)
        read_cell(model, twins, kind, folder)
        (folder / "done").touch()


def write_scores(folder: Path, scores: Scores) -> None:
    """Writes one file for each task and cell, from which ``homeostat plot roc`` draws curves."""
    folder.mkdir(parents=True, exist_ok=True)
    for (task, length), rows in scores.items():
        file = folder / f"{task}-{length.replace(' ', '-')}.json"
        lines = (f"{json.dumps(name)}: {json.dumps(sides)}" for name, sides in rows.items())
        file.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="The model's folder.")
    parser.add_argument("--dtype", default=None, help="For example bfloat16.")
    parser.add_argument("--data", type=Path, required=True, help="The folder of the public sets.")
    parser.add_argument("--out", type=Path, required=True, help="The folder of the readings.")
    parser.add_argument("--json", type=Path, help="Where the figures are written.")
    parser.add_argument("--scores", type=Path, help="The folder of the test prompts' scores, a file for each cell.")
    parser.add_argument("--plots", type=Path, help="The folder of the plot.")
    parser.add_argument("--tasks", default=",".join(TASKS), help="The tasks, with commas; all by default.")
    parser.add_argument("--share", type=float, default=1.0, help="The share of the prompts that is read.")
    parser.add_argument(
        "--size",
        action="append",
        default=[],
        metavar="CELL=TWINS",
        help="The most twins of a cell, such as tensortrust.test.8x.prompt=60; may be given again.",
    )
    args = parser.parse_args()
    tasks = args.tasks.split(",")
    if unknown := [task for task in tasks if task not in TASKS]:
        parser.error(f"--tasks {unknown[0]!r} is unknown; known: {', '.join(TASKS)}")
    if not 0 < args.share <= 1:
        parser.error(f"--share {args.share!r} is no share; give a number above 0, 1 at most")
    try:
        sizes = sizes_of(args.size)
    except ValueError as error:
        parser.error(f"--size: {error}")
    cells = cell_names([task for task in TASKS if task in tasks], sizes)
    read_all(args, cells, sizes)
    figures, scores = figures_of({cell: load_cell(folder_of(args.out, cell)) for cell in cells}, args.model.name)
    print(markdown(figures))
    print(json.dumps({key: value for key, value in figures.items() if key != "tasks"}, indent=1))
    if args.json:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    if args.scores:
        write_scores(args.scores, scores)
    if args.plots:
        plot(figures, args.plots)


if __name__ == "__main__":
    main()
