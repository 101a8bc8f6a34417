"""Maps of a model's attention heads: layers upwards, heads to the right."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from homeostat.errors import ConfigError
from homeostat.plots.figures import Chart, chart, plain, styled

__all__ = ["head_maps", "head_table"]


def head_table(rows: Sequence[tuple[int, int, float]]) -> tuple[NDArray[np.float64], tuple[int, ...]]:
    """Puts the values of single heads into a table.

    Args:
        rows: (layer, head, value) of each head.

    Returns:
        (L, H) values, NaN for heads without one, and the numbers of the L layers from the lowest to the highest given.

    Raises:
        ConfigError: There is no head, or one has a negative number.
    """
    if not rows or min(min(layer, head) for layer, head, _ in rows) < 0:
        raise ConfigError("there is no head to draw; give (layer, head, value) rows, counted from 0")
    layers = tuple(range(min(r[0] for r in rows), max(r[0] for r in rows) + 1))
    table = np.full((len(layers), max(r[1] for r in rows) + 1), np.nan)
    for layer, head, value in rows:
        table[layer - layers[0], head] = value
    return table, layers


@styled()
def head_maps(
    maps: Mapping[str, ArrayLike],
    *,
    layers: Sequence[int] | None = None,
    marked: Mapping[str, Collection[tuple[int, int]]] | Collection[tuple[int, int]] = (),
    units: Mapping[str, str] | str = "",
    centre: float | None = None,
    title: str = "",
) -> Chart:
    """Draws one map of all heads for each quantity.

    Args:
        maps: By title, (L, H) values. NaN leaves a head grey.
        layers: The numbers of the L layers; None counts them from 0.
        marked: (layer, head) pairs that get a frame: in every map, or by the map's title.
        units: What the values are, for the colour bars: one text, or one by title.
        centre: The value that is drawn white, for quantities with two directions; None for quantities with one.
        title: A title for the whole chart.

    Returns:
        The chart.

    Raises:
        ConfigError: There is no map, a map is no table, or matplotlib is not installed.
    """
    tables = {name: np.asarray(values, np.float64) for name, values in maps.items()}
    if not tables or any(table.ndim != 2 or not table.size for table in tables.values()):
        raise ConfigError("there is nothing to draw; give tables of shape (layers, heads)")
    from_layers = {name: tuple(range(len(t)) if layers is None else layers) for name, t in tables.items()}
    high = max(len(table) for table in tables.values())
    wide = max(table.shape[1] for table in tables.values())
    columns = min(len(tables), 4)
    rows = -(-len(tables) // columns)
    size = (columns * (1.7 + min(0.16 * wide, 2.2)), rows * (1.2 + min(max(0.16 * high, 1.6), 5)))
    made, grid = chart(rows, columns, (max(size[0], 3.6), size[1] + 0.3 * bool(title)))
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    for axes, (name, table) in zip(grid.flat, tables.items(), strict=False):
        numbers = from_layers[name]
        if len(numbers) != len(table):
            raise ConfigError(f"map {name!r} has {len(table)} layers, but {len(numbers)} numbers of layers were given")
        known = table[np.isfinite(table)]
        low, top = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
        if centre is not None:
            reach = max(abs(low - centre), abs(top - centre)) or 1.0
            low, top = centre - reach, centre + reach
        image = axes.imshow(
            np.ma.masked_invalid(table),
            aspect="auto",
            origin="lower",
            cmap="cividis" if centre is None else "PuOr",
            norm=Normalize(low, top if top > low else low + 1),
            interpolation="nearest",
        )
        axes.set_facecolor("0.8")
        axes.grid(visible=False)
        chosen = marked.get(name, ()) if isinstance(marked, Mapping) else marked
        for layer, head in sorted(chosen):
            if layer in numbers and head < table.shape[1]:
                corner = (head - 0.5, numbers.index(layer) - 0.5)
                for colour, width in (("black", 2.4), ("white", 1.0)):  # seen on dark and on light fields
                    axes.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=colour, linewidth=width))
        step = -(-len(numbers) // 16)
        axes.set_yticks(range(0, len(numbers), step), numbers[::step])
        step = -(-table.shape[1] // 12)
        axes.set_xticks(range(0, table.shape[1], step))
        axes.set_xlabel("head")
        axes.set_title(plain(name))
        bar = made.figure.colorbar(image, ax=axes)
        bar.set_label(units if isinstance(units, str) else units.get(name, ""))
    for axes in grid[:, 0]:
        axes.set_ylabel("layer")
    for axes in grid.flat[len(tables) :]:
        axes.set_visible(False)
    if title:
        made.figure.suptitle(plain(title, 120), size="large")
    return made
