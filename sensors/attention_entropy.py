"""AttentionEntropy: how widely is the model's attention distributed?

Zhai et al. (arXiv 2303.06296) monitor the mean entropy of attention rows, −Σ p log p, during training, where a collapse
(all weight on few keys) accompanies instability. Here every row's entropy is divided by log(visible keys): 1 is
uniform and 0 is a single key, whatever the prompt's length. A head that copies is *supposed* to have low entropy, so
compare a model with itself and not with another model. Cost: one pass over weights that the probe computes anyway.
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
    """Measures the mean normalised entropy over tokens and heads, and alarms below the threshold.

    ``value`` lies in [0, 1]. ``by_layer`` holds every layer's mean. ``detail`` holds ``lowest_head``, the smallest mean
    of any head over the tokens.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"
    reads = Readout(statistics=frozenset({"entropy"}))

    def __init__(self, threshold: float = 0.1, *, heads: Heads | None = None, name: str = "attention_entropy") -> None:
        """Creates the sensor.

        Args:
            threshold: The normalised entropy below which it alarms. The default is **not calibrated**.
            heads: (layer, head) pairs; None means all probed heads.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is outside [0, 1].
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a normalised entropy; pass a number from 0 to 1")
        self.name = name
        self.threshold = threshold
        self.heads = None if heads is None else frozenset(heads)

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged if the entropy was not recorded."""
        spans = attempt.spans
        level = None if spans is None else normalised_entropy(spans)
        if spans is None or level is None or not len(level):
            return not_judged(
                self.name, "no entropy was recorded: Readout(statistics={'entropy'})", threshold=self.threshold
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
            reason=f"normalised entropy {value:.2f} (1: even attention on all keys); lowest head {lowest:.2f}",
            by_layer=layers,
            detail={"lowest_head": lowest},
        )


def normalised_entropy(spans: SpanMass) -> NDArray[np.float64] | None:
    """Normalises the recorded entropy.

    Args:
        spans: The span masses.

    Returns:
        (T, L, H) values of −Σ p log p / log(visible), for the rows that see at least two keys; None if the entropy was
        not recorded.
    """
    if spans.entropy is None:
        return None
    some = spans.visible > 1
    even = np.log(spans.visible[some].astype(np.float64))[:, None, None]
    level: NDArray[np.float64] = np.clip(spans.entropy[some] / even, 0, 1)
    return level
