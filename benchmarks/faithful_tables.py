"""The figures of ``faithfulness.py``: correlations by task and length, trusted heads, transfer of thresholds."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

from homeostat.envs.harness import wilson
from homeostat.errors import ConfigError
from homeostat.sensors.calibration import conformal_threshold
from homeostat.sensors.span_evidence import SpanEvidence, correlate, head_trust, trusted_heads

__all__ = ["cells", "head_table", "plain", "show", "transfer_table"]

Rows = Sequence[dict[str, Any]]
RANDOM_SETS = 20


def evidence(rows: Rows) -> list[SpanEvidence]:
    """The measures of the rows' spans, with a number for each prompt."""
    return [
        SpanEvidence(**{**one, "case": number, "heads": np.asarray(one["heads"])})
        for number, row in enumerate(rows)
        for one in row["evidence"]
    ]


def cells(rows: Rows) -> dict[str, Any]:
    """The correlations of each task and length, on test prompts.

    Args:
        rows: The rows of ``faithfulness.py``.

    Returns:
        By task and length, such as ``"chat 4x"``.
    """
    found: dict[str, Any] = {}
    for (task, times), some in _cells(rows, "test").items():
        every = evidence(some)
        by_label = {}
        for label in dict.fromkeys(one.label for one in every):
            own = [one for one in every if one.label == label]
            if len(own) > 2:
                by_label[label] = {
                    "prompts": len(own),
                    "tokens": float(np.mean([one.length for one in own])),
                    "mass": float(np.mean([one.mass for one in own])),
                    "intensity": float(np.mean([one.intensity for one in own])),
                    "deletion": float(np.mean([one.deletion for one in own])),
                    **{f"{c.one} and {c.other}": c.rho for c in correlate(own)},
                }
        found[f"{task} {times}x"] = {
            "cases": len(some),
            "spans": len(every),
            "correlations": [asdict(one) for one in correlate(every)],
            "labels": by_label,
        }
    return found


def head_table(rows: Rows, share: float) -> dict[str, Any] | None:
    """Chooses heads on dev prompts of all tasks and lengths, and measures them on test prompts.

    Args:
        rows: The rows of ``faithfulness.py``.
        share: The share of heads to choose.

    Returns:
        The heads and, for each task and length, the correlation of mass and deletion within prompts over all heads,
        over the chosen ones, and over random sets of as many; None without dev prompts.
    """
    dev = [row for row in rows if row["split"] == "dev"]
    if not dev:
        return None
    trust = head_trust(evidence(dev))
    heads = trusted_heads(trust, share)
    rng = np.random.default_rng(0)
    places = [(int(layer), int(head)) for layer, head in np.ndindex(*trust.shape)]
    sets = [[places[n] for n in rng.choice(len(places), len(heads), replace=False)] for _ in range(RANDOM_SETS)]
    measured = {}
    for (task, times), some in _cells(rows, "test").items():
        every = evidence(some)
        drawn = [_within(every, one, resamples=1)[0] for one in sets]
        measured[f"{task} {times}x"] = {
            "all heads": _within(every, places),
            "chosen heads": _within(every, heads),
            "random sets": [float(np.mean(drawn)), float(np.min(drawn)), float(np.max(drawn))],
        }
    alike = {}
    trusts = {key: head_trust(evidence(some)) for key, some in _cells(rows, "test").items()}
    keys = list(trusts)
    for n, one in enumerate(keys):
        for other in keys[n + 1 :]:
            name = f"{one[0]} {one[1]}x and {other[0]} {other[1]}x"
            alike[name] = float(spearmanr(trusts[one].ravel(), trusts[other].ravel()).statistic)
    return {
        "share": share,
        "chosen": sorted(heads),
        "by layer": [sum(layer == row for layer, _ in heads) for row in range(trust.shape[0])],
        "trust": {
            "highest": float(trust.max()),
            "median": float(np.median(trust)),
            "lowest": float(trust.min()),
            "below 0": float((trust < 0).mean()),
        },
        "mean trust by layer": np.round(trust.mean(1), 3).tolist(),
        "test": measured,
        "agreement of the heads' trust": alike,
    }


def transfer_table(rows: Rows, rate: float) -> dict[str, Any]:
    """Sets a threshold on each source, and counts false alarms on every source.

    Args:
        rows: The readings of ``faithfulness.py``.
        rate: The false-alarm rate at which the thresholds are set.

    Returns:
        By reading, source of the threshold, and source of the prompts: Wilson's interval.
    """
    found: dict[str, Any] = {}
    parts = {(row["source"], row["part"]) for row in rows}
    every = dict.fromkeys(row["source"] for row in rows)
    places = [one for one in every if {(one, "set"), (one, "measured")} <= parts]

    def values(source: str, part: str, name: str) -> list[float]:
        return [row["values"][name] for row in rows if row["source"] == source and row["part"] == part]

    for name in rows[0]["values"]:
        table: dict[str, Any] = {}
        for one in places:
            threshold = conformal_threshold(values(one, "set", name), rate, "below")
            table[one] = {"threshold": threshold}
            for other in places:
                seen = values(other, "measured", name)
                table[one][other] = wilson(sum(value < threshold for value in seen), len(seen)).as_dict()
        found[name] = table
    return {"rate": rate, "readings": found}


def plain(value: Any) -> Any:
    """Replaces numbers that JSON does not know by None, such as a correlation with a measure that never varies.

    Args:
        value: Figures as lists and dictionaries.

    Returns:
        The same, without such numbers.
    """
    if isinstance(value, dict):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value


def show(result: dict[str, Any]) -> None:
    """Prints the figures.

    Args:
        result: The figures of one model.
    """
    console = Console(width=120)
    for name, cell in result["cells"].items():
        table = Table(f"{name}, {cell['cases']} prompts", "over all (prompt, span) pairs", "within prompts, mean")
        for c in cell["correlations"]:
            shown = ["{:+.2f} [{:+.2f}, {:+.2f}]".format(*c[part]) for part in ("rho", "within")]
            table.add_row(f"{c['one']} and {c['other']}", *shown)
        console.print(table)
        spans = Table("span", "prompts", "tokens", "mass", "intensity", "deletion, nats per token", "ρ over prompts")
        for label, one in cell["labels"].items():
            means = [f"{one[key]:.3g}" for key in ("tokens", "mass", "intensity", "deletion")]
            spans.add_row(
                label, str(one["prompts"]), *means, "{:+.2f} [{:+.2f}, {:+.2f}]".format(*one["mass and deletion"])
            )
        console.print(spans)
    if result["heads"]:
        table = Table("mass and deletion, within prompts", "all heads", "chosen heads", "random sets (lowest, highest)")
        for name, one in result["heads"]["test"].items():
            table.add_row(name, *("{:+.2f} [{:+.2f}, {:+.2f}]".format(*one[key]) for key in one))
        console.print(table)
    for name, sources in result.get("transfer", {}).get("readings", {}).items():
        table = Table(f"{name}: threshold from", *sources)
        for source, one in sources.items():
            table.add_row(source, *(f"{100 * one[other]['mean']:.0f} %" for other in sources))
        console.print(table)


def _cells(rows: Rows, split: str) -> dict[tuple[str, int], list[dict[str, Any]]]:
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in rows:
        if row["split"] == split:
            found.setdefault((row["task"], row["times"]), []).append(row)
    return {key: some for key, some in found.items() if len(some) > 1}


def _within(
    every: Sequence[SpanEvidence], heads: Collection[tuple[int, int]], resamples: int = 999
) -> tuple[float, float, float]:
    """The correlation of the mass over some heads with deletion, within prompts."""
    if not heads:
        raise ConfigError("heads=() reads nothing; pass (layer, head) pairs")
    layers, numbers = zip(*sorted(heads), strict=True)
    again = [replace(one, mass=float(one.heads[list(layers), list(numbers)].mean())) for one in every]
    (found,) = correlate(again, (("mass", "deletion"),), resamples=resamples)
    return found.within
