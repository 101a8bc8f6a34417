"""Screenshots as PNG files that are named by the hash of their pixels, so that equal screens are stored once.

They are encoded here, because Pillow tries five filters on every row, which takes four times as long as all the rest.
On screens, one filter for all rows ("Up", which most rows of a user interface repeat) gives files of about equal size.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import TraceError
from homeostat.private_files import write_private

__all__ = ["load_screen", "save_screen", "screen_digest"]


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
        write_private(path, _png(image))
    return digest


def _png(image: NDArray[np.uint8]) -> bytes:
    """Encodes an RGB image as PNG (ISO/IEC 15948), with the filter "Up" on every row and compression level 1."""
    height, width, _ = image.shape
    pixels = image.reshape(height, 3 * width)
    rows = np.empty((height, 3 * width + 1), np.uint8)
    rows[:, 0] = 2  # the filter's number
    rows[:1, 1:] = pixels[:1]
    np.subtract(pixels[1:], pixels[:-1], out=rows[1:, 1:])
    header = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(rows.data, 1)), (b"IEND", b""))
    framed = (struct.pack(">I", len(d)) + kind + d + struct.pack(">I", zlib.crc32(kind + d)) for kind, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


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
    from PIL import Image, UnidentifiedImageError

    path = folder / f"{digest}.png"
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"), np.uint8)
    except (OSError, SyntaxError, UnidentifiedImageError):
        raise TraceError(f"screenshot {str(path)!r} is missing or damaged; record the run again") from None
    if screen_digest(pixels) != digest:
        raise TraceError(f"screenshot {str(path)!r} holds other pixels than its name says; record the run again")
    return pixels
