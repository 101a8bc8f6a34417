"""Line charts of values with intervals, and a run's drift step by step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from homeostat.errors import ConfigError
from homeostat.plots.figures import PALETTE, Chart, chart, form, legend_below, plain, styled

__all__ = ["Panel", "Series", "drift", "lines"]


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: The name in the legend.
        x: n positions.
        y: n values. NaN leaves a gap.
        low: n lower bounds; None without intervals.
        high: n upper bounds; None without intervals.
        marked: n flags: these points get a cross, such as readings that raised an alarm.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    marked: Sequence[bool] = ()

    def __post_init__(self) -> None:
        """Checks the lengths.

        Raises:
            ConfigError: They differ.
        """
        for name in ("y", "low", "high"):
            values = getattr(self, name)
            if values is not None and len(values) != len(self.x):
                raise ConfigError(f"series {self.name!r} has {len(self.x)} positions and {len(values)} of {name!r}")


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Attributes:
        series: Its lines.
        x_label: The label below, with the unit.
        y_label: The label at the left, with the unit.
        title: The title above it.
        levels: Horizontal dashed lines by name, such as a threshold.
        from_zero: Whether the vertical axis begins at 0.
    """

    series: Sequence[Series]
    x_label: str
    y_label: str
    title: str = ""
    levels: Mapping[str, float] = field(default_factory=dict)
    from_zero: bool = False


@styled()
def lines(panels: Sequence[Panel], *, columns: int = 0, marked: str = "alarm", title: str = "") -> Chart:
    """Draws panels of lines. A line of the same name looks the same in every panel.

    Args:
        panels: The panels, in reading order.
        columns: The number of panels in a row; 0 for all in one row.
        marked: What the crosses of :attr:`Series.marked` mean.
        title: A title for the whole chart.

    Returns:
        The chart.

    Raises:
        ConfigError: There is no panel, or matplotlib is not installed.
    """
    if not panels:
        raise ConfigError("there is nothing to draw; give at least one panel")
    columns = columns or len(panels)
    rows = -(-len(panels) // columns)
    made, grid = chart(rows, columns, (max(4.2, 3.6 * columns), 2.7 * rows + 0.5))
    names = list(dict.fromkeys(series.name for panel in panels for series in panel.series))
    handles: dict[str, Any] = {}
    for axes, panel in zip(grid.flat, panels, strict=False):
        for series in panel.series:
            look = form(names.index(series.name)) if series.name else {"color": "black", "marker": "o"}
            look |= {"markersize": 3.5, "linewidth": 1.4}
            (line,) = axes.plot(series.x, series.y, label=plain(series.name), **look)
            handles.setdefault(series.name, line)
            if series.low is not None and series.high is not None:
                axes.fill_between(series.x, series.low, series.high, alpha=0.18, color=look["color"], linewidth=0)
            crossed = [k for k, flag in enumerate(series.marked) if flag]
            if crossed:
                at, values = np.asarray(series.x)[crossed], np.asarray(series.y)[crossed]
                cross = axes.scatter(at, values, marker="X", s=70, color=PALETTE[1], zorder=3, label=marked)
                handles.setdefault(f"\0{marked}", cross)
        for name, level in panel.levels.items():
            axes.axhline(level, color="0.35", linestyle="--", linewidth=0.9, label=plain(name))
            if name:
                axes.annotate(
                    plain(name), (0.995, level), xycoords=("axes fraction", "data"), ha="right", va="bottom", size=8
                )
        _whole_numbers(axes, panel)
        axes.set_xlabel(panel.x_label)
        axes.set_ylabel(panel.y_label)
        axes.set_title(plain(panel.title, 80))
        if panel.from_zero:
            axes.set_ylim(bottom=0)
    for axes in grid.flat[len(panels) :]:
        axes.set_visible(False)
    if len(handles) > 1 or "" not in handles:
        shown = {name: one for name, one in handles.items() if name}
        legend_below(made, list(shown.values()), [plain(name.removeprefix("\0")) for name in shown])
    if title:
        made.figure.suptitle(plain(title, 120), size="large")
    return made


def drift(
    masses: Mapping[str, tuple[Sequence[float], Sequence[float]]],
    readings: Sequence[tuple[Series, float | None]] = (),
    *,
    x_label: str = "step",
    title: str = "",
) -> Chart:
    """Draws where a run's attention went, step by step, and what its sensors said of it.

    Args:
        masses: By span, the positions and the attention mass at each of them, in [0, 1].
        readings: For each sensor, its values (:attr:`Series.marked` are the alarms) and its threshold, if it has one.
        x_label: What the positions count.
        title: A title for the whole chart.

    Returns:
        The chart: one panel of masses, and one for each sensor.

    Raises:
        ConfigError: There is nothing to draw, or matplotlib is not installed.
    """
    panels = []
    if masses:
        series = [Series(label, x, [100 * v for v in y]) for label, (x, y) in masses.items()]
        panels.append(Panel(series, x_label, "attention mass, %", "attention on each span", from_zero=True))
    for found, threshold in readings:
        level = {} if threshold is None else {"threshold": threshold}
        one = Series("", found.x, found.y, found.low, found.high, found.marked)
        panels.append(Panel([one], x_label, "value", found.name, levels=level))
    return lines(panels, columns=min(3, len(panels)), title=title)


def _whole_numbers(axes: Any, panel: Panel) -> None:
    """Ticks at whole numbers only, where all positions are whole."""
    from matplotlib.ticker import MaxNLocator

    if all(float(x).is_integer() for series in panel.series for x in series.x):
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
