"""A prompt for a terminal, its tokens coloured by weight.

Colours go from grey to orange, with black or white text on them, so that they can be read on dark and on light
terminals. The shares of the spans and the heaviest tokens follow as text, for output without colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from homeostat.foreign_text import visible
from homeostat.plots.token_html import LEVELS, chips, levels, scale_top, span_of, weight_text

if TYPE_CHECKING:
    from rich.text import Text

__all__ = ["token_text"]

_HEAVIEST = 8


def _style(level: int) -> str:
    share = level / LEVELS
    red, green, blue = (round((1 - share) * grey + share * full) for grey, full in ((110, 255), (110, 140), (110, 0)))
    return f"{'black' if share > 0.35 else 'white'} on #{red:02x}{green:02x}{blue:02x}"


def token_text(
    tokens: Sequence[str],
    weights: NDArray[np.floating],
    spans: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    *,
    top: float | None = None,
) -> Text:
    """Writes a prompt as text for a terminal, coloured by weight.

    Args:
        tokens: The texts of n tokens.
        weights: (n,) one weight for each token.
        spans: By label, ranges [start, stop) of tokens.
        top: The weight that gets the full colour; None takes that of :func:`~homeostat.plots.scale_top`.

    Returns:
        A text that rich prints.
    """
    from rich.text import Text

    known = dict(spans or {})
    top = scale_top(weights, known) if top is None else top
    pieces = chips(tokens)
    means = np.array([float(np.mean(weights[chip.start : chip.stop])) for chip in pieces])
    text = Text()
    for chip, level in zip(pieces, levels(means, top), strict=True):
        text.append(chip.text, style=_style(level) if level else "")
    text.append("\n" if pieces and pieces[-1].text.endswith("\n") else "\n\n")
    shares = {label: sum(float(np.sum(weights[a:b])) for a, b in ranges) for label, ranges in known.items()}
    whole = float(np.sum(weights))
    told = [f"{visible(label)} {weight_text(share)}" for label, share in shares.items()]
    told.append(f"{'no span' if shares else 'prompt'} {weight_text(max(whole - sum(shares.values()), 0.0))}")
    told.append(f"answer {weight_text(max(1 - whole, 0.0))}")
    text.append(f"attention: {', '.join(told)}\n")
    labels = span_of(known, len(tokens))
    inside = [k for k in range(len(tokens)) if labels[k] or not known]
    heaviest = sorted(inside, key=lambda k: (-float(weights[k]), k))[:_HEAVIEST]
    told = [f"{visible(tokens[k])!r} {weight_text(float(weights[k]))}" for k in heaviest]
    text.append(f"heaviest tokens{' in a span' if known else ''}: {', '.join(told)}")
    return text
