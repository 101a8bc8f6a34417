"""Screenshots as PNG files that are named by the hash of their pixels, so that equal screens are stored once."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import TraceError
from homeostat.private_files import write_private
from homeostat.regular_files import open_regular

__all__ = ["load_screen", "save_screen", "screen_digest"]

_PIXELS = 64 * 2**20
"""The most pixels of a screenshot that is read; a screen of 8K has 33 million."""


def screen_digest(image: NDArray[np.uint8]) -> str:
    """Returns the SHA-256 of an image's shape and pixels.

    Args:
        image: (height, width, 3) uint8.

    Returns:
        64 hexadecimal digits.
    """
    pixels = np.ascontiguousarray(image)
    found = hashlib.sha256(str(pixels.shape).encode())
    found.update(pixels.data)
    return found.hexdigest()


def save_screen(folder: Path, image: NDArray[np.uint8], digest: str = "") -> str:
    """Writes an image into a folder unless it is there already.

    Args:
        folder: An existing folder.
        image: (height, width, 3) uint8.
        digest: The image's digest; "" computes it.

    Returns:
        The image's digest, which is the file's name without ``.png``.
    """
    digest = digest or screen_digest(image)
    path = folder / f"{digest}.png"
    if not path.exists():
        from PIL import Image

        encoded = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(encoded, "png", compress_level=1)
        write_private(path, encoded.getvalue())
    return digest


def load_screen(folder: Path, digest: str) -> NDArray[np.uint8]:
    """Reads an image back and verifies its digest.

    Args:
        folder: The folder that it was saved in.
        digest: The value of :func:`save_screen`.

    Returns:
        The image, (height, width, 3) uint8.

    Raises:
        TraceError: The file is missing or damaged, or its pixels do not match the digest.
    """
    from PIL import Image

    path = folder / f"{digest}.png"
    try:
        # Only PNG, the form that was saved: for other forms Pillow may start a program.
        with open_regular(path) as file, Image.open(file, formats=("PNG",)) as image:
            if image.width * image.height > _PIXELS:
                raise ValueError("too many pixels")
            pixels = np.asarray(image.convert("RGB"), np.uint8)
    except Exception:  # a damaged picture raises errors of many kinds
        raise TraceError(f"screenshot {str(path)!r} is missing or damaged; record the run again") from None
    if screen_digest(pixels) != digest:
        raise TraceError(f"screenshot {str(path)!r} holds other pixels than its name says; record the run again")
    return pixels
