"""The attention mask of several continuations that share one prefix in one row."""

from __future__ import annotations

import torch

__all__ = ["branch_mask"]


def branch_mask(branch: torch.Tensor) -> torch.Tensor:
    """(R, 1, L, L) bool, True where row i may see key j: earlier, and of the prefix or of the same branch."""
    length = branch.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    of_i, of_j = branch[:, :, None], branch[:, None, :]
    seen = causal & ((of_j == 0) | (of_j == of_i)) & ((of_j >= 0) | (of_i == of_j))
    return seen[:, None]
