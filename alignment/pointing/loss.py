"""The loss of the pointer head (V2P, arXiv 2508.13634, section 3; GUI-Actor, 2506.03143, section 3.2).

With p the wanted attention over the patches and a the pointer's attention:

    peak    KL(p ‖ a)
    valley  Σ a_i over the patches outside the box
"""

from __future__ import annotations

import torch

__all__ = ["pointer_loss"]


def pointer_loss(
    attention: torch.Tensor, wanted: torch.Tensor, outside: torch.Tensor, valley: float = 1.0
) -> torch.Tensor:
    """Computes the mean of peak + ``valley`` · valley over a batch.

    Args:
        attention: The pointer's attention (B, P); each row sums to 1.
        wanted: The wanted attention (B, P); each row sums to 1.
        outside: (B, P), 1 for patches outside the box and 0 for the others.
        valley: The weight of the second term.

    Returns:
        The loss, a scalar.
    """
    logs = attention.clamp_min(1e-12).log()
    peak = (wanted * (wanted.clamp_min(1e-12).log() - logs)).sum(-1)
    return (peak + valley * (attention * outside).sum(-1)).mean()
