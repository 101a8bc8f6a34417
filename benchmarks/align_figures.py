"""The figures of ``align_table.py``: shares with intervals, gains over the untrained model, and the headline.

All rows answer the same cases, so gains are paired. A share is the mean over the kinds of conflict, so that a kind of
which there are more cases does not count for more. Intervals are 95 % bootstrap intervals over cases.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from align_rows import ALL, RANDOM, SAIL
from numpy.typing import NDArray

from homeostat.sensors.rubric import DIMENSIONS

Floats = NDArray[np.float64]
DRAWS = 2000


def by_kind(kinds: Sequence[str]) -> Floats:
    """Weights (N,) of cases that give every kind the same weight, with sum 1."""
    count = Counter(kinds)
    return np.array([1 / (len(count) * count[kind]) for kind in kinds])


def share(values: Floats, weights: Floats, groups: Sequence[str] | None = None) -> tuple[float, float, float]:
    """Computes a weighted mean with its 95 % bootstrap interval.

    Args:
        values: A value (N,) for each case, the mean over seeds.
        weights: The weight (N,) of each case.
        groups: For each case the group that is drawn as a whole, such as a wording; None draws single cases.

    Returns:
        The mean, and the lower and the upper end of the interval, in percent.
    """
    rng = np.random.default_rng(0)
    names = list(dict.fromkeys(groups)) if groups is not None else list(range(len(values)))
    place = {name: n for n, name in enumerate(names)}
    member = np.array([place[g] for g in groups]) if groups is not None else np.arange(len(values))
    total = np.bincount(member, weights * values, len(names))
    weight = np.bincount(member, weights, len(names))
    drawn = rng.integers(0, len(names), (DRAWS, len(names)))
    means = total[drawn].sum(1) / weight[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return 100 * float(total.sum() / weight.sum()), 100 * float(low), 100 * float(high)


def shown(one: tuple[float, float, float]) -> str:
    """A share with its interval, in percent."""
    return f"{one[0]:.1f} [{one[1]:.1f}, {one[2]:.1f}]"


def gain(runs: Sequence[Mapping[str, Any]], base: Mapping[str, Any], key: str, wordings: bool = False) -> Any:
    """The paired gain of a row over the untrained model, with its interval.

    Args:
        runs: The row's runs, one for each seed.
        base: The untrained model's figures.
        key: ``kept``, ``right`` or ``both``.
        wordings: Whether whole wordings are drawn instead of single cases. The interval is then wider, because cases
            with the same wording are alike.

    Returns:
        What :func:`share` returns.
    """
    side = "conflict" if key == "kept" else "aligned"
    own = np.mean([run[key] for run in runs], axis=0) - np.array(base[key], float)
    return share(own, by_kind(base["kinds"][side]), base["variants"][side] if wordings else None)


def headline(table: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Summarises the table.

    Args:
        table: For each row its runs; ``base`` has one.

    Returns:
        Gains in percentage points and ratios, with ``intervals`` by the same names. A figure of a row that was not run
        is None, and ``reasons`` says so. ``time_ratio`` and ``memory_ratio`` divide SAIL's processor time and peak
        memory by those of DPO on all layers, over the seeds that both have.
    """
    (base,) = table["base"]
    told: dict[str, Any] = {}
    intervals: dict[str, list[float]] = {}
    reasons: dict[str, str] = {}
    for name, row, key in (
        ("sail_gain", SAIL, "kept"),
        ("sail_twins", SAIL, "right"),
        ("all_layers_gain", ALL, "kept"),
        ("all_layers_twins", ALL, "right"),
        ("random_layers_gain", RANDOM, "kept"),
        ("random_layers_twins", RANDOM, "right"),
    ):
        if row in table:
            one, wide = gain(table[row], base, key), gain(table[row], base, key, wordings=True)
            told[name], intervals[name] = round(one[0], 2), [round(end, 2) for end in one[1:]]
            intervals[f"{name}, whole wordings drawn"] = [round(end, 2) for end in wide[1:]]
        else:
            told[name], reasons[name] = None, f"row {row!r} was not run"
    for name, key in (("time_ratio", "cpu_seconds"), ("memory_ratio", "peak_mib")):
        spent = {row: {run["seed"]: run[key] for run in table.get(row, ())} for row in (SAIL, ALL)}
        seeds = sorted(spent[SAIL].keys() & spent[ALL].keys())
        told[name] = None
        if seeds:
            told[name] = round(
                float(np.sum([spent[SAIL][s] for s in seeds]) / np.sum([spent[ALL][s] for s in seeds])), 3
            )
        else:
            reasons[name] = f"needs the rows {SAIL!r} and {ALL!r} of one seed"
    told["round_trip_gain"] = None
    reasons["round_trip_gain"] = "this command trains on generated conflicts, not on mined runs"
    return told | {"intervals": intervals, "reasons": reasons}


def with_round_trip(told: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """Takes over the figures of ``mined_round_trip.py --suite chat``, which writes them into the same file.

    Args:
        told: New contents of the file, or the figures of the round trip.
        before: Earlier contents, or those of the file to which the round trip is added.

    Returns:
        ``told``, with ``before`` where ``told`` has nothing, and the reasons for figures that are still missing.
    """
    new = dict(before) | {key: value for key, value in told.items() if value is not None or key not in before}
    for part in ("intervals", "reasons"):
        if part in before or part in told:
            both = dict(before.get(part, {})) | dict(told.get(part, {}))
            new[part] = {key: one for key, one in both.items() if part != "reasons" or new.get(key) is None}
    return new


def show(table: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Prints one line per row: the mean over seeds, the share of each seed, and the paired gain over the base."""
    print(
        f"| row | rule kept, % | by seed | gain | twins right, % | by seed | gain | twins right and kept, % | "
        f"{' | '.join(DIMENSIONS)} | CRAS | text, nats | parameters | CPU seconds | peak MiB |"
    )
    print("|" + "---|" * (13 + len(DIMENSIONS)))
    (base,) = table["base"]
    for name, runs in table.items():
        cells = [name]
        for key in ("kept", "right"):
            weights = by_kind(base["kinds"]["conflict" if key == "kept" else "aligned"])
            own = np.mean([run[key] for run in runs], axis=0)
            seeds = [f"{100 * float(np.dot(weights, run[key])):.1f}" for run in runs]
            cells += [shown(share(own, weights)), ", ".join(seeds)]
            cells.append("" if name == "base" else shown(gain(runs, base, key)))
        both = np.mean([run["both"] for run in runs], axis=0)
        cells.append(shown(share(both, by_kind(base["kinds"]["aligned"]))))
        means = [float(np.mean([run["scores"][d] for run in runs])) for d in DIMENSIONS]
        cells += [f"{m:.2f}" for m in means] + [f"{np.mean(means):.2f}"]
        cells += [f"{np.mean([run['text'] for run in runs]):.3f}", f"{runs[0].get('parameters', 0):,}"]
        cells += [f"{np.mean([run.get(key, 0) for run in runs]):.0f}" for key in ("cpu_seconds", "peak_mib")]
        print("| " + " | ".join(cells) + " |")
