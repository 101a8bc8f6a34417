"""How much a model can take: the length of its context, and the memory of its device."""

from __future__ import annotations

from typing import Any

from homeostat.errors import OutOfMemory, PromptTooLong

__all__ = ["check_length", "context_length", "free_memory", "is_out_of_memory", "out_of_memory"]

_SANE = 10**9
"""A tokenizer without a limit reports a number far above this one."""
_MEMORY = ("not enough memory", "can't allocate memory", "cannot allocate memory", "backend out of memory")
"""What torch's allocators without an error class of their own write into a ``RuntimeError``."""


def context_length(model: Any, tokenizer: Any) -> int | None:
    """Finds how many tokens a model's context holds.

    The model's own number counts, and a scaling of its rotary positions (YaRN and others) that its configuration
    states. The tokenizer's number stands in where the model has none; many tokenizers carry an outdated one.

    Args:
        model: The transformers model.
        tokenizer: Its tokenizer.

    Returns:
        The number of tokens, of prompt and answer together; None where nothing states it.
    """
    settings: dict[str, Any] = model.config.get_text_config(decoder=True).to_dict()
    scaling = settings.get("rope_parameters") or settings.get("rope_scaling") or {}
    factor, original = scaling.get("factor"), scaling.get("original_max_position_embeddings")
    stated = [settings.get("max_position_embeddings"), int(factor * original) if factor and original else None]
    lengths = [n for n in stated if isinstance(n, int) and n > 0]
    if lengths:
        return max(lengths)
    limit = tokenizer.model_max_length
    return int(limit) if 0 < limit < _SANE else None


def check_length(name: str, prompt: int, answer: int, context: int | None) -> None:
    """Checks that prompt and answer fit the context.

    Args:
        name: The model's name.
        prompt: The number of the prompt's tokens.
        answer: The most tokens of the answer.
        context: The number of tokens of the context; None for no limit.

    Raises:
        PromptTooLong: They don't fit.
    """
    if context is not None and prompt + answer > context:
        raise PromptTooLong(
            f"{name!r}: the prompt has {prompt} tokens, but the context of {context} tokens leaves room for "
            f"{max(context - answer, 0)} beside an answer of {answer}; shorten the goal, or use a model with a longer "
            "context"
        )


def is_out_of_memory(error: BaseException) -> bool:
    """Returns whether an error says that memory is used up.

    Args:
        error: What a forward pass raised.

    Returns:
        True for ``MemoryError``, torch's own class, and the errors of allocators that have no class.
    """
    import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(phrase in str(error).lower() for phrase in _MEMORY)


def free_memory() -> None:
    """Gives memory that torch holds but does not use back to the device."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def out_of_memory(name: str, prompt: int) -> OutOfMemory:
    """Builds the error for a call that does not even fit with a single answer.

    Args:
        name: The model's name.
        prompt: The number of the prompt's tokens.

    Returns:
        The error.
    """
    return OutOfMemory(
        f"{name!r}: memory is used up by a prompt of {prompt} tokens and one answer; use a smaller model, a shorter "
        "dtype such as bfloat16 or another device, show fewer screenshots, or end other programs"
    )
