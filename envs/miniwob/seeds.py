"""The seeds that each split's episodes are drawn from. No two splits share one."""

from __future__ import annotations

__all__ = ["SEEDS", "seeds_of"]

SEEDS: dict[str, range] = {
    "train": range(0, 2**30),
    "dev": range(2**30, 3 * 2**29),
    "test": range(3 * 2**29, 2**31),
}
"""The seeds by split."""


def seeds_of(split: str) -> range:
    """Returns a split's seeds: train below 2³⁰, dev below 1.5 · 2³⁰, test below 2³¹.

    Args:
        split: ``train``, ``dev`` or ``test``.

    Returns:
        The seeds.
    """
    return SEEDS[split]
