"""Rhythm: when does the model look back to plan, and which of its tokens do later ones lean on?

Li et al. (arXiv 2510.13554), over the layers of the model's middle third. A head's *span* is its mean
distance d = mean_t Σ_s A[t, s] (t − s); the 30 % of heads with the shortest are local, the 30 % with the longest
global. With A_loc and A_glob their means,

    WAAD_t = Σ_s A_loc[t, s] · min(t − s, W),   W = 10        windowed average attention distance
    FAI_s  = mean of A_glob[t, s] over t in s + 10 .. s + 50   future attention influence

Tokens where |WAAD_t − WAAD_{t+1}| is among the top 40 % are *preplan* tokens (a new chunk begins), those with FAI among
the top 40 % *anchors*. WAAD streams; FAI is final 50 tokens later, so an agent's short action has none.

Row t of a :class:`~homeostat.sensors.attempts.SpanMass` is the query that produced token t; it stands in the slot of token
t − 1. Here WAAD_t is that row's, and FAI_s that of the key of token s.
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
    """How far the local heads reach back, against earlier in the episode: ``value`` = log(mean WAAD / baseline).

    The number for a controller is ours, the paper weighs tokens in training with WAAD and FAI. Baseline: the mean of
    the earlier readings' mean WAAD; not judged without. Alarm above ``threshold`` (log 2: twice as far back; **not
    calibrated**): the model looks back more than it did, as where it plans anew or has lost its thread.

    ``layers``: those to use, None for the middle third of those that were probed. ``detail``: ``waad`` (slots, 0 to
    10), ``preplan`` the largest jump between two tokens, ``head_span.local`` and ``head_span.global`` (slots), and
    ``anchored``, the highest FAI, where 50 later tokens are there.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["above"] = "above"
    reads = Readout(window=FAR + 1, statistics=frozenset({"distance"}))

    def __init__(
        self, threshold: float = math.log(2), *, layers: tuple[int, ...] | None = None, name: str = "rhythm"
    ) -> None:
        """Raises :class:`ConfigError` for a threshold that is not above 0."""
        if not threshold > 0:
            raise ConfigError(f"threshold={threshold!r} is not above 0; the alarm is for a reach that grows")
        self.name = name
        self.threshold = threshold
        self.layers = layers

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """The reading of this attempt; not judged where near keys were not read, or not of every token."""
        spans = attempt.spans
        if spans is None or spans.recent is None or spans.distance is None:
            return self._nothing("near keys were not read: Readout(window=51, statistics={'distance'})")
        if spans.index is not None:
            return self._nothing("only some tokens were read: a rhythm needs every one")
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
            return self._nothing(f"local heads reach {now:.2f} slots back, the first reading", detail)
        baseline = sum(before) / len(before)
        value = math.log(max(now, 1e-6) / max(baseline, 1e-6))
        return Reading(
            sensor=self.name,
            value=value,
            baseline=baseline,
            threshold=self.threshold,
            alarm=value > self.threshold,
            reason=f"local heads reach {now:.2f} slots back, {baseline:.2f} before",
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
    """(L, H) mean distance in slots, of (T, L, H)."""
    reach: NDArray[np.float64] = distance.mean(0, dtype=np.float64)
    return reach


def local_and_global(reach: NDArray[np.float64], share: float = SHARE) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """(L, H) each: the ``share`` of heads with the shortest spans and that with the longest; one head at least."""
    count = max(1, round(share * reach.size))
    order = np.argsort(reach, axis=None, kind="stable")
    local, far = np.zeros(reach.size, bool), np.zeros(reach.size, bool)
    local[order[:count]] = True
    far[order[-count:]] = True
    return local.reshape(reach.shape), far.reshape(reach.shape)


def waad(recent: NDArray[np.float32], heads: NDArray[np.bool_], window: int = WINDOW) -> NDArray[np.float64]:
    """(T,) WAAD of every row, exact: what lies beyond the window counts W, and a row's weights sum to 1.

    ``recent`` (T, L, H, w), w ≥ ``window``. Raises :class:`ConfigError` where fewer keys were read.
    """
    if recent.shape[-1] < window:
        raise ConfigError(f"only {recent.shape[-1]} near keys were read; read window={window} or more")
    near = recent[:, heads, :window].mean(1, dtype=np.float64)
    steps: NDArray[np.float64] = window * (1 - near.sum(-1)) + near @ np.arange(window)
    return steps


def fai(recent: NDArray[np.float32], heads: NDArray[np.bool_], near: int = NEAR, far: int = FAR) -> NDArray[np.float64]:
    """(T,) FAI of every token's key; NaN where not all of the rows that it takes are there yet.

    ``recent`` (T, L, H, w), w > ``far``. Raises :class:`ConfigError` where fewer keys were read.
    """
    if recent.shape[-1] <= far:
        raise ConfigError(f"only {recent.shape[-1]} near keys were read; read window={far + 1} or more")
    given = recent[:, heads].mean(1, dtype=np.float64)  # (T, w)
    tokens = len(given)
    out = np.full(tokens, np.nan)
    distances = np.arange(near, far + 1)
    for s in range(tokens - far - 1):  # the row d slots behind token s is the one that produced token s + d + 1
        out[s] = given[s + distances + 1, distances].mean()
    return out


def preplan(steps: NDArray[np.float64], top: float = TOP) -> NDArray[np.bool_]:
    """(T,) True for the ``top`` share of |WAAD_t − WAAD_{t+1}|; the last token never."""
    jumps = np.abs(np.diff(steps))
    return np.append(_highest(jumps, top), False)


def anchors(influence: NDArray[np.float64], top: float = TOP) -> NDArray[np.bool_]:
    """(T,) True for the ``top`` share of FAI among the tokens that have one."""
    known = np.isfinite(influence)
    out = np.zeros(len(influence), bool)
    out[known] = _highest(influence[known], top)
    return out


def _highest(values: NDArray[np.float64], top: float) -> NDArray[np.bool_]:
    out = np.zeros(len(values), bool)
    out[np.argsort(-values, kind="stable")[: round(top * len(values))]] = True
    return out
