"""Gains as additional channels of queries and keys, for fused kernels that return the output alone.

The query's channel holds log γ / scale, and the key's channel is 1 if the key is in S. Nothing is approximated, and
causal masks and grouped heads work unchanged. The cost is a larger head size (by 8 for up to two rules).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["key_channels", "query_channels"]

_PARTS = 3  # channels per rule: a 24-bit significand is three of 8 bits, which is what bfloat16 holds
_WIDTH = 8  # fused kernels need a head size that is a multiple of this


def query_channels(logs: Tensor, query: Tensor) -> Tensor:
    """Builds the queries' channels.

    Args:
        logs: (B or 1, N, H, Q) what each of N rules adds to q·k.
        query: (B, H, Q, D) queries.

    Returns:
        (B, H, Q, n) channels in the queries' data type.
    """
    rest, parts = logs, []
    for _ in range(_PARTS):
        parts.append(rest.to(query.dtype))
        rest = rest - parts[-1].float()
    return _full(torch.cat(parts, 1).permute(0, 2, 3, 1).expand(len(query), -1, -1, -1))


def key_channels(members: Tensor, key: Tensor) -> Tensor:
    """Builds the keys' channels.

    Args:
        members: (B, N, K): 1 if the key belongs to rule n's span.
        key: (B, G, K, D) keys.

    Returns:
        (B, G, K, n) channels in the keys' data type.
    """
    held = members.repeat(1, _PARTS, 1).transpose(1, 2)[:, None].to(key.dtype)
    return _full(held.expand(-1, key.shape[1], -1, -1))


def _full(channels: Tensor) -> Tensor:
    """The channels, padded with zeros to a multiple of the width."""
    return torch.nn.functional.pad(channels, (0, -channels.shape[-1] % _WIDTH))
