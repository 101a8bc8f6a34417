"""A screenshot in the terminal: as a picture where the terminal can show one, else with half-block characters.

With the extra ``terminal`` (the library textual-image), a terminal that answers to its queries gets real pixels through
kitty's graphics protocol or as sixels. Nothing is asked of a terminal that is not one, is dumb, or has no keyboard
behind it. Without colours a screenshot of half blocks would be a grey field, so there is none.
"""

from __future__ import annotations

import sys
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console, RenderableType
from rich.panel import Panel
from rich_pixels import Pixels

__all__ = ["Picture", "picture", "picture_for"]

_TALLER = 2  # a character's cell is about twice as high as wide


def picture(pixels: NDArray[np.uint8], columns: int, rows: int) -> Panel:
    """Draws a screenshot with half-block characters: each cell shows two pixels, one above the other.

    Args:
        pixels: The screenshot, shape (height, width, 3).
        columns: How many cells it may be wide.
        rows: How many cells it may be high.

    Returns:
        The picture in a frame. It keeps its aspect ratio, and a small one is not enlarged.
    """
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    image.thumbnail((max(columns, 1), _TALLER * max(rows, 1)), Image.Resampling.BOX)
    # The frame gets its width from here, because ``Pixels`` tells rich no width of its own.
    return Panel(Pixels.from_image(image), padding=0, width=image.width + 2)


class Picture(Protocol):
    """Draws screenshots, one after the other."""

    def draw(self, pixels: NDArray[np.uint8], columns: int, rows: int) -> tuple[RenderableType, int, int]:
        """Draws a screenshot.

        Args:
            pixels: The screenshot, shape (height, width, 3).
            columns: How many cells it may be wide, with its frame.
            rows: How many cells it may be high, with its frame.

        Returns:
            The drawing, and how many cells it is wide and high.
        """
        ...


class HalfBlocks:
    """Half-block characters in a frame; they work in every terminal with colours."""

    def draw(self, pixels: NDArray[np.uint8], columns: int, rows: int) -> tuple[RenderableType, int, int]:
        """Draws a screenshot."""
        drawn = picture(pixels, columns - 2, rows - 2)
        height, width = pixels.shape[:2]
        scale = min(1.0, (columns - 2) / width, _TALLER * (rows - 2) / height)
        return drawn, drawn.width or columns, -(-max(round(height * scale), 1) // _TALLER) + 2


class Graphics:
    """Real pixels, by a protocol that the terminal has said to understand."""

    def __init__(self, kind: Any) -> None:
        """Draws with a class of textual-image.

        Args:
            kind: The class of one protocol.
        """
        self._kind = kind
        self._pixels: Any = None
        self._size = (0, 0)
        self._last: Any = None

    def draw(self, pixels: NDArray[np.uint8], columns: int, rows: int) -> tuple[RenderableType, int, int]:
        """Draws a screenshot. The terminal forgets the one before."""
        height, width = pixels.shape[:2]
        scale = min(columns / width, _TALLER * rows / height)
        size = max(int(width * scale), 1), max(int(height * scale / _TALLER), 1)
        if pixels is not self._pixels or size != self._size:
            if self._last is not None:
                self._last.cleanup()
            image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
            self._pixels, self._size = pixels, size
            self._last = self._kind(image, width=size[0], height=size[1])
        return self._last, size[0], size[1] + 1  # sixels take one more line, which holds their control sequences


def picture_for(console: Console) -> Picture | None:
    """Chooses how screenshots are drawn.

    Args:
        console: The terminal.

    Returns:
        What draws them; None where nothing can: without colours, or without a terminal.
    """
    if not console.is_terminal or console.is_dumb_terminal:
        return None
    if (kind := _graphics(console)) is not None:
        return Graphics(kind)
    return HalfBlocks() if console.color_system is not None and not console.no_color else None


def _graphics(console: Console) -> Any:
    """The class of the protocol that the terminal understands; None where it understands none, or nobody can ask."""
    ours = console.file is sys.__stdout__ or console.file is sys.stdout
    if not (ours and sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    try:
        from textual_image import renderable
    except Exception:  # it is an optional library; and its first import asks the terminal, which may fail in many ways
        return None
    return renderable.Image if renderable.Image in (renderable.TGPImage, renderable.SixelImage) else None
