"""Tests whether a model's attention on pictures shows the search asymmetries of human vision.

    python benchmarks/search_asymmetry.py --pairs 40 --json search.json

Displays of 4, 8 and 16 items (``homeostat.sensors.search_asymmetry``) are shown to the model as screens, with the goal
"tap the item that differs". While it answers, the attention on every item is read, averaged over the answer's tokens,
and the target's rank by attention is the number of fixations until it is found. It is read once from all heads, and
once from the heads that find targets best on other displays (half of the displays choose, the others count; their
target has the feature in half of them, so that the choice favours neither side).

JSON: ``rows``, each with ``feature``, ``items``, ``heads`` ("all" or "best"), the mean numbers of fixations
``present`` and ``absent``, ``value`` with ``low`` and ``high`` (bootstrap over pairs), ``pairs``, ``chance`` (the
number of fixations of a blind observer), and ``tapped`` (the share of the answers that tap the target).
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from homeostat.actions import Click
from homeostat.agent import TransformersModel
from homeostat.agent.prompts import act_prompt
from homeostat.envs.mobile_use import parse_action
from homeostat.errors import UnparsableAction
from homeostat.observation import Observation, element_at
from homeostat.sensors import Readout
from homeostat.sensors.element_gaze import coverage, grid_of
from homeostat.sensors.search_asymmetry import FEATURES, Display, asymmetry, displays, fixations_to

GOAL = "tap the item that differs"


def looked(model: TransformersModel, display: Display) -> tuple[NDArray[np.float64], bool]:
    """(L, H, items) attention on each item while the model answers, and whether it taps the target."""
    seen = Observation(display.screenshot, display.elements, "display")
    prompt = act_prompt(model.style, goal=GOAL, rules=(), history=[], observation=seen)
    (attempt,) = model.generate(prompt, watch=Readout(keys=frozenset({"screen"})), max_new_tokens=32)
    assert attempt.spans is not None
    keys = attempt.spans.keys["screen"].astype(np.float64).mean(0)  # (L, H, n)
    covered = coverage(display.elements, grid_of(keys.shape[-1], *display.screenshot.shape[:2]))
    try:
        action = parse_action(attempt.text, model.style.grid(seen))
    except UnparsableAction:
        action = None
    tapped = isinstance(action, Click) and element_at(display.elements, action.point) == display.target
    return keys @ covered[:, :-1], tapped


def ranks(attention: NDArray[np.float64], target: int) -> NDArray[np.float64]:
    """(L, H) fixations until the target is found, in each head alone."""
    flat = attention.reshape(-1, attention.shape[-1])
    return np.array([fixations_to(target, row) for row in flat]).reshape(attention.shape[:2])


def measure(
    model: TransformersModel, feature: Any, items: int, pairs: int, seed: int, best: int
) -> list[dict[str, Any]]:
    shown = list(displays(feature, items, 2 * pairs, seed=seed))
    read = [[looked(model, display) for display in pair] for pair in shown]
    chooses, counts = slice(0, pairs), slice(pairs, None)
    effect = np.mean(
        [[ranks(one[0], shown[n][0].target) for one in pair] for n, pair in enumerate(read[chooses])], axis=(0, 1)
    )
    order = np.argsort(effect, axis=None, kind="stable")[:best]
    chosen = np.zeros(effect.size, bool)
    chosen[order] = True
    rows = []
    for name, heads in (("all", np.ones_like(effect, bool)), ("best", chosen.reshape(effect.shape))):
        sides = [
            [
                fixations_to(d[side].target, r[side][0][heads].mean(0))
                for d, r in zip(shown[counts], read[counts], strict=True)
            ]
            for side in (0, 1)
        ]
        tapped = float(np.mean([one[1] for pair in read[counts] for one in pair]))
        found = asdict(asymmetry(*sides))
        rows.append(
            {"feature": feature, "items": items, "heads": name, "chance": (items + 1) / 2, "tapped": tapped} | found
        )
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="homeostat/nano", help="The model: a name or a folder.")
    parser.add_argument("--pairs", type=int, default=40, help="Pairs of displays that choose heads, and that count.")
    parser.add_argument("--items", type=int, nargs="+", default=[4, 8, 16], help="The numbers of items.")
    parser.add_argument("--best", type=int, default=3, help="How many heads the second reading takes.")
    parser.add_argument("--seed", type=int, default=0, help="The seed of the displays.")
    parser.add_argument("--json", type=Path, help="Write the figures to this JSON file.")
    options = parser.parse_args()
    model = TransformersModel.load(options.model)
    rows = [
        row
        for feature in FEATURES
        for items in options.items
        for row in measure(model, feature, items, options.pairs, options.seed, options.best)
    ]
    table = Table("feature", "items", "heads", "fixations: present, absent", "chance", "asymmetry", "tapped")
    for row in rows:
        table.add_row(
            row["feature"], str(row["items"]), row["heads"], f"{row['present']:.2f}, {row['absent']:.2f}",
            f"{row['chance']:.1f}", f"{row['value']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]",
            f"{row['tapped']:.0%}",
        )  # fmt: skip
    Console(width=110).print(table)
    if options.json:
        options.json.write_text(json.dumps({"model": options.model, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
