"""A policy that keeps the keys that queries to come are expected to attend to."""

from __future__ import annotations

import torch
from torch import Tensor

from homeostat.agent.memory.query_statistics import FIRST
from homeostat.agent.memory.view import View

__all__ = ["expected"]


def expected(view: View) -> Tensor:
    """Keeps in each head the keys with the largest expected weight, times the length of their value.

    The first tokens stay in any case. The formula is that of
    :mod:`homeostat.agent.memory.query_statistics` (Expected Attention, arXiv 2510.00636, section 3).

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    statistics = view.evidence.statistics
    assert statistics is not None
    found = []
    for layer, (key, value, slots) in enumerate(view.tensors()):
        groups, _, dim = key.shape
        mean, covariance = statistics.ahead(layer, view.length)
        mean = mean.view(groups, -1, dim)
        covariance = covariance.view(groups, -1, dim, dim)
        logits = torch.einsum("ghd,gkd->ghk", mean, key) * dim**-0.5
        for head in range(covariance.shape[1]):  # one at a time: (G, K, D) intermediates stay small
            logits[:, head] += ((key @ covariance[:, head]) * key).sum(-1) / (2 * dim)
        logits.masked_fill_(slots[:, None] < FIRST, float("-inf"))
        scores = logits.softmax(-1).mean(1) * value.norm(dim=-1)
        scores[slots < FIRST] = float("inf")
        found.append(view.wide(scores, slots))
    return view.best(torch.stack(found))
