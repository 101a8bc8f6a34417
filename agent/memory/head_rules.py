"""Policies that give the heads of a layer different rules."""

from __future__ import annotations

import torch
from torch import Tensor

from homeostat.agent.memory.view import View

__all__ = ["task_kv"]

_HETEROGENEOUS = 0.4
"""The share of a layer's heads that count as heterogeneous."""

_RECENT = 0.5
"""The share of the budget that a head's newest tokens get where the head is not heterogeneous."""


def task_kv(view: View) -> Tensor:
    """Keeps other keys in heads whose output differs from the mean head's (Task-KV, arXiv 2501.15113, section IV).

    The last query's output of every head is a point, and the mean of a layer's heads is the semantic centre. Heads far
    from it are heterogeneous. The paper lets these keep every key, while the others keep sinks, recent tokens and
    "middle activations", the tokens between these with the largest weights.

    A cache of one tensor for a layer holds the same number of keys in each head, so two things differ here: a
    heterogeneous head keeps within the budget what its queries attend to most, instead of everything; and the heads
    that are compared are key heads, whose query heads are averaged.

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    found = []
    for layer, (key, value, slots) in enumerate(view.tensors()):
        query, _ = view.evidence.last_queries[layer]
        groups, _, dim = key.shape
        asked = query[:, -1].float().reshape(groups, -1, dim)
        weights = (asked @ key.transpose(1, 2) * dim**-0.5).softmax(-1).mean(1)  # (G, K)
        output = torch.einsum("gk,gkd->gd", weights, value)
        distance = (output - output.mean(0)).norm(dim=-1)
        far = distance.topk(max(round(_HETEROGENEOUS * groups), 1)).indices
        scores = view.wide(weights, slots)
        plain = torch.ones(groups, dtype=torch.bool, device=key.device)
        plain[far] = False
        newest = view.length - int(view.budget * _RECENT)
        scores[plain, newest:] = float("inf")
        scores[plain, : view.memory.sinks] = float("inf")
        found.append(scores)
    return view.best(torch.stack(found))
