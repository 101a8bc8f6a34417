"""A prompt as one model takes it: its inputs, and the token ranges of every label."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from homeostat.sensors.chat.token_ranges import Ranges
from homeostat.sensors.spans import Spans

__all__ = ["ImageRun", "Rendered"]


@dataclass(frozen=True)
class ImageRun:
    """The tokens that one image's placeholder became.

    Attributes:
        start: The first token.
        stop: The token after the last.
        digest: The sha256 of the image's shape and pixels.
    """

    start: int
    stop: int
    digest: str


@dataclass(frozen=True)
class Rendered:
    """A prompt, rendered for one model.

    Attributes:
        text: The rendered text.
        inputs: What the processor returns: ``input_ids`` of shape (1, P), ``attention_mask``, ``pixel_values``, ….
        spans: For each label, its sorted token ranges [start, stop).
        images: The image runs, in order.
    """

    text: str
    inputs: Mapping[str, Any] = field(repr=False)
    spans: dict[str, Ranges]
    images: tuple[ImageRun, ...] = ()

    @property
    def ids(self) -> list[int]:
        """The P prompt tokens."""
        ids: list[int] = self.inputs["input_ids"][0].tolist()
        return ids

    def as_spans(self) -> Spans:
        """Returns the spans as the probe takes them.

        Returns:
            The ranges of every label, and the prompt's length.
        """
        return Spans(self.spans, length=len(self.ids))
