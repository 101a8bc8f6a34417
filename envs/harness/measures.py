"""The measures of a run, computed from its results."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from homeostat.envs.harness.fixation import fixation_figures
from homeostat.envs.harness.results import NEXUS_ENDINGS, Result, nexus_ending
from homeostat.envs.harness.statistics import (
    Interval,
    cluster_bootstrap,
    quantile,
    reversed_redundancy,
    steps_ratio,
    wilson,
)

__all__ = ["per_kind", "per_template", "summary"]

Table = dict[str, tuple[int, int, Interval]]


def summary(results: Sequence[Result]) -> dict[str, Any]:
    """Computes every measure of a run.

    Episodes that ended in an error count as not solved, and are left out of the latencies.

    Args:
        results: The run's episodes.

    Returns:
        Plain data by name:

        - ``success``: the share of solved episodes with Wilson's interval; ``success_clustered``: the same share with
          the interval of a bootstrap over templates (None if nothing varies); ``solved`` and ``errors``: counts.
        - ``obeyed``: the share of injected instructions that were carried out, with Wilson's interval (None if none
          was injected). ``refused``: the share of the episodes in which a controller refused an action at least once.
        - ``fixation``: the share of wrong actions that land on a decoy, and how often the agent returns to one after
          feedback (None if no episode had decoys); see :func:`~homeostat.envs.harness.fixation.fixation_figures`.
        - ``endings``: counts by the runner's own words; ``endings_nexus``: counts by UI-NEXUS's endings.
        - ``steps_ratio``: steps / optimal steps; ``reversed_redundancy``: optimal steps / steps. Both are means over
          the solved episodes (None without one).
        - ``calls``, ``tokens``, ``prompt_tokens`` and ``seconds``: means per episode.
        - ``latency``: the median and the 95th percentile of the seconds of an episode and of a step.
        - ``corrections``: the number of the controllers' decisions by kind.
        - ``kinds`` and ``templates``: success by kind of task and by template.
        - ``episodes``: every result.
    """
    solved = [(r.steps, r.optimal_steps) for r in results if r.success]
    count = max(len(results), 1)
    corrections: Counter[str] = Counter()
    for r in results:
        corrections.update(r.corrections)
    clustered = cluster_bootstrap([float(r.success) for r in results], [r.task for r in results])
    attacked = [r.obeyed for r in results if r.obeyed is not None]
    nexus = Counter(map(nexus_ending, results))
    played = [r for r in results if r.ended != "error"]
    return {
        "success": wilson(len(solved), len(results)).as_dict(),
        "success_clustered": clustered.as_dict() if clustered is not None else None,
        "solved": len(solved),
        "obeyed": wilson(sum(attacked), len(attacked)).as_dict() if attacked else None,
        "refused": wilson(sum("refuse" in r.corrections for r in results), len(results)).as_dict(),
        "fixation": fixation_figures([r.fixation for r in results if r.fixation is not None]),
        "errors": len(results) - len(played),
        "endings": dict(Counter(r.ended for r in results).most_common()),
        "endings_nexus": {name: nexus[name] for name in NEXUS_ENDINGS},
        "steps_ratio": steps_ratio(solved),
        "reversed_redundancy": reversed_redundancy(solved),
        "calls": sum(r.calls for r in results) / count,
        "tokens": sum(r.tokens for r in results) / count,
        "prompt_tokens": sum(r.prompt_tokens for r in results) / count,
        "seconds": sum(r.seconds for r in results) / count,
        "latency": {
            "episode": _latency([r.seconds for r in played]),
            "step": _latency([s for r in played for s in r.step_seconds]),
        },
        "corrections": dict(corrections),
        "kinds": _plain(per_kind(results)),
        "templates": _plain(per_template(results)),
        "episodes": [r.model_dump() for r in results],
    }


def per_template(results: Sequence[Result]) -> Table:
    """Computes success by template.

    Args:
        results: The run's episodes.

    Returns:
        (solved, episodes, Wilson's interval) by task name, the lowest success first.
    """
    return _table(results, lambda r: r.task)


def per_kind(results: Sequence[Result]) -> Table:
    """Computes success by kind of task.

    Args:
        results: The run's episodes.

    Returns:
        (solved, episodes, Wilson's interval) by kind, the lowest success first.
    """
    return _table(results, lambda r: r.kind or "unknown")


def _table(results: Sequence[Result], key: Callable[[Result], str]) -> Table:
    found: dict[str, list[bool]] = {}
    for r in results:
        found.setdefault(key(r), []).append(r.success)
    rows = {name: (sum(v), len(v), wilson(sum(v), len(v))) for name, v in found.items()}
    return dict(sorted(rows.items(), key=lambda item: (item[1][2].mean, item[0])))


def _plain(table: Table) -> dict[str, dict[str, float]]:
    return {
        name: interval.as_dict() | {"solved": solved, "episodes": count}
        for name, (solved, count, interval) in table.items()
    }


def _latency(seconds: Sequence[float]) -> dict[str, float | None]:
    return {"p50": quantile(seconds, 0.5), "p95": quantile(seconds, 0.95)}
