"""Eager attention of transformers, summed over spans: what the workers' masses are compared with."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["sums"]


def sums(
    eager: Any,
    prompt: Sequence[int],
    written: Sequence[int],
    spans: Mapping[str, Sequence[tuple[int, int]]],
    bias: Mapping[str, float] | None = None,
) -> NDArray[np.float32]:
    """(T, L, H, S + 1): each row's attention on every span and on the written tokens; ``bias`` is added to scores."""
    import torch

    whole = [*prompt, *written]
    column = np.full(len(whole), -1)
    for index, label in enumerate(spans):
        for start, stop in spans[label]:
            column[start:stop] = index
    column[len(prompt) :] = len(spans)
    more = {}
    if bias:
        mask = torch.full((len(whole), len(whole)), float("-inf")).triu(1)
        for label, value in bias.items():
            for start, stop in spans[label]:
                mask[:, start:stop] += value
        more["attention_mask"] = mask[None, None]
    with torch.no_grad():
        maps = eager(torch.tensor([whole]), output_attentions=True, use_cache=False, **more).attentions
    weights = torch.stack([one[0] for one in maps]).numpy()  # (L, H, T, T)
    found = np.stack([weights[..., column == c].sum(-1) for c in range(len(spans) + 1)], -1)
    return found.transpose(2, 0, 1, 3)
