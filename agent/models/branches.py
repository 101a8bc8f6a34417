"""The attention mask of several continuations that share one prefix in one row."""

from __future__ import annotations

import torch

__all__ = ["branch_mask"]


def branch_mask(branch: torch.Tensor) -> torch.Tensor:
    """Builds a causal mask under which the branches of a row don't see each other.

    A row holds a shared prefix and several continuations (branches) of it, one after the other. Training on such rows
    runs the prefix once.

    Args:
        branch: (R, L) the branch that each token belongs to: 0 for the prefix, 1 and up for a branch, -1 for padding.

    Returns:
        (R, 1, L, L) bool, True where query i may see key j: j is not behind i, and belongs to the prefix or to i's own
        branch. Padding is seen by padding only.
    """
    length = branch.shape[1]
    causal = torch.ones(length, length, dtype=torch.bool, device=branch.device).tril()
    of_query, of_key = branch[:, :, None], branch[:, None, :]
    seen = causal & ((of_key == 0) | (of_key == of_query)) & ((of_key >= 0) | (of_query == of_key))
    return seen[:, None]
