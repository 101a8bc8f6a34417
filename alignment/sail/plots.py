"""The heat map of a localization."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from homeostat.alignment.sail.localization import Localization
from homeostat.errors import ConfigError

__all__ = ["heat_map", "pyplot"]


def pyplot() -> Any:
    """matplotlib without a screen. Raises :class:`ConfigError` where it is missing."""
    try:
        import matplotlib
    except ImportError:
        raise ConfigError("a plot needs matplotlib; pip install 'homeostat[align]'") from None
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def heat_map(found: Localization, file: Path) -> None:
    """Four panels, layers by heads: the three families and the score; focal heads are framed."""
    plt = pyplot()
    panels = ("magnitude", "direction", "distribution", "score")
    figure, axes = plt.subplots(1, 4, figsize=(13, 1.2 + 0.32 * max(6, len(found.score))), layout="constrained")
    for axis, name in zip(axes, panels, strict=True):
        values = np.array(getattr(found, name))
        image = axis.imshow(values, aspect="auto", origin="lower", cmap="viridis")
        for layer, head in found.heads:
            axis.add_patch(plt.Rectangle((head - 0.5, layer - 0.5), 1, 1, fill=False, edgecolor="red", linewidth=1.5))
        axis.set_title("sum of z-scores" if name == "score" else name)
        axis.set_xlabel("head")
        if values.shape[0] <= 16:
            axis.set_yticks(range(values.shape[0]))
        if values.shape[1] <= 16:
            axis.set_xticks(range(values.shape[1]))
        figure.colorbar(image, ax=axis)
    axes[0].set_ylabel("layer")
    layers = ", ".join(map(str, found.layers))
    figure.suptitle(f"{found.model}: drift between {found.twins} aligned twins; focal layers {layers}")
    figure.savefig(file, dpi=110)
    plt.close(figure)
