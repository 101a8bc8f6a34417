"""What the embedded model is trained on: reading its patches, answering, and looking at the right patch."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from homeostat.agent.models.branches import branch_mask
from homeostat.nano.data.packing import Batch
from homeostat.nano.training.guidance import guidance_losses

__all__ = ["hidden_states", "losses", "reading_logits", "weighted"]

SHARPNESS = 16.0  # of the cosines that a patch is read by


def hidden_states(model: Any, batch: Batch) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
    """(R, L, width) last hidden states, those entering every layer and (S, P, width) image features, with every branch
    blind to the others.
    """
    core = model.model
    pooled = core.get_image_features(pixel_values=batch.pixels, vision_feature_layer=-1).pooler_output
    seen = torch.stack(list(pooled)) if not torch.is_tensor(pooled) else pooled
    embedded = core.get_input_embeddings()(batch.input_ids)
    where = (batch.input_ids == model.config.image_token_id)[..., None].expand_as(embedded)
    embedded = embedded.masked_scatter(where, seen.to(embedded.dtype))
    out = core.language_model(
        inputs_embeds=embedded,
        attention_mask=branch_mask(batch.branch),
        position_ids=batch.positions,
        use_cache=False,
        output_hidden_states=True,
    )
    return out.last_hidden_state, out.hidden_states, seen


def reading_logits(model: Any, seen: torch.Tensor) -> torch.Tensor:
    """(S, P, vocabulary): cosine of every patch's feature with every token's embedding, times ``SHARPNESS``."""
    embedding = model.get_input_embeddings().weight
    return SHARPNESS * F.linear(F.normalize(seen.float(), dim=-1), F.normalize(embedding.float(), dim=-1))


def _reading_loss(model: Any, seen: torch.Tensor, patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Every patch says what is written on it (among all other tokens) and where it is (among the places' tokens).

    By cosine, and with the feature's length held at an embedding's: left to itself a patch grows to a hundred times the
    length of a word, and then nothing that a layer adds to it counts any more.
    """
    logits = reading_logits(model, seen).flatten(0, -2)
    own = torch.arange(len(places), device=seen.device).repeat(len(seen))
    where = F.cross_entropy(logits[:, places], own)
    letters, known = logits.index_fill(1, places, float("-inf")), patches.flatten() != -100
    what = F.cross_entropy(letters[known], patches.flatten()[known]) if known.any() else logits.new_zeros(())
    length = model.get_input_embeddings().weight.detach().float().norm(dim=-1).mean()
    total: torch.Tensor = what + where + (seen.float().norm(dim=-1) / length).log().square().mean()
    return total


def losses(model: Any, batch: Batch, places: torch.Tensor, *, read_only: bool) -> dict[str, torch.Tensor]:
    """``read``: cross-entropy of the patches' words and places; ``answer``: of the answers' tokens; ``match`` and
    ``point``: of the guided heads (these three not in stage 1).

    ``places`` (P,): the token of every patch's place, in the patches' order.
    """
    if read_only:
        pooled = model.model.get_image_features(pixel_values=batch.pixels, vision_feature_layer=-1).pooler_output
        seen = torch.stack(list(pooled)) if not torch.is_tensor(pooled) else pooled
        return {"read": _reading_loss(model, seen, batch.patches, places)}
    hidden, inputs, seen = hidden_states(model, batch)
    asked = batch.labels != -100
    logits = model.lm_head(hidden[asked]).float()
    return guidance_losses(model, inputs, batch) | {
        "answer": F.cross_entropy(logits, batch.labels[asked]),
        "read": _reading_loss(model, seen, batch.patches, places),
    }


def weighted(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """The loss that is trained on."""
    return parts["answer"] + 0.5 * (parts["match"] + parts["point"]) + 0.2 * parts["read"]
