"""What is measured of the spans of a prompt, how far the measures agree, and which heads agree with deletion.

``homeostat.sensors.faithfulness`` measures a :class:`SpanEvidence` for each span. The functions here compute ranks over
any number of them, so that the measures of a long run can be stored and joined.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError

__all__ = ["PAIRS", "Correlation", "SpanEvidence", "correlate", "head_trust", "trusted_heads"]

PAIRS = (
    ("mass", "saliency"),
    ("mass", "deletion"),
    ("mass", "change"),
    ("intensity", "saliency_per_token"),
    ("intensity", "deletion_per_token"),
    ("saliency", "deletion"),
)
"""The pairs of measures that are correlated: names of attributes of :class:`SpanEvidence`."""


@dataclass(frozen=True)
class SpanEvidence:
    """The measures of one span of one case; ``homeostat.sensors.faithfulness`` defines them.

    Attributes:
        case: The number of the case, from 0.
        label: The span's label.
        length: The span's number of tokens.
        mass: The attention mass.
        intensity: The attention intensity.
        saliency: Gradient times input, summed over the span's tokens.
        deletion: The mean KL divergence after hiding the span, in nats per token.
        drop: The drop in log p(y) after hiding the span, summed over the answer, in nats.
        heads: (L, H): the attention mass of each probed head, the mean over the answer's tokens; empty if it was not
            stored.
    """

    case: int
    label: str
    length: int
    mass: float
    intensity: float
    saliency: float
    deletion: float
    drop: float
    heads: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)), compare=False, repr=False)

    @property
    def saliency_per_token(self) -> float:
        """Saliency divided by the span's number of tokens."""
        return self.saliency / self.length

    @property
    def deletion_per_token(self) -> float:
        """Deletion divided by the span's number of tokens."""
        return self.deletion / self.length

    @property
    def change(self) -> float:
        """The size of the change of log p(y) after hiding the span, in nats: hiding may also make y more likely."""
        return abs(self.drop)


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ of two measures. Values are NaN if a measure never varies.

    Attributes:
        one: The first measure.
        other: The second measure.
        rho: ρ over all (prompt, span) pairs, with its 95 % interval: (value, low, high).
        within: The mean of the ρ within prompts, with its 95 % interval. Prompts of a single span have no part in it.
    """

    one: str
    other: str
    rho: tuple[float, float, float]
    within: tuple[float, float, float]


def correlate(
    evidence: Sequence[SpanEvidence],
    pairs: Sequence[tuple[str, str]] = PAIRS,
    *,
    resamples: int = 999,
    seed: int = 0,
) -> tuple[Correlation, ...]:
    """Correlates measures over spans, with bootstrap intervals over cases.

    Pass the evidence of one label to learn whether a span's measure in one prompt can be compared with that of the same
    span in another prompt.

    Args:
        evidence: The measures of the spans.
        pairs: Names of two attributes of :class:`SpanEvidence` for each correlation.
        resamples: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Returns:
        A correlation for each pair.

    Raises:
        ConfigError: There are fewer than two cases.
    """
    numbers = list(dict.fromkeys(e.case for e in evidence))
    if len(numbers) < 2:
        raise ConfigError(f"{len(numbers)} cases are too few for a correlation; pass the evidence of two or more")
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(numbers), len(numbers)) for _ in range(resamples)]
    by_case = [[e for e in evidence if e.case == number] for number in numbers]
    return tuple(_correlation(by_case, one, other, draws) for one, other in pairs)


def head_trust(evidence: Sequence[SpanEvidence]) -> NDArray[np.float64]:
    """Measures for each head how well its masses rank the spans of a prompt as deletion does.

    Args:
        evidence: The measures of the spans, with ``heads``.

    Returns:
        (L, H) Spearman's ρ between a head's masses and deletion within prompts, the mean over prompts. A prompt in
        which a head gives all spans the same mass counts as 0.

    Raises:
        ConfigError: No case has two spans or more, or the masses of the heads are missing.
    """
    from scipy.stats import rankdata

    by_case: dict[int, list[SpanEvidence]] = {}
    for one in evidence:
        by_case.setdefault(one.case, []).append(one)
    found = []
    for spans in by_case.values():
        effects = np.array([e.deletion for e in spans])
        if len(spans) < 2 or np.ptp(effects) == 0:
            continue
        masses = np.stack([e.heads.ravel() for e in spans])  # (spans, L·H)
        if not masses.size:
            raise ConfigError("the evidence lacks the masses of its heads; measure it with span_evidence")
        one, other = rankdata(masses, axis=0), rankdata(effects)[:, None]
        one, other = one - one.mean(0), other - other.mean(0)
        size = np.sqrt((one**2).sum(0) * (other**2).sum(0))
        found.append(np.divide((one * other).sum(0), size, out=np.zeros_like(size), where=size > 0))
    if not found:
        raise ConfigError("no case has two spans that deletion tells apart; label more parts of the prompts")
    trust: NDArray[np.float64] = np.mean(found, axis=0).reshape(evidence[0].heads.shape)
    return trust


def trusted_heads(trust: NDArray[np.float64], share: float) -> frozenset[tuple[int, int]]:
    """Selects the heads with the highest trust.

    Args:
        trust: (L, H) trust of each head.
        share: The share of heads to select, above 0 and at most 1.

    Returns:
        (row of L, head) pairs, one at least.

    Raises:
        ConfigError: The share is out of range.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share={share!r} selects no heads; pass a number above 0 and at most 1")
    count = max(1, round(share * trust.size))
    best = np.argsort(-trust, axis=None, kind="stable")[:count]
    return frozenset((int(layer), int(head)) for layer, head in zip(*np.unravel_index(best, trust.shape), strict=True))


def _correlation(
    by_case: Sequence[Sequence[SpanEvidence]], one: str, other: str, draws: Sequence[NDArray[np.int64]]
) -> Correlation:
    pairs = [np.array([(getattr(e, one), getattr(e, other)) for e in spans]) for spans in by_case]
    each = np.array([_spearman(rows) for rows in pairs])
    overall = [_spearman(np.concatenate([pairs[i] for i in at])) for at in draws]
    inside = [_mean(each[at]) for at in draws]
    whole = _spearman(np.concatenate(pairs))
    return Correlation(one, other, (whole, *_bounds(overall)), (_mean(each), *_bounds(inside)))


def _spearman(pairs: NDArray[np.float64]) -> float:
    from scipy.stats import rankdata

    if len(pairs) < 2 or np.ptp(pairs[:, 0]) == 0 or np.ptp(pairs[:, 1]) == 0:
        return float("nan")
    ranks = rankdata(pairs, axis=0)
    ranks -= ranks.mean(0)
    return float(ranks[:, 0] @ ranks[:, 1] / np.sqrt((ranks**2).sum(0).prod()))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    known = np.array([v for v in values if np.isfinite(v)])
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
