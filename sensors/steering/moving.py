"""Moves masses in the output of torch's fused kernel, without the weights of all keys.

Let U be the keys of all spans that the rules name. One additional channel of the values, which is 1 on U, returns their
mass m_U. A softmax over U alone, times m_U, gives the weights P_U. With P'_U the moved weights, and r the factor of all
other weights,

    o' = r (o − P_U V_U) + P'_U V_U

The cost is proportional to rows times |U|. If U is a large part of the keys, if r is so large that rounding would show,
or if a logit is stretched, the output is computed from all weights, in row chunks. That is slower for long prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from homeostat.sensors.probe.explicit_attention import AttentionScoring, RowMask, attend, row_chunks

if TYPE_CHECKING:
    from homeostat.sensors.steering.reweighting import LayerSteering

__all__ = ["move"]

_STEEP = 32.0  # the largest factor of all other weights


def move(
    rules: LayerSteering,
    out: Tensor,
    held: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scoring: AttentionScoring,
    rows: RowMask,
) -> list[int]:
    """Moves masses in the fused kernel's output, in place.

    Args:
        rules: The rules of the layer, settled.
        out: (B, Q, H, D) the output; it is changed.
        held: (B, Q, H) the mass that lay on the named keys.
        query: (B, H, Q, D) queries.
        key: (B, G, K, D) keys.
        value: (B, G, K, D) values.
        scoring: How the layer computes its logits.
        rows: Which keys each row sees.

    Returns:
        The rows that have to be computed from all weights instead, because rounding would show.
    """
    at, few = rules.named, rules.few
    keys, values = key[:, :, at], value[:, :, at].float()
    steep: list[int] = []
    for first, stop in row_chunks(0, query.shape[2], query.shape[0] * query.shape[1] * len(at)):
        seen = rows.rows(first, stop, at)
        share = held[:, first:stop].float().transpose(1, 2)[..., None].clamp(0, 1)  # (B, H, r, 1)
        old = scoring.weights(query[:, :, first:stop], keys, seen, few.on_scores(first, stop)) * share
        new = few.retarget(torch.cat([old, 1 - share], -1), first, stop)
        rest = new[..., -1:] / (1 - share).clamp(min=1e-6)
        there = out[:, first:stop].float()
        moved = rest.transpose(1, 2) * (there - attend(old, values)) + attend(new[..., :-1].contiguous(), values)
        same = (new[..., :-1] == old).all(-1)[..., None].transpose(1, 2)  # no rule acted: keep every bit
        out[:, first:stop] = torch.where(same, there, moved).to(out.dtype)
        steep += [first + int(row) for row in ((rest > _STEEP).any(1).any(0)).flatten().nonzero()]
    return steep
