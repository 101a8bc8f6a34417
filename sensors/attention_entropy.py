"""AttentionEntropy: how spread out is the model's attention?

Zhai et al. (arXiv 2303.06296): the entropy of an attention row, −Σ p log p; they watch its mean over rows as
an alarm in training, where a collapse (all weight on few keys) goes with instability. Here every row is divided by
log(visible keys), so 1 is uniform and 0 is one key, whatever the prompt's length. A head that copies is *meant* to have
low entropy: compare a model with itself, not with another. Cost: one pass over weights that the probe holds anyway.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["AttentionEntropy", "normalised_entropy"]


class AttentionEntropy:
    """``value`` in [0, 1]: the mean normalised entropy over tokens and heads. Alarm below ``threshold``.

    The default threshold is **not calibrated**. ``heads``: (layer, head) pairs, None for all that were probed.
    ``by_layer`` holds every layer's mean, ``detail`` the ``lowest_head``, the least of any head (its mean over tokens).
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"
    reads = Readout(statistics=frozenset({"entropy"}))

    def __init__(self, threshold: float = 0.1, *, heads: Heads | None = None, name: str = "attention_entropy") -> None:
        """Raises :class:`ConfigError` for a threshold outside [0, 1]."""
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is no normalised entropy; give a number from 0 to 1")
        self.name = name
        self.threshold = threshold
        self.heads = None if heads is None else frozenset(heads)

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt; not judged where the entropy was not read."""
        spans = attempt.spans
        level = None if spans is None else normalised_entropy(spans)
        if spans is None or level is None or not len(level):
            return not_judged(
                self.name, "no entropy was read: Readout(statistics={'entropy'})", threshold=self.threshold
            )
        chosen = chosen_heads(spans, self.heads)
        if not chosen.any():
            return not_judged(self.name, "none of the chosen heads was probed", threshold=self.threshold)
        each = level.mean(0)  # (L, H)
        value = float(each[chosen].mean())
        layers = {n: float(each[k][chosen[k]].mean()) for k, n in enumerate(spans.layers) if chosen[k].any()}
        lowest = float(each[chosen].min())
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=f"attention is {value:.2f} spread out (1: over all keys alike), its narrowest head {lowest:.2f}",
            by_layer=layers,
            detail={"lowest_head": lowest},
        )


def normalised_entropy(spans: SpanMass) -> NDArray[np.float64] | None:
    """(T, L, H) −Σ p log p / log(visible), of the rows that see two keys or more; None where it was not read."""
    if spans.entropy is None:
        return None
    some = spans.visible > 1
    even = np.log(spans.visible[some].astype(np.float64))[:, None, None]
    level: NDArray[np.float64] = np.clip(spans.entropy[some] / even, 0, 1)
    return level
