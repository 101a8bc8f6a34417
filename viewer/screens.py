"""Screenshots for a page: as small as they can be without loss, and smaller where a run has too many of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["BUDGET", "Picture", "Pictures", "encoded", "encoded_within"]

BUDGET = 4 * 2**20
"""The most bytes that the screenshots of one page take, in base64."""
_SIDES = (1280, 960, 640, 480, 320, 200, 120)
"""The longest side in pixels, tried in this order. Screenshots are never enlarged."""
_COLOURS = 256
_QUALITY = 80
_SMALL = 400_000  # pixels up to which an exact WebP is tried, which takes a few milliseconds
_DEARER = 1.25
"""How much larger an exact picture may be than one of quality 80."""
_SAMPLE = 6


@dataclass(frozen=True)
class Picture:
    """A screenshot as a file.

    Attributes:
        kind: The media type.
        data: The file's bytes.
        width: The width of the original, in pixels.
        height: The height of the original, in pixels.
    """

    kind: str
    data: bytes
    width: int
    height: int


@dataclass(frozen=True)
class Pictures:
    """The screenshots of a run.

    Attributes:
        found: By the screenshot's digest, its picture.
        side: The longest side in pixels to which they were reduced.
        reduced: How many were reduced.
        missing: How many can't be read.
        left_out: How many the budget has no room for.
    """

    found: dict[str, Picture]
    side: int = _SIDES[0]
    reduced: int = 0
    missing: int = 0
    left_out: int = 0

    @property
    def notes(self) -> list[str]:
        """What the page says about them, one sentence each."""
        told = []
        if self.reduced:
            told.append(f"The screenshots are reduced to {self.side} pixels on their longer side.")
        if self.missing:
            told.append(f"Screenshots that are missing or damaged: {self.missing}.")
        if self.left_out:
            told.append(f"The last {self.left_out} screenshots are left out to keep the page small.")
        return told


def encoded(pixels: NDArray[np.uint8], side: int = _SIDES[0]) -> Picture:
    """Encodes a screenshot.

    A picture of at most 256 colours becomes a PNG file with a palette, which is exact and for a drawn interface smaller
    than WebP. Any other becomes WebP: exact where that is hardly larger, as for most small interfaces, else of quality
    80.

    Args:
        pixels: (height, width, 3) uint8.
        side: The most pixels of the longer side.

    Returns:
        The picture.
    """
    height, width = pixels.shape[:2]
    image = Image.fromarray(pixels)
    if max(height, width) > side:
        scale = side / max(height, width)
        image = image.resize((max(round(width * scale), 1), max(round(height * scale), 1)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    if image.getcolors(_COLOURS) is not None:
        _with_palette(np.asarray(image)).save(file, "PNG", optimize=True)
        return Picture("image/png", file.getvalue(), width, height)
    image.save(file, "WEBP", quality=_QUALITY, method=2)
    data = file.getvalue()
    if image.width * image.height <= _SMALL:
        exact = io.BytesIO()
        image.save(exact, "WEBP", lossless=True, quality=50, method=2)
        data = exact.getvalue() if len(exact.getvalue()) <= _DEARER * len(data) else data
    return Picture("image/webp", data, width, height)


def _with_palette(pixels: NDArray[np.uint8]) -> Image.Image:
    """The same picture with a palette of exactly its colours."""
    flat = pixels.reshape(-1, 3).astype(np.uint32)
    colours, where = np.unique(flat[:, 0] << 16 | flat[:, 1] << 8 | flat[:, 2], return_inverse=True)
    image = Image.fromarray(where.astype(np.uint8).reshape(pixels.shape[:2]))
    image.putpalette(np.stack([colours >> 16, colours >> 8 & 255, colours & 255], 1).astype(np.uint8).tobytes())
    return image


def encoded_within(
    digests: Sequence[str], load: Callable[[str], NDArray[np.uint8] | None], budget: int = BUDGET
) -> Pictures:
    """Encodes the screenshots of a run, each once, as large as the budget allows.

    Args:
        digests: The screenshots' names, without repeats.
        load: Loads a screenshot; None where it can't be read.
        budget: The most bytes in base64.

    Returns:
        The pictures.
    """
    room = budget * 3 // 4
    sample = [pixels for name in digests[:: max(len(digests) // _SAMPLE, 1)] if (pixels := load(name)) is not None]
    for side in _SIDES:
        mean = sum(len(encoded(pixels, side).data) for pixels in sample) / max(len(sample), 1)
        if mean * len(digests) > room and side != _SIDES[-1]:
            continue
        found: dict[str, Picture] = {}
        missing = left_out = used = 0
        for name in digests:
            pixels = load(name)
            if pixels is None:
                missing += 1
                continue
            picture = encoded(pixels, side)
            used += len(picture.data)
            if used > room:
                left_out += 1
            else:
                found[name] = picture
        if not left_out or side == _SIDES[-1]:
            reduced = sum(max(picture.width, picture.height) > side for picture in found.values())
            return Pictures(found, side, reduced, missing, left_out)
    return Pictures({})
