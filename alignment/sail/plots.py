"""Draws the heat map of a localization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homeostat.alignment.sail.localization import Localization
from homeostat.errors import ConfigError

__all__ = ["heat_map", "pyplot"]


def pyplot() -> Any:
    """Imports matplotlib with a backend that needs no display.

    Returns:
        The module ``matplotlib.pyplot``.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise ConfigError("plots need matplotlib; pip install 'homeostat[align]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def heat_map(found: Localization, file: Path) -> None:
    """Saves four panels, layers by heads: the three families of head drift and the score. Focal heads have a frame.

    Args:
        found: The localization.
        file: The image file.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    plt = pyplot()
    panels = {
        "magnitude": found.magnitude,
        "direction": found.direction,
        "distribution": found.distribution,
        "sum of z-scores": found.score,
    }
    figure, axes = plt.subplots(1, 4, figsize=(13, 1.2 + 0.32 * max(6, len(found.score))), layout="constrained")
    for axis, (title, table) in zip(axes, panels.items(), strict=True):
        values = np.array(table)
        image = axis.imshow(values, aspect="auto", origin="lower", cmap="viridis")
        for layer, head in found.heads:
            axis.add_patch(plt.Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=1.5))
        axis.set_title(title)
        axis.set_xlabel("head")
        if values.shape[0] <= 16:
            axis.set_yticks(range(values.shape[0]))
        if values.shape[1] <= 16:
            axis.set_xticks(range(values.shape[1]))
        figure.colorbar(image, ax=axis)
    axes[0].set_ylabel("layer")
    layers = ", ".join(map(str, found.layers))
    figure.suptitle(f"{found.model}: head drift between {found.twins} pairs of twins; focal layers {layers}")
    figure.savefig(file, dpi=110)
    plt.close(figure)
