"""Reads the images of a chat: pixels, Pillow images, and data URLs (RFC 2397) as the OpenAI API takes them."""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError

__all__ = ["IMAGE_KINDS", "pixels"]

IMAGE_KINDS = ("image", "image_url", "input_image")
"""The types of a message's part that is an image: of transformers, and of OpenAI's two APIs."""
_KEYS = ("image", "image_url", "url", "base64")


def pixels(part: Mapping[str, Any], where: str) -> NDArray[np.uint8]:
    """Reads the image of a message's part.

    A link or a path is never opened: a chat is foreign data, and says nothing about what its reader may open.

    Args:
        part: The part. Its ``image``, ``image_url``, ``url`` or ``base64`` is a (height, width, 3) uint8 array, a
            Pillow image, a data URL, base64 data, or a mapping with the key ``url``.
        where: The place of the part, for errors.

    Returns:
        (height, width, 3) uint8.

    Raises:
        ConfigError: The image is missing, is a link, or can't be read.
    """
    from PIL import Image

    key = next((k for k in _KEYS if part.get(k) is not None), None)
    image: Any = None if key is None else part[key]
    if isinstance(image, Mapping):
        image = image.get("url")
    if image is None:
        raise ConfigError(f"{where} has an image part without an image; pass {{'type': 'image', 'image': …}}")
    if isinstance(image, str):
        image = _opened(_decoded(image, where, plain=key == "base64"), where)
    array = np.asarray(image.convert("RGB") if isinstance(image, Image.Image) else image)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise ConfigError(
            f"{where} has an image of shape {array.shape} and type {array.dtype}; pass (height, width, 3) uint8"
        )
    return array


def _decoded(text: str, where: str, *, plain: bool) -> bytes:
    """The bytes of a data URL, or of ``plain`` base64 data."""
    head, comma, data = text.partition(",")
    if text[:5].lower() != "data:":
        if not plain:
            raise ConfigError(
                f"{where} has the image {text[:60]!r}; links and paths are not opened: pass the image or a data URL"
            )
        head, comma, data = "data:;base64", ",", text
    if not comma:
        raise ConfigError(f"{where} has the data URL {text[:60]!r} without a comma before its data; correct it")
    if not head.lower().endswith(";base64"):
        return unquote_to_bytes(data)
    try:
        return base64.b64decode(unquote_to_bytes(data), validate=True)
    except (binascii.Error, ValueError):
        raise ConfigError(f"{where} has an image whose data {data[:40]!r} is no base64; encode it again") from None


def _opened(data: bytes, where: str) -> Any:
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(data)) as image:
            return ImageOps.exif_transpose(image).convert("RGB")  # upright, as transformers opens it
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).partition("\n")[0][:80]
        raise ConfigError(f"{where} has an image of {len(data)} bytes that can't be read ({reason})") from None
