"""Draws a layout with Pillow at any scale: 144·s × 256·s pixels.

A cell is a square of 16·s pixels and holds two characters, each 8·s pixels wide. Every word is drawn once for each
combination of style and scale and pasted afterwards, which makes the simulator fast. The font ships with the package,
so that the same state gives the same pixels on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib import resources
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from homeostat.envs.phone.layout import COLUMNS, ROWS, Placed

__all__ = ["CELL", "render"]

CELL = 16
Colour = tuple[int, int, int]

_PAPER: Colour = (250, 250, 252)
_INK: Colour = (24, 26, 32)
_LINE: Colour = (214, 216, 222)
# style -> (ink, paper); a paper of None means the title bar's colour
Styles = dict[str, tuple[Colour, Colour | None]]
_LIGHT: Styles = {
    "body": (_INK, _PAPER),
    "dim": ((110, 114, 124), _PAPER),
    "label": ((40, 90, 180), _PAPER),
    "value": ((70, 74, 84), _PAPER),
    "on": ((255, 255, 255), (30, 140, 70)),
    "off": ((60, 60, 66), (205, 207, 213)),
    "box": (_INK, (236, 237, 242)),
    "focus": (_INK, (255, 226, 130)),
    "title": ((255, 255, 255), None),
    "status": ((230, 232, 238), (24, 26, 32)),
    "button": ((255, 255, 255), (40, 90, 180)),
    "key": (_INK, (222, 226, 236)),
    "toast": ((255, 255, 255), (60, 60, 66)),
}
_NIGHT: Colour = (18, 19, 23)
_CHALK: Colour = (232, 234, 240)
_NIGHT_LINE: Colour = (52, 56, 68)
_DARK: Styles = _LIGHT | {
    "body": (_CHALK, _NIGHT),
    "dim": ((158, 162, 174), _NIGHT),
    "label": ((132, 176, 255), _NIGHT),
    "value": ((188, 192, 204), _NIGHT),
    "off": ((220, 222, 228), (66, 68, 76)),
    "box": (_CHALK, (44, 46, 54)),
    "focus": (_CHALK, (112, 84, 12)),
    "status": ((230, 232, 238), (0, 0, 0)),
    "key": (_CHALK, (52, 56, 68)),
}


@lru_cache(maxsize=16)
def _font(scale: int) -> ImageFont.FreeTypeFont:
    data = resources.files("homeostat.envs.phone").joinpath("assets/DejaVuSansMono.ttf").read_bytes()
    return ImageFont.truetype(BytesIO(data), size=13 * scale)


@lru_cache(maxsize=20_000)
def _word(word: str, ink: Colour, paper: Colour, scale: int) -> Image.Image:
    """Draws a word on its cells, with each character centred in its half cell."""
    cell = CELL * scale
    half = cell // 2
    strip = Image.new("RGB", (cell * ((len(word) + 1) // 2), cell), paper)
    draw = ImageDraw.Draw(strip)
    for i, character in enumerate(word):
        draw.text((i * half + half / 2, cell * 0.74), character, fill=ink, font=_font(scale), anchor="ms")
    return strip


def render(placed: Sequence[Placed], colour: Colour, scale: int = 1, *, dark: bool = False) -> NDArray[np.uint8]:
    """Draws a screen.

    Args:
        placed: The elements, in drawing order.
        colour: The RGB colour of the title bar.
        scale: The factor s of the size.
        dark: Whether to use the dark colours.

    Returns:
        (256·scale, 144·scale, 3) uint8.
    """
    cell = CELL * scale
    styles = _DARK if dark else _LIGHT
    image = Image.new("RGB", (COLUMNS * cell, ROWS * cell), _NIGHT if dark else _PAPER)

    def fill(style: str, box: tuple[int, int, int, int]) -> None:
        image.paste(styles[style][1] or colour, box)

    fill("status", (0, 0, COLUMNS * cell, cell))
    bar = next((p.box[1] for p in placed if p.widget.role == "title"), 1) * cell
    fill("title", (0, bar, COLUMNS * cell, bar + cell))
    for p in placed:
        left, top, right, bottom = (v * cell for v in p.box)
        if p.style in ("box", "focus"):
            fill(p.style, (left, top + cell, right, bottom))
        elif p.style == "button":
            fill("button", (left, top, right, bottom))
        elif p.style == "key":
            fill("key", (left, top, right - scale, bottom - scale))
        elif p.style == "nav":
            _nav(image, p.widget.text, left, top, right, bottom)
        elif p.widget.role == "toast":
            fill("toast", (left, top, right, bottom))
        if p.widget.role == "icon":
            image.paste(_hue(p.widget.text), (right - cell, top + 2 * scale, right - 2 * scale, bottom - 2 * scale))
        for r in p.runs:
            ink, paper = styles[r.style]
            image.paste(_word(r.word, ink, paper or colour, scale), (r.column * cell, r.row * cell))
        if p.style == "row":
            image.paste(_NIGHT_LINE if dark else _LINE, (left, bottom - scale, right, bottom))
    return np.asarray(image)


def _hue(name: str) -> Colour:
    from homeostat.envs.phone.apps.decoys import find_app, known_apps

    return find_app(name).colour if name in known_apps() else (120, 120, 120)


def _nav(image: Image.Image, name: str, left: int, top: int, right: int, bottom: int) -> None:
    draw = ImageDraw.Draw(image)
    x, y, r = (left + right) / 2, (top + bottom) / 2, (bottom - top) * 0.28
    if name == "back":
        draw.polygon([(x - r, y), (x + r, y - r), (x + r, y + r)], fill=(110, 114, 124))
    else:
        draw.ellipse((x - r, y - r, x + r, y + r), outline=(110, 114, 124), width=max(1, int(r / 3)))
