"""The size of the picture that a model's processor makes of a screenshot."""

from __future__ import annotations

import math

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["SmartResize"]


class SmartResize(BaseModel):
    """The resizing of Qwen2-VL, Qwen2.5-VL and Qwen3-VL, which keeps the aspect ratio as closely as it can.

    Both sides become multiples of ``factor``, rounded to the nearest. If the picture then has more than
    ``max_pixels``, both sides are divided by ``β = √(h·w / max_pixels)`` and rounded down; if it has fewer than
    ``min_pixels``, they are multiplied by ``β = √(min_pixels / (h·w))`` and rounded up.

    Source: Qwen2-VL (arXiv 2409.12191), section 2.1; ``smart_resize`` in the image processor of transformers.

    Attributes:
        factor: The side of a token's square in pixels: the patch's side times the number of patches that are merged.
        min_pixels: The fewest pixels of a picture.
        max_pixels: The most pixels of a picture.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    factor: int = Field(default=28, ge=1)
    min_pixels: int = Field(default=56 * 56, ge=1)
    max_pixels: int = Field(default=28 * 28 * 1280, ge=1)

    @model_validator(mode="after")
    def _check_order(self) -> SmartResize:
        if self.min_pixels > self.max_pixels:
            raise ValueError(f"min_pixels {self.min_pixels} is above max_pixels {self.max_pixels}; exchange them")
        return self

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Computes the size of the picture that the model sees.

        Args:
            height: The screenshot's height in pixels, at least 1.
            width: The screenshot's width in pixels, at least 1.

        Returns:
            The picture's height and width.
        """
        f = self.factor
        high, wide = round(height / f) * f, round(width / f) * f
        if high * wide > self.max_pixels:
            beta = math.sqrt(height * width / self.max_pixels)
            return max(f, math.floor(height / beta / f) * f), max(f, math.floor(width / beta / f) * f)
        if high * wide < self.min_pixels:
            beta = math.sqrt(self.min_pixels / (height * width))
            return math.ceil(height * beta / f) * f, math.ceil(width * beta / f) * f
        return high, wide
