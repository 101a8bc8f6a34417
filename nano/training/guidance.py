"""Guided attention: losses that supervise where a few heads look.

The loss is the cross-entropy of a head's attention against a known alignment (Liu et al. 2016, "Neural machine
translation with supervised attention"; for pointing at a screen, GUI-Actor, arXiv 2506.03143, section 3). A small model
learns by itself where fixed labels are. In hours of training, it did not find the rules "look for the word that was
asked for" and "copy it from where it is". The training data know the right positions, so three heads are supervised:

- The *matching* head (the first of the second layer) looks from each word of the text to the patches that show it.
- The *pointing* heads (the last two of the last layer) look from each position before a place or word of the answer to
  where that is: the patch, or the word in the question. What they find is copied into the answer. There are two,
  because the 64 numbers of one head are few for two characters and a place.
"""

from __future__ import annotations

from typing import Any

import torch

from homeostat.agent.models.branches import branch_mask
from homeostat.nano.data.packing import IGNORE, Batch
from homeostat.nano.model import MATCHING_LAYER

__all__ = ["guidance_losses", "log_attention", "matches", "points"]


def log_attention(model: Any, layer: int, head: int, inputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Computes the log of a head's attention.

    Args:
        model: The model.
        layer: The layer's index.
        head: The head's index.
        inputs: (R, L, width) the hidden states that enter the layer.
        batch: The batch, which gives positions and branches.

    Returns:
        (R, L, L) float32: from position i (second axis) to position j (third axis); −inf where the mask forbids it.
    """
    from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

    text = model.model.language_model
    block = text.layers[layer]
    attention = block.self_attn
    rows = slice(head * attention.head_dim, (head + 1) * attention.head_dim)
    x = block.input_layernorm(inputs)
    q = attention.q_norm(torch.nn.functional.linear(x, attention.q_proj.weight[rows]))
    k = attention.k_norm(torch.nn.functional.linear(x, attention.k_proj.weight[rows]))
    cos, sin = text.rotary_emb(x, batch.positions)
    q, k = apply_rotary_pos_emb(q[:, None], k[:, None], cos, sin)
    scores = (q @ k.mT)[:, 0].float() * attention.scaling
    result: torch.Tensor = scores.masked_fill(~branch_mask(batch.branch)[:, 0], float("-inf")).log_softmax(-1)
    return result


def matches(batch: Batch) -> torch.Tensor:
    """Finds the right positions of the matching head.

    Args:
        batch: The batch.

    Returns:
        (R, L, L) bool: position i belongs to a question or an answer, and patch j shows its word up to the same
        character.
    """
    asks, shows = (batch.branch > 0) & (batch.words != 0), (batch.branch == 0) & (batch.words != 0)
    return asks[:, :, None] & shows[:, None, :] & (batch.words[:, :, None] == batch.words[:, None, :])


def points(batch: Batch) -> torch.Tensor:
    """Finds the right positions of the pointing heads.

    Args:
        batch: The batch.

    Returns:
        (R, L, L) bool: the token after position i belongs to an answer, and position j holds its place or word, as a
        patch or in the question.
    """
    asks = (batch.labels != IGNORE)[:, :, None]
    said = batch.labels.roll(1, 1) != IGNORE
    word, place = batch.words.roll(-1, 1)[:, :, None], batch.places.roll(-1, 1)[:, :, None]
    copied = (word != 0) & (word == batch.words[:, None, :])
    pointed = (place != 0) & (place == batch.places[:, None, :]) & (batch.branch == 0)[:, None, :]
    return asks & ~said[:, None, :] & (copied | pointed) & branch_mask(batch.branch)[:, 0]


def _loss(logs: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """−log of the attention mass on the right positions, averaged over positions that have any; 0 if none has."""
    rows = right.any(-1)
    if not rows.any():
        return logs.new_zeros(())
    loss: torch.Tensor = -logs[rows].masked_fill(~right[rows], float("-inf")).logsumexp(-1).mean()
    return loss


def guidance_losses(model: Any, inputs: tuple[torch.Tensor, ...], batch: Batch) -> dict[str, torch.Tensor]:
    """Computes the losses of the guided heads.

    Args:
        model: The model.
        inputs: The hidden states that enter each layer, (R, L, width) each.
        batch: The batch.

    Returns:
        ``match``: the cross-entropy of the matching head. ``point``: the mean cross-entropy of the pointing heads.
    """
    last = len(model.model.language_model.layers) - 1
    heads = model.config.text_config.num_attention_heads
    matching = log_attention(model, MATCHING_LAYER, 0, inputs[MATCHING_LAYER], batch)
    targets = points(batch)
    pointing = [_loss(log_attention(model, last, h, inputs[last], batch), targets) for h in (heads - 2, heads - 1)]
    return {"match": _loss(matching, matches(batch)), "point": torch.stack(pointing).mean()}
