"""Log-probabilities of answer tokens, without the logits of a whole batch in memory.

A vocabulary has 150,000 entries where a hidden state has 900 numbers. The logits of a batch, their softmax and both
gradients are therefore most of what DPO needs in memory. Here the output head runs over a few tokens at a time. The
gradient of log p(y) with respect to the last hidden state h is known in closed form, with p = softmax(W h + b):

    ∂ log p(y) / ∂h = W_y − Σ_v p_v W_v

It is computed beside log p(y) and kept instead of the logits. This presumes that the head is a frozen matrix, and that
the model does nothing to the logits after it; :func:`plain_head` finds that out. Other models get their logits whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional as F

__all__ = ["answer_scores", "plain_head", "token_scores"]

_PLAIN: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


class _TokenScores(torch.autograd.Function):
    """log p(y) (T,) of targets (T,), given hidden states (T, D) and a head (V, D)."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
        elements: int,
    ) -> torch.Tensor:
        found = hidden.new_empty(len(hidden), dtype=torch.float32)
        slopes = torch.empty_like(hidden, dtype=torch.float32) if ctx.needs_input_grad[0] else None
        rows = max(1, elements // len(weight))
        for start in range(0, len(hidden), rows):
            some = slice(start, start + rows)
            logits = F.linear(hidden[some].to(weight.dtype), weight, bias).float()
            own = logits.gather(-1, targets[some, None])
            top = logits.amax(-1, keepdim=True)
            shares = logits.sub_(top).exp_()  # in place: there is one table of this size, two in 16 bits
            whole = shares.sum(-1, keepdim=True)
            found[some] = (own - top - whole.log())[:, 0]
            if slopes is not None:
                mean = shares.div_(whole).to(weight.dtype) @ weight
                slopes[some] = weight[targets[some]].float() - mean.float()
        ctx.save_for_backward(slopes)
        ctx.dtype = hidden.dtype
        return found

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> Any:
        (slopes,) = ctx.saved_tensors
        return (gradient[:, None] * slopes).to(ctx.dtype), None, None, None, None


def token_scores(
    hidden: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor | None,
    targets: torch.Tensor,
    elements: int = 2**25,
) -> torch.Tensor:
    """Computes log-probabilities of tokens from hidden states, a few tokens at a time.

    Args:
        hidden: The last hidden states (T, D); gradients flow into them.
        weight: The output head (V, D); it gets no gradient.
        bias: The head's bias (V,), which gets no gradient either; None without one.
        targets: The tokens (T,).
        elements: The number of logits that are in memory at a time. The default takes 128 MiB; with fewer, the whole
            head is read more often.

    Returns:
        log p (T,) in nats, float32.
    """
    found: torch.Tensor = _TokenScores.apply(hidden, weight, bias, targets, elements)  # type: ignore[no-untyped-call]
    return found


def answer_scores(
    model: Any, inputs: dict[str, Any], keep: int, rows: torch.Tensor, targets: torch.Tensor, real: torch.Tensor
) -> torch.Tensor:
    """Runs a batch and computes the log-probabilities of its answer tokens.

    Args:
        model: A transformers model, with or without an adapter.
        inputs: The model's inputs, without those that this function sets (cache and number of logits).
        keep: The number of positions, from the right, that predict answer tokens.
        rows: For every token (B, T), the position among those ``keep`` that predicts it.
        targets: The tokens (B, T).
        real: (B, T), False at padding.

    Returns:
        log p (B, T) in nats, float32; 0 at padding.
    """
    found = torch.zeros(targets.shape, dtype=torch.float32, device=targets.device)
    if not plain_head(model):
        logits = model(**inputs, use_cache=False, logits_to_keep=keep).logits
        at = rows[..., None].expand(-1, -1, logits.shape[-1])
        scores = logits.gather(1, at).float().log_softmax(-1).gather(-1, targets[..., None])[..., 0]
        return torch.where(real, scores, found)
    head = model.get_output_embeddings()
    with _headless(head):
        hidden = model(**inputs, use_cache=False, logits_to_keep=keep).logits
    at = rows[..., None].expand(-1, -1, hidden.shape[-1])
    flat = token_scores(hidden.gather(1, at)[real], head.weight, head.bias, targets[real])
    return found.masked_scatter(real, flat)


def plain_head(model: Any) -> bool:
    """Tests with a few tokens whether a model's logits are what its output head returns, a frozen matrix.

    Args:
        model: A transformers model, with or without an adapter.

    Returns:
        False for a head that is trained, or no plain matrix (quantised, adapted or sharded), for models that scale or
        cap their logits, and for those that can't run on tokens alone.
    """
    head = model.get_output_embeddings()
    if type(head) is not nn.Linear or type(head.weight.data) is not torch.Tensor or "forward" in vars(head):
        return False  # adapted, quantised, sharded, or moved between devices when it runs
    if torch.is_grad_enabled() and head.weight.requires_grad:
        return False
    if head not in _PLAIN:
        _PLAIN[head] = _is_plain(model, head)
    return _PLAIN[head]


def _is_plain(model: Any, head: nn.Linear) -> bool:
    returned: list[torch.Tensor] = []
    hook = head.register_forward_hook(lambda module, args, output: returned.append(output))
    try:
        with torch.no_grad():
            tokens = torch.arange(min(8, len(head.weight)), device=head.weight.device)[None]
            logits = model(input_ids=tokens, attention_mask=torch.ones_like(tokens), use_cache=False).logits
    except (TypeError, ValueError, RuntimeError, KeyError, IndexError, AttributeError):
        return False
    finally:
        hook.remove()
    return len(returned) == 1 and torch.equal(returned[0], logits) and bool(logits.any())


@contextmanager
def _headless(head: nn.Module) -> Iterator[None]:
    """Within it, an output head returns its input."""
    head.forward = lambda hidden: hidden
    try:
        yield
    finally:
        del head.forward
