"""Puts rendered prompts into one batch: padded on the left, so that all prompts end in the same slot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from homeostat.errors import ModelError
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.spans import Spans

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["RenderedBatch", "batch"]


@dataclass(frozen=True)
class RenderedBatch:
    """Prompts, rendered for one model, in one batch of B rows.

    Attributes:
        rows: Each prompt by itself.
        inputs: The model's inputs: ``input_ids`` of shape (B, P), ``attention_mask``, ``pixel_values``, ….
    """

    rows: tuple[Rendered, ...]
    inputs: Mapping[str, Any] = field(repr=False)

    def as_spans(self) -> tuple[Spans, ...]:
        """Returns the spans of every row, as the probe takes them.

        Returns:
            The ranges of every label, moved by the row's padding, and the padded length.
        """
        longest = max(len(row.ids) for row in self.rows)
        return tuple(row.as_spans().shift(longest - len(row.ids)) for row in self.rows)


def batch(rows: Sequence[Rendered], pad: int) -> RenderedBatch:
    """Puts rendered prompts into one batch.

    Inputs with one value for each token are padded on the left. All others, such as pixels, are stacked; where images
    have different numbers of tiles, zeros are added at the end, as processors do.

    Args:
        rows: The prompts.
        pad: The token that pads.

    Returns:
        The batch.

    Raises:
        ModelError: An input can't be stacked.
    """
    longest = max(len(row.ids) for row in rows)
    inputs = {}
    for name in dict.fromkeys(name for row in rows for name in row.inputs):
        parts = []
        for row in rows:
            value = row.inputs.get(name)
            if value is None:  # a row without images
                continue
            if tuple(value.shape) == tuple(row.inputs["input_ids"].shape):
                value = _padded(value, (longest - value.shape[1], 0), pad if name == "input_ids" else 0)
            parts.append(value)
        inputs[name] = _stacked(name, parts)
    return RenderedBatch(tuple(rows), inputs)


def _stacked(name: str, parts: Sequence[Tensor]) -> Tensor:
    import torch

    if len({part.ndim for part in parts}) > 1:
        raise ModelError(
            f"the processor's {name} has a different number of dimensions for each prompt; render them alone"
        )
    sizes = [max(part.shape[d] for part in parts) for d in range(parts[0].ndim)]
    more = [[(0, sizes[d] - part.shape[d]) for d in range(part.ndim - 1, 0, -1)] for part in parts]
    filled = [
        _padded(part, tuple(k for pair in wanted for k in pair), 0) for part, wanted in zip(parts, more, strict=True)
    ]
    return torch.cat(filled)


def _padded(value: Tensor, widths: tuple[int, ...], fill: int) -> Tensor:
    import torch

    return torch.nn.functional.pad(value, widths, value=fill) if any(widths) else value
