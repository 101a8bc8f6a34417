"""Guided attention: one head is told where to look, from a word in the text to the patches that show it.

Cross-entropy of a head's attention against an alignment that is known (Liu et al. 2016, "Neural machine translation
with supervised attention"; Mi et al. 2016). A small model learns by itself where fixed labels stand;
the rule behind it, "look for what you were asked for", it did not find in hours. The data know it, so the head is told.
"""

from __future__ import annotations

from typing import Any

import torch

from homeostat.alignment.packing import Batch, branch_mask

__all__ = ["GUIDED_LAYER", "log_attention", "match_loss", "same_word"]

GUIDED_LAYER = 1  # its first head: one layer before it to gather a word's earlier characters, the others to use it


def log_attention(model: Any, inputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    """(R, L, L) log of the guided head's attention. ``inputs``: the hidden states (R, L, width) entering its layer."""
    from transformers.models.qwen3.modeling_qwen3 import apply_rotary_pos_emb

    text = model.model.language_model
    layer = text.layers[GUIDED_LAYER]
    attention = layer.self_attn
    x = layer.input_layernorm(inputs)
    size = attention.head_dim
    q = attention.q_norm(torch.nn.functional.linear(x, attention.q_proj.weight[:size]))
    k = attention.k_norm(torch.nn.functional.linear(x, attention.k_proj.weight[:size]))
    cos, sin = text.rotary_emb(x, batch.positions)
    q, k = apply_rotary_pos_emb(q[:, None], k[:, None], cos, sin)
    scores = (q @ k.mT)[:, 0].float() * attention.scaling
    result: torch.Tensor = scores.masked_fill(~branch_mask(batch.branch)[:, 0], float("-inf")).log_softmax(-1)
    return result


def same_word(batch: Batch) -> torch.Tensor:
    """(R, L, L) bool: row i is in a question, and patch j shows its word up to the same character."""
    asks, shows = (batch.branch > 0) & (batch.words != 0), (batch.branch == 0) & (batch.words != 0)
    return asks[:, :, None] & shows[:, None, :] & (batch.words[:, :, None] == batch.words[:, None, :])


def match_loss(model: Any, inputs: torch.Tensor, batch: Batch) -> torch.Tensor:
    """−log of the guided head's attention mass on the right patches, mean over the positions that have any."""
    right = same_word(batch)
    asked = right.any(-1)
    logs = log_attention(model, inputs, batch)[asked]
    loss: torch.Tensor = -logs.masked_fill(~right[asked], float("-inf")).logsumexp(-1).mean()
    return loss
