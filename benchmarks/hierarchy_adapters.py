"""Adds the adapters of the alignment table to the hierarchy table, on the chat conflicts that both of them asked.

    python benchmarks/hierarchy_adapters.py docs/evidence/alignment.json docs/evidence/hierarchy.json

``align_table.py --suite chat`` wrote the first file, ``evidence_hierarchy.py`` for the same model the second. No model
is asked again: the first file holds whether each answer was good, in the order of its cases. They are generated once
more, and those whose prompt is in the column ``chat`` are counted. Each adapter is compared with the untrained model of
its own table, whose answers have the same length (32 tokens; those of the hierarchy table have 24).

JSON: the second file gets the key ``adapters``: ``cases`` and ``tokens``, and in ``rows`` for each way to train and
each seed the figures that the hierarchy table has for its rows.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from align_rows import SUITES, measured_cases, written
from evidence_hierarchy import figures
from hierarchy_columns import column

from homeostat.alignment.conflicts.core import Case

COLUMN = "chat"
BASE = "base"


def good(row: dict[str, Any]) -> list[bool]:
    """Whether each answer of a model of the alignment table was good: conflicts first, then aligned cases."""
    return [*row["kept"], *row["both"]]


def adapter_rows(table: dict[str, list[dict[str, Any]]], cases: Sequence[Case], wanted: Sequence[Case]) -> Any:
    """Computes the figures of every adapter on some of its cases.

    Args:
        table: The ``table`` of ``align_table.py``.
        cases: The cases of that table, in its order.
        wanted: The cases that are counted.

    Returns:
        ``cases`` (the number of conflicts and of aligned cases), and ``rows`` by name and seed.
    """
    kinds = table[BASE][0]["kinds"]
    if kinds["conflict"] + kinds["aligned"] != [case.kind for case in cases]:
        raise SystemExit("the alignment table has other cases than this version generates; measure it again")
    asked = {(written(case.prompt), case.aligned) for case in wanted}
    chosen = [n for n, case in enumerate(cases) if (written(case.prompt), case.aligned) in asked]
    if len(chosen) < len(asked):
        raise SystemExit(f"the alignment table asked {len(chosen)} of the {len(asked)} cases; measure it with --test")
    aligned = [cases[n].aligned for n in chosen]
    before = [good(table[BASE][0])[n] for n in chosen]
    rows = {}
    for name, seeds in table.items():
        for one in seeds:
            label = name if name == BASE else f"{name}, seed {one['seed']}"
            rows[label] = figures(before, [good(one)[n] for n in chosen], aligned)
    return {"cases": {"conflicts": aligned.count(False), "aligned": aligned.count(True)}, "rows": rows}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("alignment", type=Path, help="The JSON file of align_table.py --suite chat.")
    parser.add_argument("hierarchy", type=Path, help="The JSON file of evidence_hierarchy.py; it is written again.")
    parser.add_argument("--test", type=int, default=SUITES["chat"].test, help="As for align_table.py.")
    parser.add_argument("--count", type=int, default=72, help="The conflicts of the hierarchy table's column.")
    args = parser.parse_args()
    table = json.loads(args.alignment.read_text(encoding="utf-8"))["table"]
    found = json.loads(args.hierarchy.read_text(encoding="utf-8"))
    wanted = column(COLUMN, "test", args.count, None, None)
    made = adapter_rows(table, measured_cases(None, "test", args.test), wanted)
    found["adapters"] = {"column": COLUMN, "tokens": SUITES["chat"].tokens} | made
    args.hierarchy.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    for name, one in made["rows"].items():
        shares = [f"{key} {100 * one[key]['mean']:.1f}" for key in ("kept", "twins", "gain", "twins_gain")]
        print(f"{name:48} {'  '.join(shares)}")


if __name__ == "__main__":
    main()
