"""Chooses bfloat16 for training where the machine multiplies faster in it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

__all__ = ["autocast", "bfloat16_is_quick"]


@cache
def bfloat16_is_quick(kind: str) -> bool:
    """Returns whether a matrix product takes less time in bfloat16 than in float32.

    On a CPU this is measured: with AVX-512 BF16 or AMX, bfloat16 is 3 to 4 times as fast; with AVX2 alone it was 90
    times as slow. Any other device is taken to be faster in bfloat16.

    Args:
        kind: The type of the device, such as ``"cpu"``.

    Returns:
        True where bfloat16 is faster.
    """
    if kind != "cpu":
        return True

    def seconds(dtype: torch.dtype) -> float:
        a, b = torch.ones(512, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)
        start = time.perf_counter()
        a @ b
        return time.perf_counter() - start

    # The quickest of many, measured in turns: on a busy machine a single one says more about other processes.
    turns = [(seconds(torch.bfloat16), seconds(torch.float32)) for _ in range(16)]
    return min(half for half, _ in turns) < min(full for _, full in turns)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Returns a context that computes in bfloat16, unless the device is slower in it.

    Args:
        device: The device.

    Returns:
        torch's autocast context, or one that does nothing.
    """
    return torch.autocast(device.type, torch.bfloat16) if bfloat16_is_quick(device.type) else nullcontext()
