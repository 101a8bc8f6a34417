"""PAINT's actuator: image tokens that carry information get more attention.

Arif et al. (arXiv 2501.12206, first called "Fixing Imbalanced Attention to Mitigate In-Context Hallucination of Large
Vision-Language Model", section 3, and their code) find two kinds of image tokens in the attention of the vision tower's
class token, summed over its heads:

- *summary* tokens: in the last layer but one, those above Q3 + 1.5 · (Q3 − Q1) of the image's tokens;
- *local* tokens: the quarter with the most attention in the first layer, without the summary tokens.

In layers 2 and up, in the rows that generate tokens, α |s| is added to the logits s of local tokens (α = 0.7) and β |s|
to those of summary tokens (β = 0.3). According to the paper the method is very sensitive to these numbers.

A vision tower without a class token, such as SigLIP's, does not have these two sets.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["informed_tokens", "paint"]


def informed_tokens(
    first: NDArray[np.floating], deep: NDArray[np.floating], share: float = 0.25
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Finds an image's local and summary tokens.

    Args:
        first: (H, n) the attention of the class token on the image's n tokens in the tower's first layer.
        deep: (H, n) the same in the last layer but one.
        share: The share of tokens that are local, summary tokens included.

    Returns:
        The local tokens without the summary tokens, and the summary tokens; each in ascending order.

    Raises:
        ConfigError: The arrays do not belong to one image, or the share is out of range.
    """
    if first.ndim != 2 or deep.ndim != 2 or first.shape[1] != deep.shape[1] or not first.shape[1]:
        raise ConfigError(f"first is {first.shape}, deep is {deep.shape}; pass (H, n) weights of one image's n tokens")
    if not 0 < share <= 1:
        raise ConfigError(f"share={share!r} is not a share; pass a number above 0, at most 1")
    near, whole = first.sum(0, dtype=np.float64), deep.sum(0, dtype=np.float64)
    low, high = np.percentile(whole, [25, 75])
    summary = np.flatnonzero(whole > high + 1.5 * (high - low))
    local = np.argsort(-near, kind="stable")[: int(len(near) * share)]
    return tuple(sorted({*map(int, local)} - {*map(int, summary)})), tuple(map(int, summary))


def paint(
    start: int, local: Sequence[int], summary: Sequence[int], *, alpha: float = 0.7, beta: float = 0.3
) -> tuple[Actuator, ...]:
    """Builds the rules for one image of a prompt.

    Args:
        start: The prompt's slot of the image's first token.
        local: The image's local tokens, from 0.
        summary: Its summary tokens.
        alpha: The stretch of the local tokens' logits; the default is the authors'.
        beta: The stretch of the summary tokens' logits; the default is the authors'.

    Returns:
        One rule for each kind of token that the image has.
    """
    return tuple(
        Actuator(tuple((start + k, start + k + 1) for k in sorted(tokens)), stretch=by, rows="output", from_layer=2)
        for tokens, by in ((local, alpha), (summary, beta))
        if tokens
    )
