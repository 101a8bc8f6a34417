"""Puts the figures of the detection benchmark together: every row in every cell, and what the best sensor reaches.

The best attention sensor of a task is chosen by its AUROC on the dev part, the mean of both lengths. IHEval's tasks,
where nothing is chosen, take the probe of the other tasks. The main task is TensorTrust, and its figure at 1× is that
of prompts matched by length. Both were decided before the test parts were read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from detection_cases import FITTED
from detection_figures import alarms, auroc_with_interval, best, difference, draws_of, matched, weighted_auroc
from detection_readings import Readings
from detection_scores import RATE, Cells, Score, Values, kind_of, rows_of

MAIN = "tensortrust"
ELSEWHERE = "conflict_probe, other tasks"
LENGTHS = ("1x", "1x matched", "8x")
_ENOUGH = 20  # pairs of a matched dev part, from which sensors are chosen
_FEWEST = 5  # pairs of a matched test part


Scores = dict[tuple[str, str], dict[str, dict[str, list[float]]]]
"""By task and cell, what every row says about each test prompt: ``positive`` for conflicts, ``negative`` for aligned
prompts, larger ones more alarming, as ``homeostat plot roc`` reads them."""


def figures_of(cells: Cells, model: str) -> tuple[dict[str, Any], Scores]:
    """Computes all figures.

    Args:
        cells: All readings.
        model: The model's name.

    Returns:
        The keys of the JSON file, and the scores of the test prompts.
    """
    tasks: dict[str, Any] = {}
    scores: Scores = {}
    for task in dict.fromkeys(task for task, *_ in cells):
        rows = rows_of(task, cells, model)
        chosen = _chosen(task, rows, cells)
        tasks[task] = {"best": chosen, "cells": {}}
        for length in LENGTHS:
            tasks[task]["cells"][length], kept = _cell(task, length, rows, chosen, cells)
            if kept:
                scores[task, length] = {name: _sides(*one) for name, one in kept.items()}
    found: dict[str, Any] = {"model": model, "main_task": MAIN}
    if MAIN in tasks:
        name, main = tasks[MAIN]["best"], tasks[MAIN]["cells"]
        short, long, plain = (main[length]["rows"] for length in ("1x matched", "8x", "1x"))
        texts = {row: one["auroc"]["mean"] for row, one in short.items() if one["kind"] == "text"}
        found |= {
            "best": name,
            "auroc_1x": _auroc(short, name),
            "auroc_8x": _auroc(long, name),
            "text_auroc_1x": max(texts.values(), default=None),
            "text_best": best(texts) if texts else None,
            "false_alarm_gap": _gap(plain.get(name, {})),
        }
    return found | {"tasks": tasks}, scores


def _sides(readings: Readings, values: Values) -> dict[str, list[float]]:
    """The values of conflicts and of aligned prompts, to nine digits."""
    sides = {"positive": values[readings.conflict], "negative": values[~readings.conflict]}
    return {side: [float(f"{value:.9g}") for value in some] for side, some in sides.items()}


def _auroc(rows: dict[str, Any], name: str) -> float | None:
    return rows[name]["auroc"]["mean"] if name in rows else None  # no prompts of equal length, or none at 8×


def _gap(row: dict[str, Any]) -> float | None:
    return abs(row["alarms"]["false_alarms"]["mean"] - RATE) if "alarms" in row else None


def _chosen(task: str, rows: dict[str, tuple[str, Score]], cells: Cells) -> str:
    if task not in FITTED:
        return ELSEWHERE
    short, long = cells[task, "dev", "1x", "prompt"], cells.get((task, "dev", "8x", "prompt"))
    pairs = short.only(matched(short.values["visible"], short.conflict))
    known = [pairs if len(pairs) >= 2 * _ENOUGH else short, *([] if long is None else [long])]
    found = {}
    for name, (stage, score) in rows.items():
        if stage == "prompt" and kind_of(name) == "attention":
            sides = [weighted_auroc(score(one), one.conflict, np.ones((1, len(one))))[0] for one in known]
            found[name] = float(np.mean(sides))
    return best(found)


def _cell(
    task: str, length: str, rows: dict[str, tuple[str, Score]], chosen: str, cells: Cells
) -> tuple[dict[str, Any], dict[str, tuple[Readings, Values]]]:
    """All rows of one cell, with how much better the chosen sensor is than each row that reads the text; all values."""
    read = length.split()[0]
    everything = cells.get((task, "test", read, "prompt"))
    if everything is None:
        return {"rows": {}}, {}
    kept: dict[str, tuple[Readings, Values]] = {}
    found: dict[str, Any] = {}
    for name, (stage, score) in rows.items():
        test = cells.get((task, "test", read, stage))
        if test is None:
            continue
        if length.endswith("matched"):
            test = test.only(matched(_lengths(test, everything), test.conflict))
            if len(test) < 2 * _FEWEST:
                continue
        if not test.conflict.any() or test.conflict.all():
            continue
        values = score(test)
        kept[name] = test, values
        sides = {"conflicts": int(test.conflict.sum()), "aligned": int((~test.conflict).sum())}
        interval = auroc_with_interval(values, test.conflict, draws_of(test.group))
        found[name] = {"kind": kind_of(name), **sides, "auroc": interval} | _alarms(
            task, read, stage, score, test, values, cells
        )
    result: dict[str, Any] = {"rows": found}
    if chosen in kept:
        texts = [name for name in kept if kind_of(name) == "text"]
        result["better_than"] = {name: _difference(kept[chosen], kept[name]) for name in texts}
    return result, kept


def _lengths(some: Readings, all_of_them: Readings) -> Values:
    """The tokens of some prompts, which only the readings of the prompts themselves know."""
    known = dict(zip(_names(all_of_them), all_of_them.values["visible"].tolist(), strict=True))
    return np.array([float(known[name]) for name in _names(some)])


def _names(readings: Readings) -> list[tuple[str, bool]]:
    return list(zip(readings.ids.tolist(), readings.conflict.tolist(), strict=True))


def _alarms(
    task: str, length: str, stage: str, score: Score, test: Readings, values: Values, cells: Cells
) -> dict[str, Any]:
    """Alarm rates at a threshold of this length; at 8×, also at the threshold of 1×."""
    found = {}
    for key, at in (("alarms", length), ("alarms_at_1x_threshold", "1x")):
        dev = cells.get((task, "dev", at, stage))
        if dev is None or (key != "alarms" and length == "1x"):
            continue
        calm = dev.only(~dev.conflict)
        if (len(calm) + 1) * RATE >= 1:
            found[key] = alarms(values, test.conflict, score(calm), RATE)
    return found


def _difference(one: tuple[Readings, Values], other: tuple[Readings, Values]) -> dict[str, float]:
    """On the prompts that both have."""
    values = [dict(zip(_names(readings), found, strict=True)) for readings, found in (one, other)]
    inside = np.array([name in values[1] for name in _names(one[0])])
    common = one[0].only(inside)
    sides = [np.array([found[name] for name in _names(common)]) for found in values]
    return difference(sides[0], sides[1], common.conflict, draws_of(common.group)) | {"prompts": len(common)}


def markdown(figures: dict[str, Any]) -> str:
    """The tables of all tasks."""
    lines = []
    for task, one in figures["tasks"].items():
        cells = one["cells"]
        sizes = "; ".join(f"{length}: {_sizes(cell)}" for length, cell in cells.items() if cell["rows"])
        lines += [f"**{task}** (conflicts and aligned prompts at {sizes})", ""]
        lines += ["| reading | AUROC 1× | 1×, length-matched | 8× | alarms at 1×: found, false | at 8×: found, false |"]
        lines += ["|---|---|---|---|---|---|"]
        for name in dict.fromkeys(row for cell in cells.values() for row in cell["rows"]):
            shown = [_interval(cells[length]["rows"].get(name, {}).get("auroc")) for length in LENGTHS]
            rates = [_rates(cells[length]["rows"].get(name, {}).get("alarms")) for length in ("1x", "8x")]
            bold = "**" if name == one["best"] else ""
            lines.append(f"| {bold}{name}{bold} | {' | '.join(shown + rates)} |")
        lines.append("")
    return "\n".join(lines)


def _sizes(cell: dict[str, Any]) -> str:
    row = cell["rows"]["length"]
    return f"{row['conflicts']} and {row['aligned']}"


def _interval(one: dict[str, float] | None) -> str:
    return f"{one['mean']:.2f} [{one['low']:.2f}, {one['high']:.2f}]" if one else ""


def _rates(one: dict[str, Any] | None) -> str:
    return f"{100 * one['found']['mean']:.0f} %, {100 * one['false_alarms']['mean']:.1f} %" if one else ""
