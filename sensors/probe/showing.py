"""Puts the tokens of a prompt and the attention on them together, for :meth:`Probe.show`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from homeostat.errors import ConfigError, ProbeError
from homeostat.plots.token_view import TokenView
from homeostat.sensors.attempts import SpanMass
from homeostat.sensors.chat.token_texts import token_texts

__all__ = ["Shown", "ShownPrompt", "token_view"]

Shown: TypeAlias = Any
"""Tokens as the caller has them: texts, or ids in a list, an array or a tensor of one or two dimensions."""


@dataclass(frozen=True)
class ShownPrompt:
    """The tokens of one prompt of a run.

    Attributes:
        ids: The prompt's tokens, without padding.
        padding: The number of padding slots in front of them.
    """

    ids: tuple[int, ...]
    padding: int = 0


def token_view(mass: SpanMass, prompt: ShownPrompt | None, tokens: Shown, tokenizer: Any, row: int) -> TokenView:
    """Makes the view of one prompt.

    Args:
        mass: What was read of the run, with ``prompt_keys``.
        prompt: The prompt's tokens, where the probe has rendered it; else None.
        tokens: The prompt's texts, its ids, or the ids of prompt and answer; None for the rendered prompt.
        tokenizer: Decodes ids; None if there is none.
        row: The row of the batch, for a batch of ids.

    Returns:
        The view: the mean weight of the answer's rows on each token of the prompt.

    Raises:
        ProbeError: No generated token was read, or the prompt's tokens are unknown or not those of the run.
        ConfigError: There is no tokenizer to decode ids with.
    """
    if mass.prompt_keys is None or not len(mass.prompt_keys):
        raise ProbeError("no token of the answer was read, so there is nothing to show; let the model generate one")
    weights = mass.prompt_keys.mean(0, dtype=np.float32)
    texts, answer = _texts(prompt, tokens, tokenizer, row, weights.shape[-1])
    skipped = weights.shape[-1] - len(texts)
    spans = (
        {}
        if mass.spans is None
        else {s: tuple((a - skipped, b - skipped) for a, b in mass.spans[s]) for s in mass.spans}
    )
    return TokenView(texts, weights[..., skipped:], mass.layers, spans, answer)


def _texts(
    prompt: ShownPrompt | None, tokens: Shown, tokenizer: Any, row: int, slots: int
) -> tuple[tuple[str, ...], str]:
    """The texts of the prompt's tokens without padding, and the answer's text."""
    if tokens is None:
        if prompt is None:
            raise ProbeError(
                "the prompt's tokens are unknown, because the run began with start(); call show(output), with what "
                "generate returned"
            )
        return token_texts(tokenizer, prompt.ids), ""
    given = _plain(tokens, row)
    if given and all(isinstance(one, str) for one in given):
        if len(given) != slots:
            raise ProbeError(f"{len(given)} texts were given for a prompt of {slots} tokens; give one for each token")
        return tuple(given), ""
    if tokenizer is None:
        raise ConfigError("ids can't be decoded without a tokenizer; call watch(model, tokenizer), or give texts")
    ids = tuple(int(one) for one in given)
    padding = 0 if prompt is None else prompt.padding
    if len(ids) < slots or (prompt is not None and ids[padding:slots] != prompt.ids):
        raise ProbeError(
            f"the {len(ids)} tokens are not those of this run, whose prompt has {slots}; call show(output), with what "
            "generate returned"
        )
    special = set(tokenizer.all_special_ids)
    answer = tokenizer.decode([token for token in ids[slots:] if token not in special])
    return token_texts(tokenizer, ids[padding:slots]), str(answer)


def _plain(tokens: Shown, row: int) -> Sequence[Any]:
    """The tokens of one row, as a list."""
    listed = tokens.tolist() if hasattr(tokens, "tolist") else list(tokens)
    if listed and isinstance(listed[0], list | tuple):
        if not 0 <= row < len(listed):
            raise ProbeError(f"row={row!r} is none of the {len(listed)} rows of tokens; give 0 to {len(listed) - 1}")
        return list(listed[row])
    return listed
