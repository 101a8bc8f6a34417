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
from homeostat.sensors.probe.watching import watch
from homeostat.sensors.span_evidence import Correlation, SpanEvidence, correlate
from homeostat.sensors.spans import Spans

__all__ = ["Case", "Faithfulness", "faithfulness", "span_evidence"]


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
class Faithfulness:
    """The result of the check.

    Attributes:
        evidence: The measures of every span of every case.
        correlations: The correlations of ``span_evidence.PAIRS``.
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
    correlations = correlate(evidence, resamples=resamples, seed=seed)
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
        read = probe.result()
    masses, levels = intensities(read)
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
                heads=read.of(label).mean(0, dtype=np.float64),
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
    logits = model(**inputs, use_cache=False, logits_to_keep=tokens).logits[0]
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
            out = model(**inputs, use_cache=False, logits_to_keep=len(case.tokens))
            logprobs = torch.log_softmax(out.logits[0].float(), -1)
            chosen = logprobs[torch.arange(len(case.tokens)), torch.tensor(case.tokens, device=logprobs.device)]
            (grad,) = torch.autograd.grad(chosen.sum(), caught)
    finally:
        hook.remove()
    product: NDArray[np.float64] = (grad.float() * caught[0].float())[0].sum(-1).abs().double().detach().cpu().numpy()
    return product
