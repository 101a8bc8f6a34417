"""A screenshot drawn in the terminal with half blocks: every cell shows two pixels, one above the other."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.color import Color
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style

__all__ = ["Picture"]


class Picture:
    """``pixels`` (height, width, 3) uint8, scaled to fit ``columns`` × ``rows`` cells with its proportions kept.

    On a terminal with fewer colours rich takes the nearest it has.
    """

    def __init__(self, pixels: NDArray[np.uint8], columns: int, rows: int) -> None:
        """Scale once; drawing is then a walk over the cells."""
        height, width = pixels.shape[:2]
        scale = min(max(columns, 1) / width, 2 * max(rows, 1) / height, 1.0)
        size = (max(1, round(width * scale)), max(2, 2 * round(height * scale / 2)))
        image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
        self.pixels: NDArray[np.uint8] = np.asarray(image.resize(size, Image.Resampling.BOX), np.uint8)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        """One upper half block a cell: the foreground is the upper pixel, the background the lower one."""
        for upper, lower in zip(self.pixels[::2].tolist(), self.pixels[1::2].tolist(), strict=True):
            for above, below in zip(upper, lower, strict=True):
                yield Segment("▀", Style(color=Color.from_rgb(*above), bgcolor=Color.from_rgb(*below)))
            yield Segment.line()

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """As wide as it is."""
        return Measurement(self.pixels.shape[1], self.pixels.shape[1])
