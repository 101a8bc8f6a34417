"""The token-weighted DPO loss: the one place where the formula stands.

DPO (Rafailov et al., arXiv 2305.18290, eq. 7) with a weight a token, as in TGDPO (2506.14574), TIS-DPO (2410.04350) and
SAIL (2509.23188): with ρ_t = log π_θ(y_t) − log π_ref(y_t),

    L = −log σ( β · Σ w_t ρ_t |chosen − β · Σ w_t ρ_t |rejected )

With w = 1 it is DPO. A little of the chosen answer's cross-entropy beside it (RPO, arXiv 2404.19733, eq. 3; DRIFT,
2510.02341, has 0.001 of it) keeps the chosen answer from becoming less likely together with the rejected one.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

__all__ = ["chosen_nll", "weighted_dpo"]


def weighted_dpo(
    log_ratio: torch.Tensor, weights: torch.Tensor, chosen: torch.Tensor, beta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,) losses and (B,) margins β(Σ|chosen − Σ|rejected).

    ``log_ratio`` (B, T): ρ of the tokens of both answers, ``weights`` (B, T) theirs, 0 at padding; ``chosen`` (B, T):
    +1 at the chosen answer's tokens, −1 at the rejected one's.
    """
    margin = beta * (chosen * weights * log_ratio).sum(-1)
    return -F.logsigmoid(margin), margin


def chosen_nll(log_probs: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """(B,) the chosen answers' cross-entropy, in nats a token. ``log_probs`` (B, T); ``chosen`` as above."""
    own = (chosen > 0).float()
    return -(own * log_probs).sum(-1) / own.sum(-1).clamp_min(1)
