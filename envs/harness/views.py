"""Evaluations and comparisons to look at: charts, tables for pandas, and HTML for notebooks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from homeostat.envs.harness.measures import per_template, summary
from homeostat.envs.harness.results import Result, nexus_ending
from homeostat.envs.harness.statistics import Interval
from homeostat.plots.figures import Chart
from homeostat.plots.intervals import intervals, rescue
from homeostat.plots.notebook import Bar, data_frame, table_html

if TYPE_CHECKING:
    from homeostat.envs.harness.comparison import Comparison

__all__ = [
    "comparison_chart",
    "comparison_html",
    "comparison_table",
    "results_chart",
    "results_html",
    "results_table",
]

_MOST = 30
"""The most templates that a notebook shows."""


def results_chart(results: Sequence[Result], title: str = "") -> Chart:
    """Draws the success by template, the lowest first.

    Args:
        results: The episodes.
        title: A title.

    Returns:
        The chart, with Wilson's 95 % intervals.

    Raises:
        ConfigError: There is no episode, or matplotlib is not installed.
    """
    rows = {f"{task} ({count})": {"": _triple(found)} for task, (_, count, found) in per_template(results).items()}
    return intervals(
        {title or f"{len(results)} episodes": rows}, x_label="solved, % (95 % intervals)", factor=100, limits=(-3, 103)
    )


def results_table(results: Sequence[Result]) -> Any:
    """Makes a table with one row for each episode.

    Args:
        results: The episodes.

    Returns:
        A ``pandas.DataFrame``: the plain fields of :class:`Result`, ``ended_nexus``, and ``corrections.KIND`` with the
        number of the controllers' decisions of every kind.

    Raises:
        ConfigError: pandas is not installed.
    """
    nested = {"corrections", "step_seconds", "fixation", "readings"}
    columns: dict[str, list[Any]] = {
        name: [getattr(result, name) for result in results] for name in Result.model_fields if name not in nested
    }
    columns["ended_nexus"] = [nexus_ending(result) for result in results]
    for kind in sorted({kind for result in results for kind in result.corrections}):
        columns[f"corrections.{kind}"] = [result.corrections.get(kind, 0) for result in results]
    return data_frame(columns)


def results_html(arguments: Mapping[str, Any], results: Sequence[Result]) -> str:
    """Writes an evaluation as HTML.

    Args:
        arguments: What it was started with.
        results: Its episodes.

    Returns:
        A fragment of HTML: the share of solved episodes, the endings, and the success by template.
    """
    names = [str(arguments[key]) for key in ("model", "suite", "split") if arguments.get(key)]
    caption = f"Evaluation{': ' if names else ''}{', '.join(names)}"
    if not results:
        return table_html(["no episode"], [], caption)
    figures = summary(results)
    success = Interval(**figures["success"])
    endings = ", ".join(f"{name} {count}" for name, count in figures["endings"].items())
    costs = f"{figures['calls']:.1f} calls, {figures['tokens']:.0f} tokens, {figures['seconds']:.1f} s"
    rows = [
        ["solved", f"{figures['solved']} of {len(results)}, {success.percent()}"],
        ["endings", endings],
        ["mean of an episode", costs],
    ]
    table = per_template(results)
    shown = [
        [task, Bar(found.mean, f"{solved} of {count}"), found.percent()]
        for task, (solved, count, found) in list(table.items())[:_MOST]
    ]
    more = f"{len(table) - _MOST} more templates are not shown." if len(table) > _MOST else ""
    return table_html(["", ""], rows, caption) + table_html(["template", "solved", "95 % interval"], shown, note=more)


def comparison_chart(compared: Comparison, title: str = "") -> Chart:
    """Draws what the second evaluation rescued against what it harmed.

    Args:
        compared: The comparison.
        title: A title.

    Returns:
        The chart.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    point = (_triple(compared.rescue), _triple(compared.harm))
    return rescue({title or f"{compared.pairs} episodes in both": {"after": point}})


def comparison_table(compared: Comparison) -> Any:
    """Makes a table with one row for each template.

    Args:
        compared: The comparison.

    Returns:
        A ``pandas.DataFrame`` with the fields of :class:`~homeostat.envs.harness.TemplateChange`.

    Raises:
        ConfigError: pandas is not installed.
    """
    names = ("task", "pairs", "before", "after", "rescued", "harmed")
    return data_frame({name: [getattr(row, name) for row in compared.templates] for name in names})


def comparison_html(compared: Comparison) -> str:
    """Writes a comparison as HTML.

    Args:
        compared: The comparison.

    Returns:
        A fragment of HTML: the shares with their intervals, and the templates that changed.
    """
    named = {
        "before": compared.before,
        "after": compared.after,
        "gain": compared.gain,
        "rescued of the failed": compared.rescue,
        "harmed of the solved": compared.harm,
    }
    rows = [[name, Bar(abs(found.mean), found.percent())] for name, found in named.items()]
    html = table_html(
        ["", "share, 95 % interval"], rows, f"Comparison on {compared.pairs} episodes in both evaluations"
    )
    changed = [row for row in compared.templates if row.rescued or row.harmed]
    shown = [[row.task, row.pairs, row.before, row.after, row.rescued, row.harmed] for row in changed[:_MOST]]
    more = f"{len(changed) - _MOST} more templates changed." if len(changed) > _MOST else ""
    columns = ["changed template", "pairs", "solved before", "solved after", "rescued", "harmed"]
    return html + table_html(columns, shown, note=more)


def _triple(found: Interval) -> tuple[float, float, float]:
    return found.mean, found.low, found.high
