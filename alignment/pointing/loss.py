"""x."""

from __future__ import annotations

import torch

__all__ = ["pointer_loss"]


def pointer_loss(
    attention: torch.Tensor, wanted: torch.Tensor, outside: torch.Tensor, valley: float = 1.0
) -> torch.Tensor:
    """Mean of peak + ``valley`` · suppression. ``attention``, ``wanted`` (B, P) sum to 1; ``outside`` (B, P) 0 or 1."""
    logs = attention.clamp_min(1e-12).log()
    peak = (wanted * (wanted.clamp_min(1e-12).log() - logs)).sum(-1)
    return (peak + valley * (attention * outside).sum(-1)).mean()
