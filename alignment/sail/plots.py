"""Draws the heat map of a localization."""

from __future__ import annotations

from homeostat.alignment.sail.localization import Localization
from homeostat.plots import Chart, head_maps, short_name

__all__ = ["heat_map"]


def heat_map(found: Localization, title: str = "") -> Chart:
    """Draws four maps, layers by heads: the three families of head drift and the score. Focal heads have a frame.

    Args:
        found: The localization.
        title: The title; "" names the model and the focal layers.

    Returns:
        The chart.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    layers = ", ".join(map(str, found.layers))
    twins = f"{short_name(found.model)}: head drift between {found.twins} pairs of twins; focal layers {layers}"
    return head_maps(
        {
            "magnitude": found.magnitude,
            "direction": found.direction,
            "distribution": found.distribution,
            "sum of z-scores": found.score,
        },
        marked=found.heads,
        units={
            "magnitude": "drift of the attention mass",
            "direction": "drift of the output's direction",
            "distribution": "drift over the spans, nats",
            "sum of z-scores": "standard deviations",
        },
        title=title or twins,
    )
