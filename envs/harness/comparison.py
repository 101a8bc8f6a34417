"""A paired comparison of two evaluations on the same episodes: what the second one rescued, and what it harmed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from homeostat.data_files import DataError, StrPath, read_json
from homeostat.envs.harness.results import NEXUS_ENDINGS, Result, nexus_ending
from homeostat.envs.harness.statistics import Interval, cluster_bootstrap, newcombe_paired, wilson
from homeostat.envs.harness.views import (
    comparison_chart,
    comparison_html,
    comparison_table,
    results_chart,
    results_html,
    results_table,
)
from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart

__all__ = ["Comparison", "Evaluation", "Flip", "TemplateChange", "compare", "read_evaluation", "read_results"]


@dataclass(frozen=True)
class TemplateChange:
    """What changed on the episodes of one template.

    Attributes:
        task: The template's name.
        pairs: The number of its episodes in both evaluations.
        before: How many of them the first evaluation solved.
        after: How many of them the second evaluation solved.
        rescued: How many only the second evaluation solved.
        harmed: How many only the first evaluation solved.
    """

    task: str
    pairs: int
    before: int
    after: int
    rescued: int
    harmed: int


@dataclass(frozen=True)
class Flip:
    """An episode with its outcome in both evaluations.

    Attributes:
        before: The outcome in the first evaluation.
        after: The outcome in the second evaluation.
    """

    before: Result
    after: Result


@dataclass(frozen=True)
class Comparison:
    """The comparison of two evaluations on the episodes that both hold.

    Attributes:
        pairs: The number of these episodes.
        before: The success of the first evaluation.
        after: The success of the second evaluation.
        rescue: Of the episodes that the first evaluation failed, the share that the second one solved.
        harm: Of the episodes that the first evaluation solved, the share that the second one failed.
        gain: The difference after − before, with Newcombe's interval for paired proportions.
        gain_clustered: The same difference with the interval of a bootstrap over templates; None if nothing varies.
        obeyed: Of the episodes with an injected order in both, the shares that carried it out before and after, and the
            difference after − before with Newcombe's interval; None without such episodes.
        endings: (count before, count after) by UI-NEXUS's ending.
        templates: The changes by template, the greatest loss first.
        flips: The episodes that only one of the two evaluations solved.
    """

    pairs: int
    before: Interval
    after: Interval
    rescue: Interval
    harm: Interval
    gain: Interval
    gain_clustered: Interval | None
    endings: dict[str, tuple[int, int]]
    templates: tuple[TemplateChange, ...]
    flips: tuple[Flip, ...]
    obeyed: tuple[Interval, Interval, Interval] | None = None

    def as_dict(self) -> dict[str, Any]:
        """Returns the figures as plain data, without templates and flips."""
        names = ("before", "after", "rescue", "harm", "gain")
        figures: dict[str, Any] = {name: getattr(self, name).as_dict() for name in names}
        clustered = self.gain_clustered.as_dict() if self.gain_clustered is not None else None
        if self.obeyed is not None:
            obeyed = ("obeyed_before", "obeyed_after", "obeyed_gain")
            figures |= {name: one.as_dict() for name, one in zip(obeyed, self.obeyed, strict=True)}
        return {"pairs": self.pairs} | figures | {"gain_clustered": clustered, "endings": dict(self.endings)}

    def plot(self) -> Chart:
        """Draws what the second evaluation rescued against what it harmed.

        Returns:
            The chart, which notebooks show, and whose method ``save`` writes PNG or SVG.

        Raises:
            ConfigError: matplotlib (extra ``plot``) is not installed.
        """
        return comparison_chart(self)

    def to_pandas(self) -> Any:
        """Makes a table with one row for each template.

        Returns:
            A ``pandas.DataFrame``; :func:`~homeostat.envs.harness.views.comparison_table` lists its columns.

        Raises:
            ConfigError: pandas (extra ``plot``) is not installed.
        """
        return comparison_table(self)

    def _repr_html_(self) -> str:
        """The table that notebooks show."""
        return comparison_html(self)


def compare(before: Sequence[Result], after: Sequence[Result]) -> Comparison:
    """Compares two evaluations, whose episodes are paired by task and seed.

    Args:
        before: The episodes of the first evaluation.
        after: The episodes of the second evaluation.

    Returns:
        The comparison.

    Raises:
        ConfigError: The evaluations share no episode.
    """
    first = {(r.task, r.seed): r for r in before}
    second = {(r.task, r.seed): r for r in after}
    pairs = [Flip(first[key], second[key]) for key in first if key in second]
    if not pairs:
        raise ConfigError("the two evaluations share no episode; run both with the same suite, split and seed")
    both = sum(p.before.success and p.after.success for p in pairs)
    rescued = sum(p.after.success and not p.before.success for p in pairs)
    harmed = sum(p.before.success and not p.after.success for p in pairs)
    n = len(pairs)
    counts = [Counter(nexus_ending(getattr(p, side)) for p in pairs) for side in ("before", "after")]
    return Comparison(
        pairs=n,
        before=wilson(both + harmed, n),
        after=wilson(both + rescued, n),
        rescue=wilson(rescued, n - both - harmed),
        harm=wilson(harmed, both + harmed),
        gain=newcombe_paired(both, rescued, harmed, n - both - rescued - harmed),
        gain_clustered=cluster_bootstrap(
            [float(p.after.success) - float(p.before.success) for p in pairs], [p.before.task for p in pairs]
        ),
        endings={name: (counts[0][name], counts[1][name]) for name in NEXUS_ENDINGS},
        templates=tuple(_changes(pairs)),
        flips=tuple(p for p in pairs if p.before.success != p.after.success),
        obeyed=_obeyed([(p.before.obeyed, p.after.obeyed) for p in pairs]),
    )


def _obeyed(pairs: Sequence[tuple[bool | None, bool | None]]) -> tuple[Interval, Interval, Interval] | None:
    """How many injected orders were carried out before and after, and the difference."""
    counts = Counter(pair for pair in pairs if None not in pair)
    n = counts.total()
    if not n:
        return None
    both, first, second = counts[True, True], counts[True, False], counts[False, True]
    return (
        wilson(both + first, n),
        wilson(both + second, n),
        newcombe_paired(both, second, first, n - both - first - second),
    )


def _changes(pairs: Sequence[Flip]) -> list[TemplateChange]:
    """One row per template, the greatest loss first."""
    found: dict[str, list[Flip]] = {}
    for pair in pairs:
        found.setdefault(pair.before.task, []).append(pair)
    rows = [
        TemplateChange(
            task=task,
            pairs=len(group),
            before=sum(p.before.success for p in group),
            after=sum(p.after.success for p in group),
            rescued=sum(p.after.success and not p.before.success for p in group),
            harmed=sum(p.before.success and not p.after.success for p in group),
        )
        for task, group in found.items()
    ]
    return sorted(rows, key=lambda row: ((row.after - row.before) / row.pairs, row.task))


@dataclass(frozen=True)
class Evaluation:
    """The content of a result file.

    Attributes:
        arguments: What the run was started with.
        results: Its episodes.
    """

    arguments: dict[str, Any]
    results: tuple[Result, ...]

    def plot(self) -> Chart:
        """Draws the success by template, the lowest first, with 95 % intervals.

        Returns:
            The chart, which notebooks show, and whose method ``save`` writes PNG or SVG.

        Raises:
            ConfigError: There is no episode, or matplotlib (extra ``plot``) is not installed.
        """
        return results_chart(self.results)

    def to_pandas(self) -> Any:
        """Makes a table with one row for each episode.

        Returns:
            A ``pandas.DataFrame``; :func:`~homeostat.envs.harness.views.results_table` lists its columns.

        Raises:
            ConfigError: pandas (extra ``plot``) is not installed.
        """
        return results_table(self.results)

    def _repr_html_(self) -> str:
        """The table that notebooks show."""
        return results_html(self.arguments, self.results)


def read_results(path: StrPath) -> list[Result]:
    """Reads the episodes of a result file.

    Args:
        path: A file that ``homeostat eval --json`` wrote.

    Returns:
        The episodes.

    Raises:
        ConfigError: The file can't be read, or is no result file.
    """
    return list(read_evaluation(path).results)


def read_evaluation(path: StrPath) -> Evaluation:
    """Reads a result file.

    Args:
        path: A file that ``homeostat eval --json`` wrote.

    Returns:
        The run's arguments and episodes.

    Raises:
        ConfigError: The file can't be read, or is no result file.
    """
    try:
        data = read_json(Path(path))
        results = tuple(Result.model_validate(episode) for episode in data["episodes"])
        return Evaluation(dict(data.get("arguments") or {}), results)
    except DataError as error:
        raise ConfigError(f"can't read {str(path)!r}: {error}; give a file that eval --json wrote") from None
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError):
        raise ConfigError(f"{str(path)!r} is no evaluation; give a file that eval --json wrote") from None
