"""SinkRate: in how many heads does a single key draw much of the attention?

Gu et al. (arXiv 2410.10781): α_k is the mean attention that key k receives from the rows that can see it,

    Sink_k = share of all (layer, head) pairs with α_k > ε,   ε = 0.3, for the first 64 tokens

A trained model has a sink, mostly its first token. The rate characterises the model rather than the prompt. A change
indicates a template without its first token, a cache that lost it, or padding in its place. The paper uses all rows;
the probe of an agent reads only the prompt's last rows (use ``watch(rows="all")`` for the paper's number).
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
    """Measures the largest Sink_k of the prompt's first slots.

    ``value`` lies in [0, 1]. ``sinks`` holds every slot whose mean received weight over all heads exceeds ``listed``.
    ``detail`` holds the ``slot`` of the largest rate, and the ``mean`` rate over slots.
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
        """Creates the sensor.

        Args:
            threshold: The rate beyond which it alarms. The default 0 never alarms: **calibrate it**.
            side: The side of the threshold on which it alarms. ``"below"`` tests whether the model's sink still exists.
            epsilon: ε, the mean weight above which a key is a sink of a head; the default is the paper's.
            listed: The mean weight over all heads above which a slot is listed in ``sinks`` (α in arXiv 2406.15765:
                0.1).
            name: The sensor's name.

        Raises:
            ConfigError: A share is out of range, or the side is unknown.
        """
        if not 0 <= threshold <= 1 or not 0 < epsilon < 1:
            raise ConfigError(f"threshold={threshold!r}, epsilon={epsilon!r}: pass shares between 0 and 1")
        if side not in ("below", "above"):
            raise ConfigError(f"side={side!r} is unknown; use 'below' or 'above'")
        self.name = name
        self.threshold = threshold
        self.side: Literal["below", "above"] = side
        self.epsilon = epsilon
        self.listed = listed

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads the attempt's prompt; it is not judged if ``received`` was not recorded."""
        received = None if attempt.spans is None else attempt.spans.received
        if received is None or not received.size:
            return not_judged(
                self.name,
                "what keys receive was not recorded: Readout(statistics={'received'})",
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
    """Computes Sink_k.

    Args:
        received: (L, H, n) mean received weights α. A key with NaN, which no row could see, is not a sink.
        epsilon: ε.

    Returns:
        (n,) rates in [0, 1].
    """
    rates: NDArray[np.float64] = (np.nan_to_num(received, nan=0.0) > epsilon).mean((0, 1), dtype=np.float64)
    return rates
