"""Rhythm: when does the model look back to plan, and which of its tokens do later tokens depend on?

Li et al. (arXiv 2510.13554) study the heads of the model's middle third of layers. A head's *span* is its mean distance
d = mean_t Σ_s A[t, s] (t − s). The 30 % of heads with the shortest spans are local, the 30 % with the longest are
global. With A_loc and A_glob their means,

    WAAD_t = Σ_s A_loc[t, s] · min(t − s, W),   W = 10        windowed average attention distance
    FAI_s  = mean of A_glob[t, s] over t in s + 10 .. s + 50   future attention influence

Tokens whose |WAAD_t − WAAD_{t+1}| is among the top 40 % are *preplan* tokens (a new chunk begins); those whose FAI is
among the top 40 % are *anchors*. WAAD is known at once. FAI is final only 50 tokens later, so the short action of an
agent has none.

Row t of a :class:`~homeostat.sensors.attempts.SpanMass` is the query that produced token t; it is in the slot of token
t − 1. Here, WAAD_t is that of this row, and FAI_s is that of the key of token s.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["Rhythm", "anchors", "fai", "head_spans", "local_and_global", "preplan", "waad"]

WINDOW = 10
NEAR, FAR = 10, 50
SHARE = 0.3
TOP = 0.4


class Rhythm:
    """Measures how far the local heads look back, compared with earlier in the episode.

    ``value`` = log(mean WAAD / baseline). The baseline is the mean of the earlier readings' mean WAAD; without one, an
    attempt is not judged. The sensor alarms above the threshold: the model looks back further than before, as when it
    plans again or has lost the context. This use is ours; the paper uses WAAD and FAI to weight tokens in training.

    ``detail`` holds ``waad`` (in slots, 0 to 10), ``preplan`` (the largest jump between two tokens),
    ``head_span.local`` and ``head_span.global`` (in slots), and ``anchored`` (the highest FAI), if there are more than
    50 tokens.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["above"] = "above"
    reads = Readout(window=FAR + 1, statistics=frozenset({"distance"}))

    def __init__(
        self, threshold: float = math.log(2), *, layers: tuple[int, ...] | None = None, name: str = "rhythm"
    ) -> None:
        """Creates the sensor.

        Args:
            threshold: The value above which it alarms. The default, log 2, means "twice as far back" and is **not
                calibrated**.
            layers: The layers to use; None means the middle third of the probed layers.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is not above 0.
        """
        if not threshold > 0:
            raise ConfigError(f"threshold={threshold!r} is not above 0; the sensor alarms when the distance grows")
        self.name = name
        self.threshold = threshold
        self.layers = layers

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without a baseline, or unless near keys of every token were recorded."""
        spans = attempt.spans
        if spans is None or spans.recent is None or spans.distance is None:
            return self._nothing("near keys were not recorded: Readout(window=51, statistics={'distance'})")
        if spans.index is not None:
            return self._nothing("only some tokens were recorded; all are needed")
        if not len(spans.mass):
            return self._nothing("no token was generated")
        rows = self._rows(spans)
        if not rows:
            return self._nothing(f"none of the layers {self.layers} was probed; probed layers: {list(spans.layers)}")
        distance, recent = spans.distance[:, rows], spans.recent[:, rows]
        reach = head_spans(distance)
        local, far = local_and_global(reach)
        steps = waad(recent, local)
        influence = fai(recent, far)
        now = float(steps.mean())
        detail = {
            "waad": now,
            "preplan": float(np.abs(np.diff(steps)).max()) if len(steps) > 1 else 0.0,
            "head_span.local": float(reach[local].mean()),
            "head_span.global": float(reach[far].mean()),
        }
        if np.isfinite(influence).any():
            detail["anchored"] = float(np.nanmax(influence))
        before = [r.detail["waad"] for r in context.history if "waad" in r.detail]
        if not before:
            return self._nothing(f"local heads look {now:.2f} slots back, the first reading", detail)
        baseline = sum(before) / len(before)
        value = math.log(max(now, 1e-6) / max(baseline, 1e-6))
        return Reading(
            sensor=self.name,
            value=value,
            baseline=baseline,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=f"local heads look {now:.2f} slots back, {baseline:.2f} before",
            detail=detail,
        )

    def _rows(self, spans: SpanMass) -> list[int]:
        if self.layers is not None:
            return [spans.layers.index(n) for n in self.layers if n in spans.layers]
        third = len(spans.layers) / 3
        return list(range(math.floor(third), max(math.ceil(2 * third), math.floor(third) + 1)))

    def _nothing(self, reason: str, detail: dict[str, float] | None = None) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold, detail=detail or {})


def head_spans(distance: NDArray[np.float32]) -> NDArray[np.float64]:
    """Computes the heads' spans.

    Args:
        distance: (T, L, H) mean distances of the rows.

    Returns:
        (L, H) mean distances over the tokens, in slots.
    """
    reach: NDArray[np.float64] = distance.mean(0, dtype=np.float64)
    return reach


def local_and_global(reach: NDArray[np.float64], share: float = SHARE) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Selects local and global heads.

    Args:
        reach: (L, H) spans of the heads.
        share: The share of heads in each group.

    Returns:
        Two (L, H) arrays, True for the heads with the shortest and for those with the longest spans. Each group has at
        least one head.
    """
    count = max(1, round(share * reach.size))
    order = np.argsort(reach, axis=None, kind="stable")
    local, far = np.zeros(reach.size, bool), np.zeros(reach.size, bool)
    local[order[:count]] = True
    far[order[-count:]] = True
    return local.reshape(reach.shape), far.reshape(reach.shape)


def waad(recent: NDArray[np.float32], heads: NDArray[np.bool_], window: int = WINDOW) -> NDArray[np.float64]:
    """Computes the WAAD of every row.

    It is exact: a row's weights sum to 1, so the weight beyond the window is known, and its distance counts as W.

    Args:
        recent: (T, L, H, w) weights on the nearest keys, w ≥ ``window``.
        heads: (L, H): the local heads.
        window: W, in slots.

    Returns:
        (T,) distances in slots.

    Raises:
        ConfigError: Too few keys were recorded.
    """
    if recent.shape[-1] < window:
        raise ConfigError(f"only {recent.shape[-1]} near keys were recorded; record window={window} or more")
    near = recent[:, heads, :window].mean(1, dtype=np.float64)
    steps: NDArray[np.float64] = window * (1 - near.sum(-1)) + near @ np.arange(window)
    return steps


def fai(
    recent: NDArray[np.float32],
    heads: NDArray[np.bool_],
    near: int = NEAR,
    far: int = FAR,
    *,
    complete: bool = True,
) -> NDArray[np.float64]:
    """Computes the FAI of every token's key.

    Args:
        recent: (T, L, H, w) weights on the nearest keys, w > ``far``.
        heads: (L, H): the global heads.
        near: The smallest distance of the rows that count, in slots.
        far: The largest distance.
        complete: Whether a token's value needs all rows that count. False averages over those that exist, which suits
            an answer that has ended.

    Returns:
        (T,) values; NaN for a token whose rows do not exist.

    Raises:
        ConfigError: Too few keys were recorded.
    """
    if recent.shape[-1] <= far:
        raise ConfigError(f"only {recent.shape[-1]} near keys were recorded; record window={far + 1} or more")
    given = recent[:, heads].mean(1, dtype=np.float64)  # (T, w)
    tokens = len(given)
    out = np.full(tokens, np.nan)
    for s in range(tokens - 1 - (far if complete else near)):
        distances = np.arange(near, min(far, tokens - 2 - s) + 1)
        # The row d slots behind token s is the one that produced token s + d + 1.
        out[s] = given[s + distances + 1, distances].mean()
    return out


def preplan(steps: NDArray[np.float64], top: float = TOP) -> NDArray[np.bool_]:
    """Selects preplan tokens.

    Args:
        steps: (T,) WAAD.
        top: The share of tokens to select.

    Returns:
        (T,): True for the largest |WAAD_t − WAAD_{t+1}|; False for the last token.
    """
    jumps = np.abs(np.diff(steps))
    return np.append(_highest(jumps, top), False)


def anchors(influence: NDArray[np.float64], top: float = TOP) -> NDArray[np.bool_]:
    """Selects anchor tokens.

    Args:
        influence: (T,) FAI, NaN if unknown.
        top: The share of the tokens with a known FAI to select.

    Returns:
        (T,): True for the largest FAI.
    """
    known = np.isfinite(influence)
    out = np.zeros(len(influence), bool)
    out[known] = _highest(influence[known], top)
    return out


def _highest(values: NDArray[np.float64], top: float) -> NDArray[np.bool_]:
    out = np.zeros(len(values), bool)
    out[np.argsort(-values, kind="stable")[: round(top * len(values))]] = True
    return out
