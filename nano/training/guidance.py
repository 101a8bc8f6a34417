"""Guided attention: a few heads are told where to look.

Cross-entropy of a head's attention against an alignment that is known (Liu et al. 2016, "Neural machine translation
with supervised attention"; for pointing at a screen, GUI-Actor, arXiv 2506.03143, section 3). A small model learns by
itself where fixed labels stand; the rules behind it, "look for what you were asked for" and "copy it from where it
stands", it did not find in hours. The data know them, so three heads are told:

- the *matching* head (the second layer's first), from every word of the text to the patches that show that word;
- the *pointing* heads (the last layer's last two), from every place or word that the answer says next to where it
  stands: the patch, or the word in the question. What they find there is copied into the answer, and one head's
  64 numbers are few for two characters and a place.
"""

from __future__ import annotations

from typing import Any

import torch

from homeostat.agent.models.branches import branch_mask
from homeostat.nano.data.packing import IGNORE, Batch
from homeostat.nano.model import MATCHING_LAYER

__all__ = ["guidance_losses", "log_attention", "matches", "points"]


def log_attention(model: Any, layer: int, head: int, inputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    """(R, L, L) log of a head's attention. ``inputs``: the hidden states (R, L, width) entering its layer."""
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
    """(R, L, L) bool: position i is in a question or an answer, and patch j shows its word up to the same character."""
    asks, shows = (batch.branch > 0) & (batch.words != 0), (batch.branch == 0) & (batch.words != 0)
    return asks[:, :, None] & shows[:, None, :] & (batch.words[:, :, None] == batch.words[:, None, :])


def points(batch: Batch) -> torch.Tensor:
    """(R, L, L) bool: an answer goes on at position i with what stands at j, a patch or a word of the question."""
    asks = (batch.labels != IGNORE)[:, :, None]
    said = batch.labels.roll(1, 1) != IGNORE
    word, place = batch.words.roll(-1, 1)[:, :, None], batch.places.roll(-1, 1)[:, :, None]
    copied = (word != 0) & (word == batch.words[:, None, :])
    pointed = (place != 0) & (place == batch.places[:, None, :]) & (batch.branch == 0)[:, None, :]
    return asks & ~said[:, None, :] & (copied | pointed) & branch_mask(batch.branch)[:, 0]


def _loss(logs: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    """−log of the attention mass on the right positions, mean over the rows that have any; 0 where none has."""
    rows = right.any(-1)
    if not rows.any():
        return logs.new_zeros(())
    loss: torch.Tensor = -logs[rows].masked_fill(~right[rows], float("-inf")).logsumexp(-1).mean()
    return loss


def guidance_losses(model: Any, inputs: tuple[torch.Tensor, ...], batch: Batch) -> dict[str, torch.Tensor]:
    """``match`` and ``point``: cross-entropies of the matching and (mean) of the pointing heads.

    ``inputs``: the hidden states (R, L, width) entering every layer.
    """
    last = len(model.model.language_model.layers) - 1
    heads = model.config.text_config.num_attention_heads
    matching = log_attention(model, MATCHING_LAYER, 0, inputs[MATCHING_LAYER], batch)
    targets = points(batch)
    pointing = [_loss(log_attention(model, last, h, inputs[last], batch), targets) for h in (heads - 2, heads - 1)]
    return {"match": _loss(matching, matches(batch)), "point": torch.stack(pointing).mean()}
