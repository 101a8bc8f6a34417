"""Selects the attention heads that a sensor averages over."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import SpanMass

__all__ = ["Heads", "chosen_heads"]

Heads = Collection[tuple[int, int]]
"""(layer, head) pairs."""


def chosen_heads(
    spans: SpanMass, heads: Heads | None = None, layers: Collection[int] | Literal["last"] | None = None
) -> NDArray[np.bool_]:
    """Selects probed heads.

    Args:
        spans: The span masses, which tell the probed layers.
        heads: (layer, head) pairs; those that were not probed are ignored.
        layers: Layer indices, or ``"last"`` for the last probed layer.

    Returns:
        (L, H): True for the selected heads; all, if neither ``heads`` nor ``layers`` is given.

    Raises:
        ConfigError: Both ``heads`` and ``layers`` are given.
    """
    if heads is not None and layers is not None:
        raise ConfigError(f"layers={layers!r} and heads={heads!r} contradict each other; give one")
    chosen = np.zeros((len(spans.layers), spans.mass.shape[2]), bool)
    if heads is not None:
        for layer, head in heads:
            if layer in spans.layers and 0 <= head < chosen.shape[1]:
                chosen[spans.layers.index(layer), head] = True
        return chosen
    for row, layer in enumerate(spans.layers):
        chosen[row] = layers is None or (layer == spans.layers[-1] if isinstance(layers, str) else layer in layers)
    return chosen
