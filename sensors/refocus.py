"""Refocus: does the model turn away, while it answers, from the token that it attended to most?

Elastic-Cache (Nguyen-Tri et al., arXiv 2510.14973) decodes with a diffusion model and asks at every step, in every
layer, whether cached keys and values are still valid. Let S^t[q, k] be the weights of the window's queries q on the
keys k at step t, summed over heads, and k* = argmax_k Σ_q S^{t−1}[q, k] the most-attended token of the step before. The
test is

    σ_t = cos(S^{t−1}[·, k*], S^t[·, k*]),   refocus if σ_t < γ,   γ = 0.9

where the vectors run over the window's queries. The most-attended token changes least, so its drift is a cautious sign.

Adapted to autoregressive decoding, where a step has one query, and cached keys never become stale:

- The vectors run over the *heads* of a layer instead of over queries: σ_{t,l} = cos(A_{t−1}[l, ·, k*], A_t[l, ·, k*]),
  with k* the key that row t − 1 attends to most in layer l, on average over its heads. A change of all heads by one
  factor is no drift, as in the paper.
- Keys are those of labelled spans. The most-attended token of a whole prompt is nearly always the attention sink, which
  never changes, and the sink of a chat template carries no label.
- A refocus event refreshes no cache. It is a reading: the answer turned to something else.

In a layer with a sliding window, a key that leaves the window counts as drift.

Cost: the probe records one weight for every key of the spans, T·L·H·n numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.context import SensorContext
from homeostat.sensors.contracts import Need
from homeostat.sensors.heads import Heads, chosen_heads
from homeostat.sensors.readings import Reading, not_judged

__all__ = ["Refocus", "similarities"]

GAMMA = 0.9
SPANS = ("system", "rules", "goal", "history", "screen")


class Refocus:
    """Measures the smallest similarity between two successive tokens' attention, and alarms below γ.

    ``value`` = min over t of the mean of σ_{t,l} over the layers, in [0, 1]. An attempt of one token is not judged.

    ``by_layer`` holds the mean of σ over the tokens. ``detail`` holds ``token`` (the token at which the smallest
    similarity occurs, from 0), ``rate`` (the share of (token, layer) pairs with σ < γ), ``mean`` (the mean σ), and
    ``from_layer`` (the first layer with σ < γ at that token; the paper refreshes the layers behind it), if there is
    one.
    """

    needs: frozenset[Need] = frozenset({"attention"})
    side: Literal["below"] = "below"

    def __init__(
        self,
        threshold: float = GAMMA,
        *,
        spans: Sequence[str] = SPANS,
        heads: Heads | None = None,
        name: str = "refocus",
    ) -> None:
        """Creates the sensor.

        Args:
            threshold: γ, the similarity below which it alarms. The default is the paper's, for another kind of model:
                **calibrate it**.
            spans: Labels of the spans whose keys are considered. Labels that a prompt lacks are skipped.
            heads: (layer, head) pairs; None means all probed heads. A layer with fewer than two of them is left out.
            name: The sensor's name.

        Raises:
            ConfigError: The threshold is no cosine of positive vectors, or there is no span.
        """
        if not 0 <= threshold <= 1:
            raise ConfigError(f"threshold={threshold!r} is not a similarity; pass a number from 0 to 1")
        if isinstance(spans, str) or not spans:
            raise ConfigError(f"spans={spans!r} names no keys; pass a list of labels")
        self.name = name
        self.threshold = threshold
        self.spans = tuple(spans)
        self.heads = None if heads is None else frozenset(heads)
        self.reads = Readout(keys=frozenset(self.spans))

    def read(self, attempt: Attempt, context: SensorContext) -> Reading:
        """Reads an attempt; it is not judged without the spans' keys, or with fewer than two tokens."""
        spans = attempt.spans
        found = [] if spans is None else [spans.keys[s] for s in self.spans if s in spans.keys]
        if spans is None or not found:
            return self._nothing(f"no keys were recorded: Readout(keys={{{', '.join(map(repr, self.spans))}}})")
        if spans.index is not None:
            return self._nothing("only some tokens were recorded; successive ones are needed")
        chosen = chosen_heads(spans, self.heads)
        rows = [row for row in range(len(chosen)) if chosen[row].sum() > 1]
        if not rows:
            return self._nothing("no layer has two chosen heads")
        weights = np.concatenate(found, -1)  # (T, L, H, n)
        if len(weights) < 2 or not weights.shape[-1]:
            return self._nothing(f"{len(weights)} tokens have no successive pair; two are needed")
        values = np.stack([similarities(weights[:, row, chosen[row]]) for row in rows], 1)  # (T - 1, layers)
        by_token = values.mean(1)
        at = int(by_token.argmin())
        value = float(by_token[at])
        detail = {
            "token": float(at + 1),
            "rate": float((values < self.threshold).mean()),
            "mean": float(values.mean()),
        }
        below = np.flatnonzero(values[at] < self.threshold)
        if len(below):
            detail["from_layer"] = float(spans.layers[rows[below[0]]])
        return Reading(
            sensor=self.name,
            value=value,
            threshold=self.threshold,
            alarm=value < self.threshold,
            reason=f"attention on the most-attended key changes most at token {at + 1}: cosine {value:.2f}",
            by_layer={spans.layers[row]: float(values[:, i].mean()) for i, row in enumerate(rows)},
            detail=detail,
        )

    def _nothing(self, reason: str) -> Reading:
        return not_judged(self.name, reason, threshold=self.threshold)


def similarities(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Computes σ of one layer, for every token but the first.

    Args:
        weights: (T, H, n) weights of T ≥ 2 successive rows on n keys.

    Returns:
        (T − 1,) cosines in [0, 1]. Where one of the two vectors is zero, the cosine counts as 0, and as 1 where both
        are.
    """
    rows = weights.astype(np.float64)
    most = rows[:-1].mean(1).argmax(-1)  # (T - 1,) the most-attended key of each row but the last
    tokens = np.arange(len(most))
    before, after = rows[tokens, :, most], rows[tokens + 1, :, most]  # (T - 1, H)
    length = np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)
    both_zero = ~(before.any(-1) | after.any(-1))
    cosine = (before * after).sum(-1) / np.where(length > 0, length, 1)
    values: NDArray[np.float64] = np.where(both_zero, 1.0, np.clip(cosine, 0, 1))
    return values
