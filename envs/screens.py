"""Screenshots as PNG files named by the hash of their pixels: the same screen is kept once."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import TraceError

__all__ = ["load_screen", "save_screen", "screen_digest"]


def screen_digest(image: NDArray[np.uint8]) -> str:
    """The sha256 of an image's (height, width, 3) pixels and shape."""
    pixels = np.ascontiguousarray(image)
    return hashlib.sha256(str(pixels.shape).encode() + pixels.tobytes()).hexdigest()


def save_screen(folder: Path, image: NDArray[np.uint8]) -> str:
    """Write the image into the folder, unless it is there; its digest, which is the file's name without ``.png``."""
    from PIL import Image

    digest = screen_digest(image)
    path = folder / f"{digest}.png"
    if not path.exists():
        part = path.with_suffix(".part")
        Image.fromarray(np.ascontiguousarray(image)).save(part, format="png", compress_level=1)
        os.replace(part, path)
    return digest


def load_screen(folder: Path, digest: str) -> NDArray[np.uint8]:
    """The image of this digest. Raises :class:`TraceError` where the file is missing or damaged."""
    from PIL import Image, UnidentifiedImageError

    path = folder / f"{digest}.png"
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, UnidentifiedImageError):
        raise TraceError(f"screenshot {str(path)!r} is missing or damaged; record the run anew") from None
    if screen_digest(pixels) != digest:
        raise TraceError(f"screenshot {str(path)!r} holds other pixels than its name says; record the run anew")
    return pixels
