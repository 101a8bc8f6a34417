"""Charts of detectors: ROC curves, and whether stated probabilities or rates come true."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart, Interval, chart, form, legend_below, plain, spread, styled

__all__ = ["bins", "reliability", "roc", "roc_points"]

_WIDE = 24
"""The most characters in a line of a panel's title."""
_TOGETHER = 6
"""The most curves in one panel; more are drawn in a panel each."""


def roc_points(positive: ArrayLike, negative: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """Computes the ROC curve of a score (Fawcett 2006, "An introduction to ROC analysis", algorithms 1 and 2).

    Args:
        positive: The scores of p cases that should raise an alarm; larger ones are more alarming.
        negative: The scores of n cases that should not.

    Returns:
        The false-alarm rate and the detection rate at every threshold, from (0, 0) to (1, 1); equal scores make a
        straight piece. And the area below the curve (AUROC): the probability that a positive case has the larger score,
        ties counted half.

    Raises:
        ConfigError: A side has no score, or a score is NaN.
    """
    up, down = (np.asarray(side, np.float64).ravel() for side in (positive, negative))
    if not len(up) or not len(down):
        raise ConfigError(f"{len(up)} positive and {len(down)} negative scores make no ROC curve; give both kinds")
    if np.isnan(up).any() or np.isnan(down).any():
        raise ConfigError("a score is NaN; leave cases without a score out")
    cuts = np.unique(np.concatenate([up, down]))[::-1]
    hits = np.array([0, *_counts(up, cuts)]) / len(up)
    alarms = np.array([0, *_counts(down, cuts)]) / len(down)
    area = float(np.sum(np.diff(alarms) * (hits[1:] + hits[:-1]) / 2))
    return alarms, hits, area


def _counts(values: NDArray[np.float64], cuts: NDArray[np.float64]) -> NDArray[np.int64]:
    """For each cut, how many values are at least as large."""
    return len(values) - np.searchsorted(np.sort(values), cuts, side="left")


@styled()
def roc(scores: Mapping[str, tuple[ArrayLike, ArrayLike]], *, title: str = "") -> Chart:
    """Draws the ROC curves of scores.

    Args:
        scores: By name, the scores of the positive and of the negative cases; larger ones are more alarming.
        title: A title.

    Returns:
        The chart, with each AUROC. More than six curves are drawn in a panel each.

    Raises:
        ConfigError: A side has no score, or matplotlib is not installed.
    """
    if not scores:
        raise ConfigError("there is nothing to draw; give at least one score")
    found = {name: roc_points(*sides) for name, sides in scores.items()}
    apart = len(found) > _TOGETHER
    made, grid = _squares(len(found) if apart else 1, 0 if apart else len(found))
    handles = []
    for number, (name, (alarms, hits, area)) in enumerate(found.items()):
        axes = grid.flat[number if apart else 0]
        look = form(0 if apart else number) | {"marker": "none", "linewidth": 1.6, "clip_on": False}
        handles += axes.plot(100 * alarms, 100 * hits, **look)
        if apart:
            axes.set_title(_wrapped(name), size="medium")
            axes.text(97, 3, f"{area:.2f}", ha="right", va="bottom")
    for axes in grid.flat[: len(found) if apart else 1]:
        axes.plot([0, 100], [0, 100], color="0.35", linewidth=0.9, linestyle="--")
        axes.set_xlim(0, 100)
        axes.set_ylim(0, 100)
    _label(made, grid, "false alarms, % of negative cases", "detected, % of positive cases")
    names = [f"{plain(name, 40)}: AUROC {area:.2f}" for name, (_, _, area) in found.items()]
    if apart:
        made.figure.suptitle(plain(f"{title}; AUROC" if title else "AUROC", 120), size="large")
    else:
        legend_below(made, handles, names, columns=2)
        grid[0, 0].set_title(plain(title, 60))
    return made


def _wrapped(name: str) -> str:
    """A panel's name in at most two lines that are no wider than the panel."""
    return "\n".join(plain(line, _WIDE) for line in textwrap.wrap(name, _WIDE, max_lines=2, placeholder=" …"))


def _squares(count: int, legend: int) -> tuple[Chart, Any]:
    """A chart of square panels, with room for a legend of so many lines."""
    columns = min(count, 4)
    rows = -(-count // columns)
    side = 3.9 if count == 1 else 2.2
    made, grid = chart(
        rows, columns, (side * columns + 0.6, side * rows + 0.7 + 0.17 * legend), sharex=True, sharey=True
    )
    for axes in grid.flat[count:]:
        axes.set_visible(False)
    return made, grid


def _label(made: Chart, grid: Any, x_label: str, y_label: str) -> None:
    """Labels the axes: those of one panel, or of all panels together."""
    if grid.size == 1:
        grid[0, 0].set_xlabel(x_label)
        grid[0, 0].set_ylabel(y_label)
        return
    for column in grid.T:
        [axes for axes in column if axes.get_visible()][-1].tick_params(labelbottom=True)
    made.figure.supxlabel(x_label, size="medium")
    made.figure.supylabel(y_label, size="medium")


def bins(probabilities: ArrayLike, outcomes: ArrayLike, count: int = 10) -> list[tuple[float, float, int]]:
    """Sorts cases into bins of equal width by their stated probability.

    Args:
        probabilities: n stated probabilities, in [0, 1].
        outcomes: n outcomes: whether it came true.
        count: The number of bins.

    Returns:
        For each bin with a case, the mean stated probability, the share that came true, and the number of cases.

    Raises:
        ConfigError: The numbers of cases differ, or a probability lies outside [0, 1].
    """
    stated, came = np.asarray(probabilities, np.float64).ravel(), np.asarray(outcomes, np.float64).ravel()
    if len(stated) != len(came) or not len(stated):
        raise ConfigError(f"{len(stated)} probabilities have {len(came)} outcomes; give one for each, and at least one")
    if not ((stated >= 0) & (stated <= 1)).all():
        raise ConfigError("a stated probability lies outside 0 to 1; give probabilities, not scores")
    place = np.minimum((stated * count).astype(int), count - 1)
    kept = [place == k for k in range(count) if (place == k).any()]
    return [(float(stated[k].mean()), float(came[k].mean()), int(k.sum())) for k in kept]


@styled()
def reliability(
    points: Mapping[str, Sequence[tuple[float, Interval]]],
    *,
    x_label: str = "stated probability, %",
    y_label: str = "came true, %",
    limit: float = 1.0,
    title: str = "",
) -> Chart:
    """Draws measured shares against stated ones. On the diagonal, what was stated came true.

    Args:
        points: By name, the stated share and the measured one as (mean, low, high), in [0, 1], by ascending stated
            share.
        x_label: What was stated.
        y_label: What was measured.
        limit: The end of both axes, as a share.
        title: A title.

    Returns:
        The chart.

    Raises:
        ConfigError: There is nothing to draw, or matplotlib is not installed.
    """
    if not any(points.values()):
        raise ConfigError("there is nothing to draw; give at least one point")
    apart = len(points) > 2
    made, grid = _squares(len(points) if apart else 1, 0 if apart else 1)
    top = max(
        100 * limit, 1.05 * max(100 * value[2 if apart else 1] for found in points.values() for _, value in found)
    )
    handles = []
    for number, (name, found) in enumerate(points.items()):
        axes = grid.flat[number if apart else 0]
        mean, sides = spread([value for _, value in found], 100)
        stated = 100 * np.array([at for at, _ in found])
        shift = (number - 0.5) * limit * 0.6 if len(points) == 2 else 0  # bars side by side
        look = form(0 if apart else number) | {"markersize": 4, "capsize": 2, "elinewidth": 0.8, "linewidth": 1.3}
        handles.append(axes.errorbar(stated + shift, mean, yerr=sides, **look))
        if apart:
            axes.set_title(_wrapped(name), size="medium")
    for axes in grid.flat[: len(points) if apart else 1]:
        axes.plot([0, 100 * limit], [0, 100 * limit], color="0.35", linewidth=0.9, linestyle="--")
        axes.set_xlim(0, 100 * limit)
        axes.set_ylim(0, min(top, 103))
    _label(made, grid, x_label, y_label)
    if apart:
        made.figure.suptitle(plain(title, 120), size="large")
    else:
        legend_below(made, handles, [plain(name, 40) for name in points], columns=3)
        grid[0, 0].set_title(plain(title, 60))
    return made
