"""Tensors that a model is given: on its device, with a given answer behind the prompt, and contiguous for its head."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from homeostat.errors import ModelError

__all__ = ["contiguous_for_head", "on_device", "with_answer"]


@contextmanager
def contiguous_for_head(model: Any) -> Iterator[None]:
    """Within it, a frozen output head is given contiguous hidden states.

    Transformers models cut the last tokens of a batch out of its hidden states. Where the head's weights require no
    gradient, torch multiplies such a view by copies of the weights, one for each row, instead of one matrix product.
    On a CPU this takes hundreds of times as long: seconds for a vocabulary of 150,000 tokens.

    Args:
        model: The transformers model. One with trainable weights is left alone.

    Yields:
        Nothing.
    """
    head = model.get_output_embeddings()
    if head is None or any(p.requires_grad for p in head.parameters()):
        yield
        return
    handle = head.register_forward_pre_hook(_contiguous)
    try:
        yield
    finally:
        handle.remove()


def _contiguous(module: torch.nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(one.contiguous() if isinstance(one, torch.Tensor) else one for one in args)


def on_device(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Moves inputs to the model's device, and floating-point ones to its dtype.

    Args:
        model: The transformers model.
        inputs: Tensors by name; values that are no tensors stay as they are.

    Returns:
        The inputs as a new dictionary.
    """
    return {
        k: v.to(model.device, model.dtype if torch.is_floating_point(v) else None) if hasattr(v, "to") else v
        for k, v in inputs.items()
    }


def with_answer(inputs: dict[str, Any], tokens: Sequence[int]) -> dict[str, Any]:
    """Appends a given answer to a prompt's inputs, all but its last token.

    The row of a token yields the logits of the next one, so the last token needs no row of its own.

    Args:
        inputs: The prompt's inputs, one row.
        tokens: The answer's T tokens.

    Returns:
        The inputs with T - 1 more tokens.

    Raises:
        ModelError: There are no tokens.
    """
    if not tokens:
        raise ModelError("tokens=() is an empty answer; give at least one token to score or read")
    ids = inputs["input_ids"]
    forced = torch.tensor([list(tokens[:-1])], device=ids.device, dtype=ids.dtype)
    out = inputs | {"input_ids": torch.cat([ids, forced], 1)}
    for name, fill in (("attention_mask", 1), ("token_type_ids", 0), ("mm_token_type_ids", 0)):
        if name in out:
            out[name] = torch.nn.functional.pad(out[name], (0, len(tokens) - 1), value=fill)
    return out
