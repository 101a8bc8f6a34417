"""The figures of ``evidence_drift.py``: by turn, as time series, after the pulse, and of written turns.

Intervals are 95 % bootstrap intervals over tasks: all conversations of a drawn task are drawn together, because trials
of one task resemble each other. A figure is ``[value, low, high]``.

The time series of ``drift`` are fitted by ``homeostat.sensors.trajectories``: as they are, and without the mean of
every turn (``centred``), because a trend that all conversations share looks like memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from homeostat.envs.harness import wilson
from homeostat.sensors.impulse_response import impulse_response
from homeostat.sensors.trajectories import fit_trajectories, ols_step

__all__ = ["bootstrap", "tables"]

Rows = Sequence[dict[str, Any]]
EARLY, LATE = slice(0, 4), slice(-4, None)
"""The turns that are compared: the first four and the last four."""
MEASURES = ("drift", "reverse", "gain")


def bootstrap(values: NDArray[np.float64], groups: Sequence[int], resamples: int = 2000, seed: int = 0) -> list[float]:
    """The mean of one value for each conversation, with its interval over groups of conversations.

    Args:
        values: (N,) values.
        groups: (N,) the group of each value.
        resamples: The number of bootstrap samples.
        seed: The seed.

    Returns:
        The mean and the ends of the interval.
    """
    rng = np.random.default_rng(seed)
    known = np.unique(groups)
    sums = np.array([[values[np.asarray(groups) == g].sum(), np.sum(np.asarray(groups) == g)] for g in known])
    drawn = sums[rng.integers(0, len(known), (resamples, len(known)))].sum(1)
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1], [0.025, 0.975])
    return [float(values.mean()), float(low), float(high)]


def tables(found: dict[str, list[dict[str, Any]]], scores: Rows = ()) -> dict[str, Any]:
    """Computes all figures.

    Args:
        found: The rows of ``evidence_drift.py``, by model.
        scores: The rows of the judge.

    Returns:
        ``models`` (by name: ``by_turn``, ``summary``, ``pulse``, ``written``) and ``role_adherence``.
    """
    return {
        "models": {name: _model(rows) for name, rows in found.items() if len(rows) >= 2},
        "role_adherence": _adherence(scores) if scores else None,
    }


def _series(rows: Rows, read: Callable[[dict[str, Any]], float]) -> NDArray[np.float64]:
    """(conversations, turns) of one measure."""
    return np.array([[read(turn) for turn in row["turns"]] for row in rows])


def _model(rows: Rows) -> dict[str, Any]:
    tasks = [row["task"] for row in rows]
    series = {name: _series(rows, lambda turn, name=name: turn[name]) for name in MEASURES}
    series["policy mass"] = _series(rows, lambda turn: turn["mass"]["policy"])
    series["policy intensity"] = _series(rows, lambda turn: turn["intensity"]["policy"])
    labels = list(dict.fromkeys(label for row in rows for turn in row["turns"] for label in turn["mass"]))
    masses = {label: _series(rows, lambda turn, label=label: turn["mass"].get(label, 0.0)) for label in labels}
    calls = _series(rows, lambda turn: turn["call"])
    by_turn = []
    for turn in range(calls.shape[1]):
        one: dict[str, Any] = {"turn": turn + 1, "calls": float(calls[:, turn].mean())}
        one["prompt"] = float(np.mean([row["turns"][turn]["prompt"] for row in rows]))
        one |= {name: bootstrap(values[:, turn], tasks) for name, values in series.items()}
        one["mass"] = {label: float(values[:, turn].mean()) for label, values in masses.items()}
        by_turn.append(one)
    drift = series["drift"]
    return {
        "by_turn": by_turn,
        "summary": {
            "conversations": len(rows),
            "tasks": len(set(tasks)),
            "turns": calls.shape[1],
            "cpu_minutes": round(sum(row["cpu_seconds"] for row in rows) / 60, 1),
            "mean": {name: bootstrap(values.mean(1), tasks) for name, values in series.items()},
            "late minus early": {
                name: bootstrap(values[:, LATE].mean(1) - values[:, EARLY].mean(1), tasks)
                for name, values in series.items()
            },
            "late minus early, turns in words": _between(drift, calls == 0, tasks),
            "slope per turn": {name: bootstrap(_slopes(values), tasks) for name, values in series.items()},
            "drift of calls": _of_kind(drift, calls > 0, tasks),
            "drift of words": _of_kind(drift, calls == 0, tasks),
            "policy mass and drift, rank correlation within conversations": _within(
                series["policy mass"], drift, tasks
            ),
            "policy intensity and drift, rank correlation within conversations": _within(
                series["policy intensity"], drift, tasks
            ),
            "drift, failed minus solved": _failed(drift.mean(1), [row["reward"] for row in rows]),
            "fit": _fit(drift),
            "fit of the logarithm": _fit(np.log(np.maximum(drift, 1e-6))),
        },
        "whole policy": _whole(rows),
        "pulse": _pulse(rows, drift, series["policy mass"]),
        "written": _written(rows),
    }


def _slopes(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The least-squares slope of each row over its turns."""
    slopes: NDArray[np.float64] = np.polyfit(np.arange(values.shape[1]), values.T, 1)[0]
    return slopes


def _of_kind(drift: NDArray[np.float64], chosen: NDArray[np.bool_], tasks: Sequence[int]) -> list[float] | None:
    """The mean drift of some turns: first over each conversation's, then over conversations."""
    some = chosen.any(1)
    if not some.any():
        return None
    means = np.array([row[pick].mean() for row, pick in zip(drift[some], chosen[some], strict=True)])
    return bootstrap(means, [task for task, has in zip(tasks, some, strict=True) if has])


def _between(drift: NDArray[np.float64], chosen: NDArray[np.bool_], tasks: Sequence[int]) -> list[float] | None:
    """The mean drift of some late turns minus that of early ones, in conversations that have both."""
    found = [
        (row[LATE][pick[LATE]].mean() - row[EARLY][pick[EARLY]].mean(), task)
        for row, pick, task in zip(drift, chosen, tasks, strict=True)
        if pick[LATE].any() and pick[EARLY].any()
    ]
    return bootstrap(np.array([one for one, _ in found]), [task for _, task in found]) if found else None


def _within(one: NDArray[np.float64], other: NDArray[np.float64], tasks: Sequence[int]) -> list[float]:
    """The mean over conversations of Spearman's ρ between the turns' values."""
    each = [float(spearmanr(a, b).statistic) for a, b in zip(one, other, strict=True)]
    return bootstrap(np.nan_to_num(np.array(each)), tasks)


def _failed(means: NDArray[np.float64], rewards: Sequence[float], resamples: int = 2000) -> dict[str, Any] | None:
    """The difference of the mean drift of failed and solved conversations."""
    solved = np.asarray(rewards) > 0.5
    if solved.all() or not solved.any():
        return None
    rng = np.random.default_rng(0)
    sides = means[~solved], means[solved]
    drawn = [
        np.subtract(*(side[rng.integers(0, len(side), len(side))].mean() for side in sides)) for _ in range(resamples)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return {
        "difference": [float(sides[0].mean() - sides[1].mean()), float(low), float(high)],
        "solved": int(solved.sum()),
    }


def _fit(drift: NDArray[np.float64]) -> dict[str, Any] | None:
    """The fits of φ, and the paper's slopes b, which are φ − 1 of single conversations."""
    if len(drift) < 5 or drift.shape[1] < 4:
        return None
    least = drift.shape[1]
    slopes = [ols_step(row)[0] for row in drift]
    centred = asdict(fit_trajectories(list(drift - drift.mean(0)), least_turns=least))
    del centred["equilibrium"]  # that of what is left is 0
    return {
        "as they are": asdict(fit_trajectories(list(drift), least_turns=least)),
        "centred": centred,
        "paper's b": {
            "median": float(np.median(slopes)),
            "below 0": int(sum(b < 0 for b in slopes)),
            "of": len(slopes),
        },
    }


def _whole(rows: Rows) -> dict[str, Any] | None:
    """The whole policy shown again: by turn, and against its general rules alone, on the same turns."""
    found: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    for row in rows:
        for number, turn in enumerate(row["turns"]):
            if turn["whole"] is not None:
                found.setdefault(number + 1, []).append((row["task"], turn))
    if not found:
        return None
    pairs = np.array([(t["drift"], t["whole"]["drift"]) for some in found.values() for _, t in some])
    by_turn = []
    for number, some in sorted(found.items()):
        tasks = [task for task, _ in some]
        one: dict[str, Any] = {"turn": number, "conversations": len(some)}
        for name in MEASURES:
            one[name] = bootstrap(np.array([turn["whole"][name] for _, turn in some]), tasks)
        by_turn.append(one)
    last, first = (np.array([turn["whole"]["drift"] for _, turn in found[k]]) for k in (max(found), min(found)))
    return {
        "by_turn": by_turn,
        "last minus first": bootstrap(last - first, [task for task, _ in found[min(found)]]),
        "rank correlation with the general rules": float(spearmanr(*pairs.T).statistic),
        "ratio of the means": float(pairs[:, 1].mean() / pairs[:, 0].mean()),
    }


def _pulse(rows: Rows, drift: NDArray[np.float64], policy: NDArray[np.float64]) -> dict[str, Any] | None:
    """What a reminder at one turn does to the drift and to the attention on the policy, there and later."""
    has = [row["pulse"] is not None for row in rows]
    rows, drift, policy = [row for row in rows if row["pulse"]], drift[has], policy[has]
    if len(rows) < 5 or len(rows[0]["pulse"]["drift"]) < 2:
        return None
    at, horizon = rows[0]["pulse"]["at"], len(rows[0]["pulse"]["drift"])

    def response(late: Sequence[Sequence[float]], plain: NDArray[np.float64]) -> dict[str, Any]:
        treated = plain.copy()
        treated[:, at : at + horizon] = late
        found = asdict(impulse_response(list(treated), list(plain), at, horizon))
        share = (treated - plain)[:, at : at + horizon].mean(0) / plain[:, at : at + horizon].mean(0)
        shown = {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in found.items()}
        return shown | {"share": share.tolist()}

    both = [np.add(row["pulse"]["policy"], row["pulse"]["reminder"]) for row in rows]
    return {
        "turn": at + 1,
        "drift": response([row["pulse"]["drift"] for row in rows], drift),
        "policy mass, old place": response([row["pulse"]["policy"] for row in rows], policy),
        "policy mass, both places": response(both, policy),
    }


def _written(rows: Rows) -> dict[str, Any]:
    """What the models' own turns do, by the kind of turn and with or without the reminder."""
    texts = [text for row in rows for text in row["continued"]]
    found: dict[str, Any] = {}
    for kind in dict.fromkeys(text["kind"] for text in texts):
        for arm in ("bare", "reminded"):
            some = [text for text in texts if text["kind"] == kind and text["arm"] == arm]
            counts = {name: sum(text["does"] == name for text in some) for name in ("words", "call", "broken call")}
            counts |= {name: sum(text[name] for text in some) for name in ("legal", "update", "breaks")}
            shares = {name: wilson(counts[name], len(some)).as_dict() for name in ("legal", "breaks")}
            found[f"{kind}, {arm}"] = {"turns": len(some), **counts, "shares": shares}
    return found


def _adherence(scores: Rows) -> dict[str, Any]:
    """The judge's scores, and what they tell apart."""
    cells = ("early own", "early foreign", "late own", "late foreign")
    whole = [row for row in scores if all(row[cell] is not None for cell in cells)]
    found: dict[str, Any] = {"conversations": len(scores), "all four judged": len(whole)}
    if len(whole) < 2:
        return found
    means = {cell: np.array([row[cell] for row in whole]) for cell in cells}
    each = list(range(len(whole)))
    found |= {cell: bootstrap(values, each) for cell, values in means.items()}
    own, foreign = ((means[f"early {who}"] + means[f"late {who}"]) / 2 for who in ("own", "foreign"))
    found["own minus foreign"] = bootstrap(own - foreign, each)
    found["late minus early, own"] = bootstrap(means["late own"] - means["early own"], each)
    return found
