"""bfloat16 where the machine multiplies faster in it."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager, nullcontext
from functools import cache

import torch

__all__ = ["autocast", "bfloat16_is_quick"]


@cache
def bfloat16_is_quick(kind: str) -> bool:
    """Whether a matrix product takes less time in bfloat16 than in float32 on a ``cpu`` (others: yes).

    With AVX-512 BF16 or AMX it is 3 to 4 times as fast; with AVX2 alone it was 90 times as slow.
    """
    if kind != "cpu":
        return True

    def seconds(dtype: torch.dtype) -> float:
        a, b = torch.ones(512, 256, dtype=dtype), torch.ones(256, 256, dtype=dtype)
        start = time.perf_counter()
        a @ b
        return time.perf_counter() - start

    # The quickest of many, taken in turns: on a busy machine a single one says more about its neighbours.
    turns = [(seconds(torch.bfloat16), seconds(torch.float32)) for _ in range(16)]
    return min(half for half, _ in turns) < min(full for _, full in turns)


def autocast(device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing where that would be slower."""
    return torch.autocast(device.type, torch.bfloat16) if bfloat16_is_quick(device.type) else nullcontext()
