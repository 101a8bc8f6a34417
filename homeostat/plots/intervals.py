"""Points with intervals: a table's rows side by side, and what an intervention rescues and harms."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart, Interval, chart, form, legend_below, plain, spread, styled

__all__ = ["intervals", "rescue"]


@styled()
def intervals(
    panels: Mapping[str, Mapping[str, Mapping[str, Interval]]],
    *,
    x_label: str,
    factor: float = 1.0,
    zero: float | None = None,
    limits: tuple[float, float] | None = None,
    columns: int = 0,
    title: str = "",
) -> Chart:
    """Draws rows of points with intervals.

    Args:
        panels: By panel, by row, by series: (mean, low, high). A row that a panel lacks stays empty there.
        x_label: What the values are, with the unit.
        factor: What all values are multiplied by, such as 100 for percent.
        zero: Where a vertical line shows the value that means nothing, in the axis's unit; None for no line.
        limits: The ends of the axis, in its unit; None fits them.
        columns: The number of panels side by side; 0 for all.
        title: A title for the whole chart.

    Returns:
        The chart, with the rows in the order in which they appear first.

    Raises:
        ConfigError: There is no row, or matplotlib is not installed.
    """
    rows = list(dict.fromkeys(row for panel in panels.values() for row in panel))
    names = list(dict.fromkeys(name for panel in panels.values() for row in panel.values() for name in row))
    if not names:
        raise ConfigError("there is nothing to draw; give at least one row with a value")
    wide = min(3.4, 0.9 + 0.075 * max(len(str(row)) for row in rows))
    columns = min(columns or len(panels), len(panels))
    lines = -(-len(panels) // columns)
    high = 0.8 + max(0.3, 0.17 * len(names)) * len(rows)
    made, grid = chart(lines, columns, (max(wide + 2.7 * columns, 4.5), max(high * lines + 0.6, 2.4)), sharey=True)
    handles: dict[str, Any] = {}
    for axes, (panel, table) in zip(grid.flat, panels.items(), strict=False):
        for number, name in enumerate(names):
            shown = [(place, table[row][name]) for place, row in enumerate(rows) if name in table.get(row, {})]
            if not shown:
                continue
            mean, sides = spread([value for _, value in shown], factor)
            shift = (number - (len(names) - 1) / 2) * min(0.26, 0.7 / len(names))
            look = form(number) | {"linestyle": "none", "markersize": 4, "capsize": 2, "elinewidth": 1.1}
            handles.setdefault(name, axes.errorbar(mean, [p + shift for p, _ in shown], xerr=sides, **look))
        if zero is not None:
            axes.axvline(zero, color="0.35", linewidth=0.9, linestyle="--")
        if limits is not None:
            axes.set_xlim(*limits)
        axes.set_title(plain(panel))
        axes.set_xlabel(x_label)
        axes.grid(axis="y", visible=False)
    grid[0, 0].set_yticks(range(len(rows)), [plain(row) for row in rows])
    grid[0, 0].set_ylim(len(rows) - 0.5, -0.5)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    if len(names) > 1:
        legend_below(made, list(handles.values()), [plain(name) for name in handles])
    if title:
        made.figure.suptitle(plain(title, 120), size="large")
    return made


@styled()
def rescue(panels: Mapping[str, Mapping[str, tuple[Interval, Interval]]], *, title: str = "") -> Chart:
    """Draws what interventions rescue against what they harm.

    Args:
        panels: By panel, such as a suite, and by intervention: the share of failed episodes that it rescues, and the
            share of solved episodes that it harms, each as (mean, low, high) in [0, 1].
        title: A title for the whole chart.

    Returns:
        The chart: rescue upwards, harm to the right, both in percent with their intervals. The upper left corner is
        where an intervention should be.

    Raises:
        ConfigError: There is nothing to draw, or matplotlib is not installed.
    """
    names = list(dict.fromkeys(name for panel in panels.values() for name in panel))
    if not names:
        raise ConfigError("there is nothing to draw; give at least one intervention")
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    made, grid = chart(rows, columns, (max(4.4, 3.1 * columns), 3.2 * rows + 0.5), sharex=True, sharey=True)
    handles: dict[str, Any] = {}
    highest: float = 0
    for axes, (panel, points) in zip(grid.flat, panels.items(), strict=False):
        for name, (rescued, harmed) in points.items():
            up, up_sides = spread([rescued], 100)
            side, side_sides = spread([harmed], 100)
            look = form(names.index(name)) | {"linestyle": "none", "markersize": 5, "capsize": 2, "elinewidth": 0.9}
            found = axes.errorbar(side, up, xerr=side_sides, yerr=up_sides, **look)
            handles.setdefault(name, found)
            highest = max(highest, 100 * rescued[2], 100 * harmed[2])
        axes.set_title(plain(panel))
    end = min(104.0, max(8.0, 1.08 * highest))
    for axes in grid.flat:
        axes.axline((0, 0), (1, 1), color="0.35", linewidth=0.9, linestyle="--")
        axes.set_xlim(-0.03 * end, end)
        axes.set_ylim(-0.03 * end, end)
        axes.set_xlabel("harmed, % of the episodes solved before")
    for axes in grid[:, 0]:
        axes.set_ylabel("rescued, % of the episodes failed before")
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    legend_below(made, list(handles.values()), [plain(name) for name in handles], columns=3)
    if title:
        made.figure.suptitle(plain(title, 120), size="large")
    return made
