"""The token-weighted DPO loss. The formula is written only here.

It is DPO (Rafailov et al., arXiv 2305.18290, eq. 7) with a weight w_t for each token, as in TGDPO (2506.14574), TIS-DPO
(2410.04350) and SAIL (2509.23188). With ρ_t = log π_θ(y_t) − log π_ref(y_t):

    L = −log σ( β · Σ w_t ρ_t |chosen − β · Σ w_t ρ_t |rejected )

With w = 1 this is DPO. Adding a small multiple of the chosen answer's cross-entropy (RPO, arXiv 2404.19733, eq. 3;
DRIFT, 2510.02341, uses 0.001) prevents that the chosen answer becomes less likely together with the rejected one.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["chosen_nll", "weighted_dpo"]


def weighted_dpo(
    log_ratio: torch.Tensor, weights: torch.Tensor, chosen: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Computes the token-weighted DPO loss.

    Args:
        log_ratio: ρ (B, T) for the tokens of both answers.
        weights: The token weights (B, T), 0 at padding.
        chosen: (B, T), +1 at tokens of the chosen answer, −1 at tokens of the rejected answer.
        beta: DPO's beta.

    Returns:
        Losses (B,) and margins (B,), β(Σ w ρ |chosen − Σ w ρ |rejected).
    """
    margin = beta * (chosen * weights * log_ratio).sum(-1)
    return -F.logsigmoid(margin), margin


def chosen_nll(log_probs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Computes the cross-entropy of the chosen answers.

    Args:
        log_probs: log π_θ (B, T) for the tokens of both answers.
        chosen: (B, T), +1 at tokens of the chosen answer, −1 at tokens of the rejected answer.

    Returns:
        The cross-entropy (B,), in nats per token.
    """
    own = (chosen > 0).float()
    return -(own * log_probs).sum(-1) / own.sum(-1).clamp_min(1)
