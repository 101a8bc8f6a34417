"""DormantHeads: how many attention heads do nothing on this prompt, because they attend to the sink?

Guo et al. (arXiv 2410.13835, "Active-Dormant Attention Heads") find that a head is either *active* or *dormant*,
depending on the text: a dormant head puts nearly all of its attention on the attention sink, whose value vector is
small ("value-state drain"), so that it adds almost nothing to the residual stream. The same head is active on text that
it has something to do for. Per head, over the T tokens of an answer:

    sink mass = mean_t Σ_{k ∈ sinks} A_t[k],        dormant if sink mass ≥ ρ
    output    = mean_t ‖o_t‖ / (the same, averaged over the layer's heads),   o_t = Σ_k A_t[k] v_k

ρ = 0.9 is ours; the paper shows maps and names no threshold. The relative output norm is the score with which
Sandoval-Segura et al. (arXiv 2504.03889) compare heads of one layer. It is reported as a check: dormant heads must be
quiet. Sinks are the keys that the probe found as sinks.

:func:`value_drain` measures the value vectors themselves; ``benchmarks/dormant_heads.py`` uses it, and ablates the
heads.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["DormantHeads", "dormant", "relative_outputs", "value_drain"]

RHO = 0.9


class DormantHeads:
    """Measures the share of the probed heads that are dormant while the model answers.

    ``value`` lies in [0, 1]. The sensor alarms above the threshold: hardly any head reads the prompt.

    ``by_layer`` holds each layer's share. ``detail`` holds ``dormant`` (the number of dormant heads), ``sink`` (the
    mean sink mass over all heads) and ``output`` (the mean relative output norm of the dormant heads; 1 is the mean of
    their layers), if outputs were recorded and a head is dormant.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["above"] = "above"
    reads = Readout(statistics=frozenset({"outputs"}))

    def __init__(self, threshold: float = 1.0, *, mass: float = RHO, name: str = "dormant_heads") -> None:
        """Creates the sensor.

        Args:
            threshold: The share above which it alarms. The default 1 never alarms: **calibrate it**.
            mass: ρ, the sink mass from which on a head is dormant.
            name: The sensor's name.

        Raises:
            ConfigError: A setting is no share.
        """
        if not 0 <= threshold <= 1 or not 0 < mass <= 1:
            raise ConfigError(f"threshold={threshold!r}, mass={mass!r}: pass shares from 0 to 1")
        self.name = name
        self.threshold = threshold
        self.mass = mass

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged if sinks were not measured, or no token was generated."""
        spans = attempt.spans
        if spans is None or spans.sink is None:
            return not_judged(self.name, "attention sinks were not measured", threshold=self.threshold)
        if not len(spans.sink) or not spans.sink.shape[1]:
            return not_judged(self.name, "no token was generated", threshold=self.threshold)
        asleep = dormant(spans.sink, self.mass)
        value = float(asleep.mean())
        detail = {"dormant": float(asleep.sum()), "sink": float(spans.sink.mean(dtype=np.float64))}
        if spans.outputs is not None and asleep.any():
            detail["output"] = float(relative_outputs(spans.outputs)[asleep].mean())
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=f"{int(asleep.sum())} of {asleep.size} heads are dormant: {self.mass:.0%} or more on the sink",
            by_layer={layer: float(row.mean()) for layer, row in zip(spans.layers, asleep, strict=True)},
            detail=detail,
        )


def dormant(sink: NDArray[np.floating], mass: float = RHO) -> NDArray[np.bool_]:
    """Finds the dormant heads.

    Args:
        sink: (T, L, H) mass on the sinks.
        mass: ρ.

    Returns:
        (L, H): True for dormant heads.
    """
    asleep: NDArray[np.bool_] = sink.mean(0, dtype=np.float64) >= mass
    return asleep


def relative_outputs(outputs: NDArray[np.floating]) -> NDArray[np.float64]:
    """Computes how large the heads' outputs are, compared with the heads of their layer.

    Args:
        outputs: (T, L, H, D) outputs.

    Returns:
        (L, H) norms, averaged over the tokens and divided by the layer's mean; 1 in a layer without any output.
    """
    norms = np.linalg.norm(outputs.astype(np.float64), axis=-1).mean(0)
    layer = norms.mean(-1, keepdims=True)
    relative: NDArray[np.float64] = np.where(layer > 0, norms / np.where(layer > 0, layer, 1), 1.0)
    return relative


def value_drain(values: NDArray[np.floating], slots: NDArray[np.integer]) -> NDArray[np.float64]:
    """Compares the value vectors of the sinks with those of all other tokens.

    Args:
        values: (L, G, P, D) value vectors of a prompt's P tokens, for G key-value heads.
        slots: The sinks' slots; at least one, and not all.

    Returns:
        (L, G): the mean norm at the sinks, divided by the mean norm elsewhere. Below 1 the values of the sinks are
        drained.

    Raises:
        ConfigError: No slot is a sink, or all are.
    """
    norms = np.linalg.norm(values.astype(np.float64), axis=-1)  # (L, G, P)
    inside = np.zeros(norms.shape[-1], bool)
    inside[slots] = True
    if inside.all() or not inside.any():
        raise ConfigError(f"{int(inside.sum())} of {len(inside)} tokens are sinks; pass some, and not all")
    ratio: NDArray[np.float64] = norms[..., inside].mean(-1) / norms[..., ~inside].mean(-1)
    return ratio
