"""The look of all charts, and how they are saved.

Charts are made without ``pyplot``, so they need no display and leave no global state behind. Colours are those of Okabe
and Ito (2008, "Color Universal Design") and one of Tol (2021, "Colour schemes"): people with the common kinds of colour
blindness can tell them apart. Lines and points also differ in their form, so that a print in grey stays readable. Texts
in an SVG file stay texts. The same figures give the same file: ids in it come from a fixed salt, and it holds no date.
"""

from __future__ import annotations

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, visible

__all__ = [
    "FORMATS",
    "PALETTE",
    "Chart",
    "Interval",
    "chart",
    "form",
    "legend_below",
    "plain",
    "short_name",
    "spread",
    "styled",
]

Interval: TypeAlias = tuple[float, float, float]
"""(mean, low, high): a value and its interval."""

PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#882255")
"""The colours of the series, in order: blue, vermilion, green, purple, orange, sky blue, black, wine."""

FORMATS = (".png", ".svg", ".pdf")
"""The endings of the files that a chart can be saved as."""

_MARKERS, _DASHES = "osD^vPX*", ("-", "--", "-.", ":")
_STYLE = {
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.h_pad": 0.08,
    "figure.constrained_layout.w_pad": 0.08,
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that every machine draws the same
    "font.size": 9,
    "grid.alpha": 0.3,
    "legend.frameon": False,
    "savefig.dpi": 150,
    "svg.fonttype": "none",
    "svg.hashsalt": "homeostat",
}


@dataclass(frozen=True)
class Chart:
    """A chart: a matplotlib figure that notebooks show and that can be saved.

    Attributes:
        figure: The ``matplotlib.figure.Figure``; change it as you like.
    """

    figure: Any

    @property
    def axes(self) -> list[Any]:
        """The figure's axes, in order."""
        return list(self.figure.axes)

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Writes the chart to a file. Missing folders are created.

        Args:
            path: A file whose name ends in ``.png``, ``.svg`` or ``.pdf``.

        Returns:
            The file.

        Raises:
            ConfigError: The ending is another one, or the file can't be written.
        """
        file = Path(path)
        if file.suffix.lower() not in FORMATS:
            raise ConfigError(f"{str(file)!r} names no picture; end it in {', '.join(FORMATS)}")
        data = self._bytes(file.suffix.lower()[1:])
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        except OSError as error:
            raise ConfigError(f"can't write {str(file)!r}: {error.strerror}; give another file") from None
        return file

    def _repr_png_(self) -> bytes:
        """The chart, as notebooks show it."""
        return self._bytes("png")

    def _bytes(self, kind: str) -> bytes:
        buffer = io.BytesIO()
        undated = {"png": None, "svg": {"Date": None}, "pdf": {"CreationDate": None}}[kind]
        with styled():
            self.figure.savefig(buffer, format=kind, metadata=undated)
        return buffer.getvalue()


def chart(rows: int = 1, columns: int = 1, size: tuple[float, float] = (6, 3.6), **axes: Any) -> tuple[Chart, Any]:
    """Makes an empty chart.

    Args:
        rows: The number of rows of axes.
        columns: The number of columns of axes.
        size: Width and height in inches.
        **axes: Passed to matplotlib's ``Figure.subplots``.

    Returns:
        The chart, and its axes in an array of shape (rows, columns).

    Raises:
        ConfigError: matplotlib is not installed.
    """
    with styled():
        from matplotlib.figure import Figure

        figure = Figure(figsize=size, layout="constrained")
        return Chart(figure), figure.subplots(rows, columns, squeeze=False, **axes)


def form(number: int) -> dict[str, Any]:
    """Chooses colour, marker and dashes of a series.

    Args:
        number: The series' number, from 0.

    Returns:
        The keywords of matplotlib's ``plot``.
    """
    return {
        "color": PALETTE[number % len(PALETTE)],
        "marker": _MARKERS[number % len(_MARKERS)],
        "linestyle": _DASHES[number // 2 % len(_DASHES)],
    }


def plain(text: object, limit: int = 48) -> str:
    """Prepares foreign text for a chart: nothing in it is a formula, a hidden label or a control character.

    Args:
        text: The text.
        limit: The most characters; the rest is cut off.

    Returns:
        The text to draw.
    """
    shown = clipped(visible(str(text)), limit).replace("$", r"\$")
    return f" {shown}" if shown.startswith("_") else shown  # matplotlib hides labels with an underscore


def short_name(model: str) -> str:
    """Shortens the name of a model that is a folder.

    Args:
        model: A model's name, or the path of its folder.

    Returns:
        The name, or the folder's own name.
    """
    return Path(model).name if Path(model).is_absolute() or model.startswith((".", "~")) else model


def legend_below(made: Chart, handles: Sequence[Any], labels: Sequence[str], columns: int = 8) -> None:
    """Puts one legend for all axes below them.

    Args:
        made: The chart.
        handles: What was drawn.
        labels: Their names.
        columns: The most names in a line.
    """
    if handles:
        fitting = int(12 * made.figure.get_figwidth()) // (max(map(len, labels)) + 6)  # 12 characters in an inch
        wide = max(1, min(columns, len(labels), fitting))
        made.figure.legend(handles, labels, loc="outside lower center", ncols=wide)


def spread(values: Sequence[Interval], factor: float = 1.0) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Splits intervals into what matplotlib's ``errorbar`` takes.

    Args:
        values: n intervals.
        factor: What every number is multiplied by.

    Returns:
        (n,) means, and (2, n) distances from the mean down to the lower bound and up to the upper one.
    """
    table = np.asarray(values, dtype=np.float64).reshape(-1, 3) * factor
    mean, low, high = table.T
    return mean, np.stack([np.maximum(mean - low, 0), np.maximum(high - mean, 0)])


@contextmanager
def styled() -> Iterator[None]:
    """Within it, matplotlib draws in our style, whatever the user's settings are. It also decorates functions.

    Yields:
        Nothing.

    Raises:
        ConfigError: matplotlib is not installed.
    """
    try:
        import matplotlib.style
    except ImportError:
        raise ConfigError("charts need matplotlib; pip install 'homeostat[plot]'") from None
    with matplotlib.style.context(["default", _STYLE]), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # such as CJK; SVG files keep the text
        yield
