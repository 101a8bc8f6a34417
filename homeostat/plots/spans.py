"""The attention on each span: token by token, layer by layer, or head by head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart
from homeostat.plots.heads import head_maps
from homeostat.plots.lines import Panel, Series, lines

__all__ = ["By", "span_masses"]

By = Literal["token", "layer", "head"]
"""What a chart of span masses shows along its axis; it averages over the rest."""


def span_masses(
    mass: ArrayLike,
    labels: Sequence[str],
    *,
    by: By = "token",
    layers: Sequence[int] | None = None,
    position: Sequence[int] | None = None,
    title: str = "",
) -> Chart:
    """Draws the attention mass on each span.

    Args:
        mass: (T, L, H, S) masses, in [0, 1].
        labels: The labels of the S spans.
        by: ``"token"`` and ``"layer"`` draw one line for each span, ``"head"`` one map of layers and heads.
        layers: The numbers of the L layers; None counts them from 0.
        position: (T,) the numbers of the generated tokens; None counts them from 0.
        title: A title.

    Returns:
        The chart: means over everything but what ``by`` names, in percent.

    Raises:
        ConfigError: The shapes differ, there is no token, ``by`` is unknown, or matplotlib is not installed.
    """
    table = 100 * np.asarray(mass, np.float64)
    if table.ndim != 4 or table.shape[3] != len(labels) or not table.size:
        raise ConfigError(f"masses of shape {table.shape} with {len(labels)} labels can't be drawn; give (T, L, H, S)")
    rows = list(range(table.shape[1]) if layers is None else layers)
    if by == "head":
        maps = {label: table[..., k].mean(0) for k, label in enumerate(labels)}
        return head_maps(maps, layers=rows, units="attention mass, %", title=title)
    if by == "token":
        x, means, x_label = list(range(len(table)) if position is None else position), table.mean((1, 2)), "token"
    elif by == "layer":
        x, means, x_label = rows, table.mean((0, 2)), "layer"
    else:
        raise ConfigError(f"by={by!r} is unknown; known: token, layer, head")
    series = [Series(label, x, means[:, k].tolist()) for k, label in enumerate(labels)]
    what = {"token": "generated token", "layer": "layer"}[x_label]
    panel = Panel(series, what, "attention mass, %", title, from_zero=True)
    return lines([panel])
