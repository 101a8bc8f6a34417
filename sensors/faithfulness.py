"""Faithfulness check: does a model's attention show which spans matter for its answer?

Attention is an indicator, not a proof: a model can use what it hardly attends to, through other heads or earlier layers
(Jain and Wallace, arXiv 1902.10186; Wiegreffe and Pinter, 1908.04626). For one model and typical prompts of its user,
this check compares three measures of every span, for answer tokens y_1 … y_T that are forced after the prompt:

- **mass** and **intensity**: the sensors' own readings (``attention_drift.intensities``), over all probed heads;
- **saliency** (gradient times input): Σ over the span's tokens of |x · ∂ log p(y) / ∂x|, where x is the token's vector
  at the input of the first layer; image tokens have one, too;
- **deletion**: the effect of hiding the span's keys from every row: the mean KL(with ‖ without) of the answer's
  distributions, in nats per token, and the drop in log p(y). Positions do not change.

The check reports Spearman's ρ between the measures, over all (prompt, span) pairs and *within* prompts, with bootstrap
intervals over prompts. Within prompts, ρ is computed for each prompt and averaged, so that differences between prompts
have no effect. Long spans have more mass, saliency and deletion, but not more intensity. Intensity is therefore
compared with saliency and deletion per token.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors.attention_drift import intensities
from homeostat.sensors.probe.architectures import find_layers
from homeostat.sensors.probe.probe import watch
from homeostat.sensors.spans import Spans

__all__ = ["Case", "Correlation", "Faithfulness", "SpanEvidence", "faithfulness", "span_evidence"]

PAIRS = (
    ("mass", "saliency"),
    ("mass", "deletion"),
    ("intensity", "saliency_per_token"),
    ("intensity", "deletion_per_token"),
    ("saliency", "deletion"),
)
"""The pairs of measures that are correlated: names of attributes of :class:`SpanEvidence`."""


@dataclass(frozen=True)
class Case:
    """A prompt with an answer.

    Attributes:
        inputs: The model's inputs: ``input_ids`` of shape (1, P), pixels, ….
        spans: The prompt's spans.
        tokens: The T tokens of the answer.
    """

    inputs: Mapping[str, Any]
    spans: Spans
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class SpanEvidence:
    """The measures of one span of one case; the module's docstring defines them.

    Attributes:
        case: The number of the case, from 0.
        label: The span's label.
        length: The span's number of tokens.
        mass: The attention mass.
        intensity: The attention intensity.
        saliency: Gradient times input, summed over the span's tokens.
        deletion: The mean KL divergence after hiding the span, in nats per token.
        drop: The drop in log p(y) after hiding the span, summed over the answer, in nats.
    """

    case: int
    label: str
    length: int
    mass: float
    intensity: float
    saliency: float
    deletion: float
    drop: float

    @property
    def saliency_per_token(self) -> float:
        """Saliency divided by the span's number of tokens."""
        return self.saliency / self.length

    @property
    def deletion_per_token(self) -> float:
        """Deletion divided by the span's number of tokens."""
        return self.deletion / self.length


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ of two measures. Values are NaN if a measure never varies.

    Attributes:
        one: The first measure.
        other: The second measure.
        rho: ρ over all (prompt, span) pairs, with its 95 % interval: (value, low, high).
        within: The mean of the ρ within prompts, with its 95 % interval.
    """

    one: str
    other: str
    rho: tuple[float, float, float]
    within: tuple[float, float, float]


@dataclass(frozen=True)
class Faithfulness:
    """The result of the check.

    Attributes:
        evidence: The measures of every span of every case.
        correlations: The correlations of :data:`PAIRS`.
        cases: The number of cases.
    """

    evidence: tuple[SpanEvidence, ...]
    correlations: tuple[Correlation, ...]
    cases: int


def faithfulness(model: nn.Module, cases: Sequence[Case], *, resamples: int = 999, seed: int = 0) -> Faithfulness:
    """Checks a model on typical prompts of its user.

    Args:
        model: The model, in eval mode.
        cases: The prompts with answers. Each prompt should have at least three spans; with fewer, the ranks within a
            prompt carry little information.
        resamples: The number of bootstrap samples.
        seed: The seed of the bootstrap.

    Returns:
        The measures and their correlations.

    Raises:
        ConfigError: There are fewer than two cases, or a case has no tokens or spans.
        ProbeError: The model cannot be probed, or ignores a mask with holes.
    """
    if len(cases) < 2:
        raise ConfigError(f"{len(cases)} cases are too few; pass two or more, and about thirty for a narrow interval")
    evidence = [one for n, case in enumerate(cases) for one in span_evidence(model, case, n)]
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(cases), len(cases)) for _ in range(resamples)]
    correlations = tuple(_correlate(evidence, one, other, len(cases), draws) for one, other in PAIRS)
    return Faithfulness(tuple(evidence), correlations, len(cases))


def span_evidence(model: nn.Module, case: Case, number: int = 0) -> tuple[SpanEvidence, ...]:
    """Measures every span's attention, saliency and deletion effect in one case.

    Args:
        model: The model, in eval mode. It is not changed.
        case: The prompt with its answer.
        number: The number of the case.

    Returns:
        The measures of each span.

    Raises:
        ConfigError: The case has no tokens or spans.
        ProbeError: The model cannot be probed, or ignores a mask with holes.
    """
    if not case.tokens or not len(case.spans):
        raise ConfigError(f"tokens={case.tokens!r}, spans={list(case.spans)!r}: pass an answer and labelled spans")
    length = case.inputs["input_ids"].shape[1]
    inputs = _forced(case)
    with torch.no_grad(), watch(model, sinks=False) as probe:
        probe.start(Spans(case.spans.ranges, length=length))
        plain = _logprobs(model, inputs, len(case.tokens))
        masses, levels = intensities(probe.result())
    saliency = _saliency(model, inputs, case)
    found = []
    for label in case.spans:
        with torch.no_grad():
            hidden = _logprobs(model, _hide(inputs, case.spans, label), len(case.tokens))
        if torch.equal(hidden, plain):
            raise ProbeError(f"{type(model).__name__!r} ignores a mask with holes, so deletion cannot be measured")
        at = torch.arange(len(case.tokens)), torch.tensor(case.tokens)
        apart = (plain.exp() * (plain - hidden)).nan_to_num(0.0).sum(-1).clamp(min=0)
        found.append(
            SpanEvidence(
                case=number,
                label=label,
                length=case.spans.tokens(label),
                mass=masses[label],
                intensity=levels[label],
                saliency=float(sum(saliency[start:stop].sum() for start, stop in case.spans[label])),
                deletion=float(apart.mean()),
                drop=float((plain[at] - hidden[at]).sum()),
            )
        )
    return tuple(found)


def _forced(case: Case) -> dict[str, Any]:
    """The inputs of one call on the prompt and all answer tokens but the last, with explicit positions."""
    ids = case.inputs["input_ids"]
    more = len(case.tokens) - 1
    out = dict(case.inputs)
    out["input_ids"] = torch.cat([ids, torch.tensor([case.tokens[:-1]], dtype=ids.dtype, device=ids.device)], 1)
    mask = case.inputs.get("attention_mask", torch.ones_like(ids))
    out["attention_mask"] = nn.functional.pad(mask, (0, more), value=1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in out:
            out[name] = nn.functional.pad(out[name], (0, more))
    if "image_grid_thw" not in out:  # otherwise the model computes its positions from the tokens
        out["position_ids"] = (out["attention_mask"].cumsum(1) - 1).clamp(min=0)
    return out


def _hide(inputs: Mapping[str, Any], spans: Spans, label: str) -> dict[str, Any]:
    mask = inputs["attention_mask"].clone()
    for start, stop in spans[label]:
        mask[:, start:stop] = 0
    return {**inputs, "attention_mask": mask}


def _logprobs(model: Any, inputs: Mapping[str, Any], tokens: int) -> torch.Tensor:
    """(T, V) float32 log-probabilities over the vocabulary at each token of the answer."""
    logits = model(**inputs, use_cache=False).logits[0, -tokens:]
    return torch.log_softmax(logits.float(), -1).cpu()


def _saliency(model: Any, inputs: Mapping[str, Any], case: Case) -> NDArray[np.float64]:
    """(P,) |x · ∂ log p(y) / ∂x| at each of the prompt's tokens, with x the input of the first layer."""
    first = next(iter(find_layers(model, "all").values()))
    block = next(part for part in model.modules() if any(child is first for child in part.children()))
    caught: list[torch.Tensor] = []

    def catch(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
        states = args[0] if args else kwargs["hidden_states"]
        states = states.detach().requires_grad_()
        caught.append(states)
        return ((states, *args[1:]), kwargs) if args else (args, kwargs | {"hidden_states": states})

    hook = block.register_forward_pre_hook(catch, with_kwargs=True)
    try:
        with torch.enable_grad():
            logprobs = torch.log_softmax(model(**inputs, use_cache=False).logits[0, -len(case.tokens) :].float(), -1)
            chosen = logprobs[torch.arange(len(case.tokens)), torch.tensor(case.tokens, device=logprobs.device)]
            (grad,) = torch.autograd.grad(chosen.sum(), caught)
    finally:
        hook.remove()
    product: NDArray[np.float64] = (grad * caught[0])[0].sum(-1).abs().double().detach().cpu().numpy()
    return product


def _correlate(
    evidence: Sequence[SpanEvidence], one: str, other: str, cases: int, draws: Sequence[NDArray[np.int64]]
) -> Correlation:
    by_case = [
        np.array([(getattr(e, one), getattr(e, other)) for e in evidence if e.case == n]).reshape(-1, 2)
        for n in range(cases)
    ]
    each = np.array([_spearman(pairs) for pairs in by_case])
    overall = [_spearman(np.concatenate([by_case[i] for i in at])) for at in draws]
    inside = [_mean(each[at]) for at in draws]
    return Correlation(
        one,
        other,
        (_spearman(np.concatenate(by_case)), *_bounds(overall)),
        (_mean(each), *_bounds(inside)),
    )


def _spearman(pairs: NDArray[np.float64]) -> float:
    from scipy.stats import spearmanr

    if len(pairs) < 2 or np.ptp(pairs[:, 0]) == 0 or np.ptp(pairs[:, 1]) == 0:
        return float("nan")
    return float(spearmanr(pairs[:, 0], pairs[:, 1]).statistic)


def _mean(values: NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else float("nan")


def _bounds(values: Sequence[float]) -> tuple[float, float]:
    known = np.array([v for v in values if np.isfinite(v)])
    if not len(known):
        return float("nan"), float("nan")
    low, high = np.quantile(known, [0.025, 0.975])
    return float(low), float(high)
