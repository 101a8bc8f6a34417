"""Span masses to look at: a chart, a table for pandas, and a table that notebooks show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart
from homeostat.plots.notebook import Bar, data_frame, pandas, table_html
from homeostat.plots.spans import By, span_masses
from homeostat.plots.token_html import weight_text

if TYPE_CHECKING:
    from homeostat.sensors.attempts import SpanMass

__all__ = ["Quantity", "mass_chart", "mass_html", "mass_table"]

Quantity: TypeAlias = Literal["mass", "prompt_mass", "sink_in_span", "sink", "entropy", "distance", "top"]
"""What a table can hold: one column for each span for the first three, one column for the others."""
_BY_SPAN = ("mass", "prompt_mass", "sink_in_span")
_QUANTITIES = (*_BY_SPAN, "sink", "entropy", "distance", "top")


def mass_chart(mass: SpanMass, by: By) -> Chart:
    """Draws the attention on each span.

    Args:
        mass: The span masses.
        by: What is shown along the axis: ``"token"``, ``"layer"`` or ``"head"``.

    Returns:
        The chart.

    Raises:
        ConfigError: ``by`` is unknown, no token was read, or matplotlib is not installed.
    """
    return span_masses(mass.mass, mass.labels, by=by, layers=mass.layers, position=mass.position.tolist())


def mass_table(mass: SpanMass, quantity: Quantity) -> Any:
    """Makes a table of one row for each token, layer and head.

    Args:
        mass: The span masses.
        quantity: What the table holds.

    Returns:
        A ``pandas.DataFrame``, indexed by token, layer and head.

    Raises:
        ConfigError: The quantity is unknown or was not recorded, or pandas is not installed.
    """
    if quantity not in _QUANTITIES:
        raise ConfigError(f"quantity {quantity!r} is unknown; known: {', '.join(_QUANTITIES)}")
    values = getattr(mass, quantity)
    if values is None:
        raise ConfigError(f"{quantity!r} was not recorded; ask for it when you call watch()")
    positions = mass.position
    if quantity == "prompt_mass":  # the prompt's last rows, counted in slots
        positions = np.arange(mass.prompt - len(values), mass.prompt)
    axes = [positions.tolist(), list(mass.layers), list(range(values.shape[2]))]
    names = ["slot" if quantity == "prompt_mass" else "token", "layer", "head"]
    index = pandas().MultiIndex.from_product(axes, names=names)
    if quantity not in _BY_SPAN:
        return data_frame({quantity: values.reshape(-1)}, index)
    flat = values.reshape(-1, len(mass.labels))
    return data_frame({label: flat[:, k] for k, label in enumerate(mass.labels)}, index)


def mass_html(mass: SpanMass) -> str:
    """Writes a table of the spans, with bars.

    Args:
        mass: The span masses.

    Returns:
        A fragment of HTML.
    """
    count, layers, heads = mass.mass.shape[:3]
    caption = f"Attention of {count} generated tokens in {layers} layers of {heads} heads"
    if not mass.mass.size:
        return table_html(["span", "tokens"], list(zip(mass.labels, mass.lengths, strict=True)), caption)
    means = np.asarray(mass.mass, np.float64).mean((0, 1, 2))
    by_layer = np.asarray(mass.mass, np.float64).mean((0, 2))
    top = float(max(means.max(), 1e-12))
    seen = float(mass.visible.mean())
    rows = []
    for k, label in enumerate(mass.labels):
        best = int(by_layer[:, k].argmax())
        even = mass.lengths[k] / seen if seen else 0.0
        rows.append(
            [
                label,
                int(mass.lengths[k]),
                Bar(means[k] / top, weight_text(float(means[k]))),
                f"{means[k] / even:.2f}" if even else "",
                f"{mass.layers[best]} ({weight_text(float(by_layer[best, k]))})",
            ]
        )
    columns = ["span", "tokens", "attention", "× even share", "most in layer"]
    note = "× even share: against attention that is spread evenly over all tokens. " + _measured(mass)
    return table_html(columns, rows, caption, note.strip())


def _measured(mass: SpanMass) -> str:
    if mass.sink is None or not mass.sink.size:
        return ""
    return f"On attention sinks: {weight_text(float(mass.sink.mean()))}."
