"""Which keys stay: the policies by name.

A policy is a function from a :class:`~homeostat.agent.memory.view.View` to the keys that stay. It decides about keys
that are not pinned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from homeostat.agent.memory.chunk_scores import dhsa, flex_prefill
from homeostat.agent.memory.expected_attention import expected
from homeostat.agent.memory.head_rules import task_kv
from homeostat.agent.memory.view import View

__all__ = ["POLICIES", "Policy", "h2o", "label_mass", "recency", "recycled", "token_mass"]


@dataclass(frozen=True)
class Policy:
    """A way to decide which keys stay.

    Attributes:
        keep: Returns (L, G, N) True for the keys that stay.
        every_row: Whether it needs the weights of every row of a prompt.
        all_layers: Whether it needs what was measured in every layer, because heads hold keys of their own.
        measures: Whether it needs measured weights or queries at all.
        around: What has to surround the model's forward passes, given the model.
        statistics: Whether it needs the mean and the covariance of all queries.
        spans: Whether it keeps or evicts whole spans, so that evicted ones can be summarised and brought back.
    """

    keep: Callable[[View], Tensor]
    every_row: bool = False
    all_layers: bool = False
    measures: bool = True
    statistics: bool = False
    spans: bool = False
    around: Callable[[Any], AbstractContextManager[None]] = lambda model: nullcontext()


def label_mass(view: View) -> Tensor:
    """Keeps the spans that get the most measured attention, each as a whole.

    A span's worth is its measured mass per token: the mean over layers, heads and the rows that the probe recorded, so
    that the model's own reading decides. The spans with the smallest worth are evicted until the rest fits; a smaller
    one that still fits is then taken back. With ``most_mass``, eviction ends before the evicted spans' mass exceeds it.

    Ours: no paper or library evicts by label. The order by worth per token is the greedy rule for the knapsack problem
    (G. Dantzig, Discrete-Variable Extremum Problems, 1957).

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    per_token = view.evidence.measured(view.length).mean((0, 1)).to(view.device)
    whole = view.held.all(0).all(0)
    keep = view.pinned() & whole
    room = view.budget - int(keep.sum())
    rivals = []
    for segment in view.segments:
        here = whole[segment.start : segment.stop]
        if not segment.pinned and here.any():
            mass = float(per_token[segment.start : segment.stop][here].sum())
            rivals.append((mass / int(here.sum()), segment.start, mass, segment, int(here.sum())))
    lost = sum(mass for _, _, mass, _, _ in rivals)
    for _, _, mass, segment, tokens in sorted(rivals, key=lambda rival: rival[:2], reverse=True):
        spared = view.memory.most_mass is not None and lost > view.memory.most_mass
        if tokens <= room or spared:
            keep[segment.start : segment.stop] = whole[segment.start : segment.stop]
            room -= tokens
            lost -= mass
    return (keep & whole).expand_as(view.held)


def token_mass(view: View) -> Tensor:
    """Keeps the tokens that get the most measured attention, the same in every head.

    The measure is that of :func:`label_mass`, token by token: the mean over layers and heads of what the prompt's last
    rows and the answer's rows attended to. Without the mean over heads this is SnapKV's rule (arXiv 2404.14469,
    section 4).

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    return view.best(view.evidence.measured(view.length).mean((0, 1)))


def h2o(view: View) -> Tensor:
    """Keeps the heavy hitters and the newest tokens, half of the budget each (H2O, arXiv 2306.14048, section 4).

    SinkLoRA (arXiv 2406.05678) takes H2O over unchanged for its cache, so this is its rule, too.

    A heavy hitter is a key with a large sum of weights over all queries so far, counted in each head by itself. Query
    heads that share a key head are added up.

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    scores = view.evidence.accumulated(view.length).clone()
    scores[..., view.length - view.budget // 2 :] = float("inf")
    return view.best(scores)


def recency(view: View) -> Tensor:
    """Keeps the first tokens and the newest ones (StreamingLLM, arXiv 2309.17453, section 3).

    The number of first tokens is that of ``sinks``. Unlike the paper, positions stay those of the whole text, because a
    turn boundary is no stream.

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    scores = torch.arange(view.length, device=view.device, dtype=torch.float32)
    scores[: view.memory.sinks] = float("inf")
    return view.best(scores)


def recycled(view: View) -> Tensor:
    """Keeps in each head what its last query attends to most (Recycled Attention, arXiv 2411.05787, section 3).

    In the paper all keys stay in memory, and every S-th step attends to all of them; between, a head attends to the
    keys of the last full step. Here a turn is a step: set ``refresh`` to S, and every S-th call reads the prompt again.
    Query heads that share a key head are averaged.

    Args:
        view: The cache at a turn boundary.

    Returns:
        (L, G, N): True for the keys that stay.
    """
    found = []
    for layer, (key, _, slots) in enumerate(view.tensors()):
        query, _ = view.evidence.last_queries[layer]
        asked = query[:, -1:].float().reshape(len(key), -1, query.shape[-1])
        weights = (asked @ key.transpose(1, 2) * query.shape[-1] ** -0.5).softmax(-1).mean(1)
        found.append(view.wide(weights, slots))
    return view.best(torch.stack(found))


POLICIES: Mapping[str, Policy] = {
    "expected": Policy(expected, all_layers=True, statistics=True),
    "label_mass": Policy(label_mass, spans=True),
    "token_mass": Policy(token_mass),
    "h2o": Policy(h2o, every_row=True, all_layers=True),
    "recency": Policy(recency, measures=False),
    "recycled": Policy(recycled, all_layers=True),
    "task_kv": Policy(task_kv, all_layers=True),
    "flex_prefill": Policy(flex_prefill, all_layers=True),
    "dhsa": Policy(dhsa, all_layers=True),
}
"""The policies by name."""
