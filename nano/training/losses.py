"""The losses of the embedded model: reading its patches, answering, and guided attention."""

from __future__ import annotations

from typing import Any

import torch
from torch.nn import functional as F

from homeostat.agent.models.branches import branch_mask
from homeostat.nano.data.packing import IGNORE, Batch
from homeostat.nano.training.guidance import guidance_losses

__all__ = ["hidden_states", "losses", "reading_logits", "weighted"]

_SHARPNESS = 16.0  # the factor between the cosines that a patch is read by and the logits


def hidden_states(model: Any, batch: Batch) -> tuple[torch.Tensor, tuple[torch.Tensor, ...], torch.Tensor]:
    """Runs the model with every branch masked from the others.

    Args:
        model: The model.
        batch: R rows of length L with S screens of P patches each.

    Returns:
        The last hidden states (R, L, width), the hidden states that enter each layer (R, L, width each), and the image
        features (S, P, width).
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
    """Computes the logits for the text of each patch: the scaled cosine of its feature with each token's embedding.

    Args:
        model: The model, which gives the embeddings.
        seen: (S, P, width) image features.

    Returns:
        (S, P, vocabulary) float32.
    """
    embedding = model.get_input_embeddings().weight
    return _SHARPNESS * F.linear(F.normalize(seen.float(), dim=-1), F.normalize(embedding.float(), dim=-1))


def _reading_loss(model: Any, seen: torch.Tensor, patches: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """Cross-entropy of each patch's text (among all tokens but places) and of its place (among the place tokens).

    Both use cosines, and a third term holds a feature's norm at that of an embedding. Without it, the norm of a patch
    grows to a hundred times that of a word, and whatever a layer adds to it no longer matters.
    """
    logits = reading_logits(model, seen).flatten(0, -2)
    own = torch.arange(len(places), device=seen.device).repeat(len(seen))
    where = F.cross_entropy(logits[:, places], own)
    letters, known = logits.index_fill(1, places, float("-inf")), patches.flatten() != IGNORE
    what = F.cross_entropy(letters[known], patches.flatten()[known]) if known.any() else logits.new_zeros(())
    length = model.get_input_embeddings().weight.detach().float().norm(dim=-1).mean()
    total: torch.Tensor = what + where + (seen.float().norm(dim=-1) / length).log().square().mean()
    return total


def losses(model: Any, batch: Batch, places: torch.Tensor, *, read_only: bool) -> dict[str, torch.Tensor]:
    """Computes the losses of a batch.

    Args:
        model: The model.
        batch: The batch.
        places: (P,) the token of each patch's place, in the patches' order.
        read_only: Whether to compute ``read`` alone, as the first stage does.

    Returns:
        ``read``: cross-entropy of the patches' texts and places. ``answer``: cross-entropy of the answers' tokens.
        ``match`` and ``point``: cross-entropies of the guided heads. Each is a scalar.
    """
    if read_only:
        pooled = model.model.get_image_features(pixel_values=batch.pixels, vision_feature_layer=-1).pooler_output
        seen = torch.stack(list(pooled)) if not torch.is_tensor(pooled) else pooled
        return {"read": _reading_loss(model, seen, batch.patches, places)}
    hidden, inputs, seen = hidden_states(model, batch)
    asked = batch.labels != IGNORE
    logits = model.lm_head(hidden[asked]).float()
    return guidance_losses(model, inputs, batch) | {
        "answer": F.cross_entropy(logits, batch.labels[asked]),
        "read": _reading_loss(model, seen, batch.patches, places),
    }


def weighted(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    """Weights and sums the losses.

    Args:
        parts: What ``losses`` returned.

    Returns:
        The loss to minimise, a scalar.
    """
    return parts["answer"] + 0.5 * (parts["match"] + parts["point"]) + 0.2 * parts["read"]
