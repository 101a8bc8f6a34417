"""Which seeds a split's episodes are drawn from: no two splits share one."""

from __future__ import annotations

__all__ = ["SEEDS", "seeds_of"]

SEEDS: dict[str, range] = {
    "train": range(0, 2**30),
    "dev": range(2**30, 3 * 2**29),
    "test": range(3 * 2**29, 2**31),
}


def seeds_of(split: str) -> range:
    """Train below 2^30, dev up to 1.5 · 2^30, test up to 2^31."""
    return SEEDS[split]
