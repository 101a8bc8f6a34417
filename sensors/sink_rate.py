"""SinkRate: in how many heads does one key draw most of the attention?

Gu et al. (arXiv 2410.10781): α_k is the mean attention that key k receives from the rows that can see it,

    Sink_k = share of all (layer, head) pairs with α_k > ε,   ε = 0.3, over the first 64 tokens

A trained model has a sink (mostly its first token), and the rate is a fingerprint of the model rather than of the
prompt: a change tells of a template without its first token, a cache that lost it, or padding that took its place. The
paper takes all rows; an agent's probe reads the prompt's last ones (``watch(rows="all")`` for the paper's number).
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

__all__ = ["SinkRate", "sink_rate"]


class SinkRate:
    """``value`` in [0, 1]: the largest Sink_k. Alarm on ``side`` of ``threshold``.

    ``epsilon``: the paper's 0.3. ``side="below"`` (default) asks whether the model's sink is still there, and the
    default threshold 0 never alarms: **calibrate it**. ``detail``: ``slot`` of the largest, ``mean`` over slots.
    ``sinks`` holds every slot that receives more than ``listed`` over all heads (α of arXiv 2406.15765: 0.1).
    """

    needs: frozenset[Need] = frozenset({"attention"})
    reads = Readout(statistics=frozenset({"received"}))

    def __init__(
        self,
        threshold: float = 0.0,
        *,
        side: Literal["below", "above"] = "below",
        epsilon: float = 0.3,
        listed: float = 0.1,
        name: str = "sink_rate",
    ) -> None:
        """Raises :class:`ConfigError` for settings that are no shares."""
        if not 0 <= threshold <= 1 or not 0 < epsilon < 1:
            raise ConfigError(f"threshold={threshold!r}, epsilon={epsilon!r}: give shares between 0 and 1")
        if side not in ("below", "above"):
            raise ConfigError(f"side={side!r} is unknown; use 'below' or 'above'")
        self.name = name
        self.threshold = threshold
        self.side: Literal["below", "above"] = side
        self.epsilon = epsilon
        self.listed = listed

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt's prompt; not judged where ``received`` was not read."""
        received = None if attempt.spans is None else attempt.spans.received
        if received is None or not received.size:
            return not_judged(
                self.name,
                "it was not read what keys receive: Readout(statistics={'received'})",
                threshold=self.threshold,
            )
        rates = sink_rate(received, self.epsilon)
        slot = int(rates.argmax())
        value = float(rates[slot])
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold if self.side == "below" else value > self.threshold,
            reason=f"slot {slot} is a sink in {value:.0%} of the heads",
            sinks=self._sinks(received),
            detail={"slot": float(slot), "mean": float(rates.mean())},
        )

    def _sinks(self, received: NDArray[np.float32]) -> dict[int, float]:
        mean = np.nan_to_num(received, nan=0.0).mean((0, 1), dtype=np.float64)
        return {int(slot): float(mean[slot]) for slot in np.flatnonzero(mean > self.listed)}


def sink_rate(received: NDArray[np.float32], epsilon: float = 0.3) -> NDArray[np.float64]:
    """(n,) Sink_k of (L, H, n) mean weights; a NaN (no row could see the key) is no sink."""
    rates: NDArray[np.float64] = (np.nan_to_num(received, nan=0.0) > epsilon).mean((0, 1), dtype=np.float64)
    return rates
