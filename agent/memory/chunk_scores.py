"""Policies that estimate the attention on keys from averages over chunks: FlexPrefill's blocks and DHSA's chunks."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from homeostat.agent.memory.view import View

__all__ = ["dhsa", "flex_prefill"]

_BLOCK = 64
"""Keys of one block. FlexPrefill's blocks have 128; an agent's prompts are shorter."""

_ALIKE = 0.1
"""FlexPrefill's τ: heads whose estimate is closer than this to the true distribution are ranked by the estimate."""


def flex_prefill(view: View) -> Tensor:
    """Keeps what the last block of queries attends to (FlexPrefill, arXiv 2502.20766, section 3.2 and algorithm 2).

    In each head the keys of a block share one score, the softmax of the averaged queries over the blocks' averaged
    keys, if that estimate is within τ of the true distribution over blocks by the Jensen-Shannon distance. Otherwise a
    key's score is the weight that it gets from these queries. The paper skips computation by these scores until a share
    γ of the mass is covered; here the budget decides how many keys stay.

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    found = []
    for layer, (key, _, slots) in enumerate(view.tensors()):
        query, first = view.evidence.last_queries[layer]
        groups, held, dim = key.shape
        asked = query.float().reshape(groups, -1, query.shape[1], dim)  # (G, H/G, R, D)
        logits = torch.einsum("ghrd,gkd->ghrk", asked, key) * dim**-0.5
        rows = torch.arange(first, first + query.shape[1], device=key.device)
        logits.masked_fill_(slots[:, None, None] > rows[:, None], float("-inf"))
        weights = logits.softmax(-1).mean(2)  # (G, H/G, K)
        block = (torch.arange(held, device=key.device) // _BLOCK).expand(groups, -1)
        count = int(block.max()) + 1
        sizes = torch.bincount(block[0], minlength=count).float()
        mean = torch.zeros(groups, count, dim, device=key.device).index_add_(1, block[0], key) / sizes[:, None]
        guess = (torch.einsum("ghd,gcd->ghc", asked.mean(2), mean) * dim**-0.5 + sizes.log()).softmax(-1)
        true = torch.zeros_like(guess).index_add_(2, block[0], weights)
        close = _js_distance(guess, true) < _ALIKE
        spread = (guess / sizes)[..., block[0]]
        found.append(view.wide(torch.where(close[..., None], spread, weights).mean(1), slots))
    return view.best(torch.stack(found))


def dhsa(view: View) -> Tensor:
    """Keeps the chunks whose vectors are most like the newest queries (DHSA, arXiv 2510.24606, section 3).

    A chunk's vector is the mean of its keys times the square root of its length; the newest queries are one chunk, too.
    The dot product of the two is the score of every token of the chunk. The paper learns where chunks end; here a chunk
    is a span of the prompt, because the turns are known.

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    segment = view.segment_of()
    found = []
    for layer, (key, _, slots) in enumerate(view.tensors()):
        query, _ = view.evidence.last_queries[layer]
        groups, _, dim = key.shape
        asked = query.float().reshape(groups, -1, query.shape[1], dim).mean((1, 2)) * query.shape[1] ** 0.5  # (G, D)
        chunk = segment[slots]  # (G, K)
        sums = torch.zeros(groups, len(view.segments), dim, device=key.device)
        sums.scatter_add_(1, chunk[..., None].expand_as(key), key)
        sizes = torch.zeros(groups, len(view.segments), device=key.device).scatter_add_(
            1, chunk, torch.ones_like(chunk, dtype=torch.float32)
        )
        alike = torch.einsum("gd,gcd->gc", asked, sums) / sizes.clamp(min=1).sqrt()
        found.append(view.wide(alike.gather(1, chunk), slots))
    return view.best(torch.stack(found))


def _js_distance(p: Tensor, q: Tensor) -> Tensor:
    """The Jensen-Shannon distance over the last dimension, in [0, 1]."""
    middle = (p + q) / 2
    entropy = [torch.special.entr(d).sum(-1) for d in (middle, p, q)]
    divergence: Tensor = (entropy[0] - (entropy[1] + entropy[2]) / 2).clamp(min=0)
    return (divergence / math.log(2.0)).sqrt()
