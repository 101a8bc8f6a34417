"""Which of the probed heads a sensor looks at, and what it says where it can't judge."""

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
    """(L, H): which of the probed heads are among ``heads``, or in ``layers``; all where neither is given.

    Raises :class:`ConfigError` where both are.
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
