"""A faithfulness check: how far may this model's attention be trusted to say what matters?

Attention is a monitor, no proof: a model can use what it hardly looks at, through other heads or earlier layers (Jain
and Wallace, arXiv 1902.10186; Wiegreffe and Pinter, 1908.04626). For one model and prompts of its user's kind, this
compares, span by span, for answer tokens y_1 … y_T forced after the prompt:

- **mass** and **intensity**: the sensors' own readings (``attention_drift.intensities``), over all probed heads;
- **saliency**: Σ over the span's tokens of |x · ∂ log p(y) / ∂x|, x the token's vector entering the first layer
(gradient
  times input; image tokens have one too);
- **deletion**: what hiding the span's keys from every row does: the mean KL(with ‖ without) of the answer's
  distributions, in nats a token, and the drop in log p(y). Positions stay as they are.

Spearman's ρ between them, over the (prompt, span) pairs and *within* prompts (ranks within each prompt, then averaged:
what makes one prompt's spans all large does no work there), with bootstrap intervals over prompts. Long spans have
more of everything but intensity, so saliency and deletion a token are compared with that.
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


@dataclass(frozen=True)
class Case:
    """A prompt as the model takes it (``input_ids`` (1, P), pixels, …), its spans, and an answer's tokens."""

    inputs: Mapping[str, Any]
    spans: Spans
    tokens: tuple[int, ...]


@dataclass(frozen=True)
class SpanEvidence:
    """One span of one case; see the module's text. ``drop`` is that of log p(y), summed over the answer, in nats."""

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
        """Saliency divided by the span's tokens."""
        return self.saliency / self.length

    @property
    def deletion_per_token(self) -> float:
        """Deletion divided by the span's tokens."""
        return self.deletion / self.length


@dataclass(frozen=True)
class Correlation:
    """Spearman's ρ of ``one`` and ``other`` over all pairs, and the mean of those within prompts, with 95 % intervals.

    NaN where nothing varies.
    """

    one: str
    other: str
    rho: tuple[float, float, float]
    within: tuple[float, float, float]


@dataclass(frozen=True)
class Faithfulness:
    """The check's result: every span's evidence, and the correlations of :data:`PAIRS`."""

    evidence: tuple[SpanEvidence, ...]
    correlations: tuple[Correlation, ...]
    cases: int


def faithfulness(model: nn.Module, cases: Sequence[Case], *, resamples: int = 999, seed: int = 0) -> Faithfulness:
    """Check a model on prompts of its user's kind; three spans or more in each make the ranks within prompts mean
    something.

    Raises :class:`ConfigError` for fewer than two cases, and what :func:`span_evidence` does.
    """
    if len(cases) < 2:
        raise ConfigError(f"{len(cases)} cases say nothing of a model; give two or more, thirty for a narrow interval")
    evidence = [one for n, case in enumerate(cases) for one in span_evidence(model, case, n)]
    rng = np.random.default_rng(seed)
    draws = [rng.integers(0, len(cases), len(cases)) for _ in range(resamples)]
    correlations = tuple(_correlate(evidence, one, other, len(cases), draws) for one, other in PAIRS)
    return Faithfulness(tuple(evidence), correlations, len(cases))


def span_evidence(model: nn.Module, case: Case, number: int = 0) -> tuple[SpanEvidence, ...]:
    """Every span's attention, saliency and deletion effect in one case. The model is in eval mode, and left as it was.

    Raises :class:`ConfigError` for no tokens or spans, and :class:`ProbeError` for a model that can't be probed or
    whose mask can't be blanked.
    """
    if not case.tokens or not len(case.spans):
        raise ConfigError(f"tokens={case.tokens!r}, spans={list(case.spans)!r}: give an answer and labelled spans")
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
            raise ProbeError(f"{type(model).__name__!r} does not heed a mask with holes: deletion can't be measured")
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
    """The inputs of one call on the prompt and all answer tokens but the last, with positions spelled out."""
    ids = case.inputs["input_ids"]
    more = len(case.tokens) - 1
    out = dict(case.inputs)
    out["input_ids"] = torch.cat([ids, torch.tensor([case.tokens[:-1]], dtype=ids.dtype, device=ids.device)], 1)
    mask = case.inputs.get("attention_mask", torch.ones_like(ids))
    out["attention_mask"] = nn.functional.pad(mask, (0, more), value=1)
    for name in ("token_type_ids", "mm_token_type_ids"):
        if name in out:
            out[name] = nn.functional.pad(out[name], (0, more))
    if "image_grid_thw" not in out:  # else the model numbers its positions itself, from the tokens
        out["position_ids"] = (out["attention_mask"].cumsum(1) - 1).clamp(min=0)
    return out


def _hide(inputs: Mapping[str, Any], spans: Spans, label: str) -> dict[str, Any]:
    mask = inputs["attention_mask"].clone()
    for start, stop in spans[label]:
        mask[:, start:stop] = 0
    return {**inputs, "attention_mask": mask}


def _logprobs(model: Any, inputs: Mapping[str, Any], tokens: int) -> torch.Tensor:
    """(T, V) float32 log-probabilities of the answer's distributions."""
    logits = model(**inputs, use_cache=False).logits[0, -tokens:]
    return torch.log_softmax(logits.float(), -1).cpu()


def _saliency(model: Any, inputs: Mapping[str, Any], case: Case) -> NDArray[np.float64]:
    """(P,) |x · ∂ log p(y) / ∂x| at each of the prompt's tokens, x entering the first layer."""
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
