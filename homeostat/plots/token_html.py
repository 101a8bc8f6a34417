"""A prompt as HTML, its tokens coloured by weight. The fragment needs no script and no inline style.

Foreign text is escaped, and its control and direction characters are written out. A token's colour is one of 21
classes, so the same fragment works under a strict content-security policy, where the page brings :data:`STYLE` itself.
The colour is translucent, which makes it readable on light and on dark pages.

The scale runs from 0 to the largest weight of a token that belongs to a span. Text around the spans, which the chat
template writes, and the prompt's first token would ruin it: models park most of their attention there (attention sinks,
arXiv 2309.17453). What lies beyond the scale has the full colour and a dashed frame.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from homeostat.errors import ConfigError
from homeostat.foreign_text import clipped, visible
from homeostat.plots.figures import PALETTE

__all__ = ["STYLE", "Chip", "chips", "levels", "scale_top", "span_of", "token_html", "weight_text"]

LEVELS = 20
"""The number of colours, not counting none."""
_RUN = 8
"""So many equal tokens in a row or more, such as those of an image, are drawn as one."""


def _channels(colour: str) -> str:
    return ",".join(str(int(colour[k : k + 2], 16)) for k in (1, 3, 5))


_COLOUR = _channels(PALETTE[1])
STYLE = (
    ".hst{line-height:1.9;white-space:pre-wrap;overflow-wrap:anywhere;margin:.5em 0}"
    ".hst span{border-radius:3px;padding:1px 0;border-bottom:2px solid transparent}"
    + "".join(f".hst .w{k}{{background:rgba({_COLOUR},{0.75 * k / LEVELS:.3f})}}" for k in range(1, LEVELS + 1))
    + "".join(f".hst .s{k},.hss .s{k}{{border-color:{c}}}" for k, c in enumerate((*PALETTE[:1], *PALETTE[2:6])))
    + ".hst .over{outline:1px dashed currentColor;outline-offset:-1px}"
    ".hss{display:flex;flex-wrap:wrap;gap:.2em 1.4em;margin:.3em 0;padding:0;list-style:none;font-size:.9em}"
    ".hss li{border-bottom:2px solid transparent;margin:0;padding:0}.hsn{font-size:.9em;margin:.3em 0}"
)
"""The style sheet of the fragment."""
_SPANS = 5
"""The number of underline colours; further spans begin again with the first one."""


@dataclass(frozen=True)
class Chip:
    """What is drawn as one piece: one token, or a run of equal ones.

    Attributes:
        start: Its first token.
        stop: The token after its last one.
        text: Its text, as it is shown.
    """

    start: int
    stop: int
    text: str


def chips(tokens: Sequence[str]) -> list[Chip]:
    """Decides what is drawn as one piece.

    Args:
        tokens: The texts of n tokens.

    Returns:
        The pieces, in order. A token without a text, such as the first bytes of a character, is drawn as ``·``.
    """
    found, at = [], 0
    for text, group in groupby(tokens):
        count = len(list(group))
        if count >= _RUN and text.strip():
            found.append(Chip(at, at + count, f"{clipped(_shown(text), 24)}×{count}"))
        else:
            found += [Chip(at + k, at + k + 1, _shown(text) or "·") for k in range(count)]
        at += count
    return found


def _shown(text: str) -> str:
    return visible(text, lines=True).replace("\n", "↵\n")


def span_of(spans: Mapping[str, Sequence[tuple[int, int]]], count: int) -> list[str]:
    """Finds the span of every token.

    Args:
        spans: By label, ranges [start, stop) of tokens.
        count: The number n of tokens.

    Returns:
        n labels; "" for a token that belongs to no span.
    """
    found = [""] * count
    for label, ranges in spans.items():
        for start, stop in ranges:
            found[start:stop] = [label] * len(found[start:stop])
    return found


def scale_top(weights: NDArray[np.floating], spans: Mapping[str, Sequence[tuple[int, int]]]) -> float:
    """Finds the weight that gets the full colour.

    Args:
        weights: (n,) one weight for each token.
        spans: By label, ranges [start, stop) of tokens.

    Returns:
        The largest weight of a token in a span, the prompt's first token left out; without spans, of any token but the
        first. 0 if there is none.
    """
    labels = span_of(spans, len(weights))
    inside = [k for k in range(1, len(weights)) if labels[k] or not spans]
    return float(max((weights[k] for k in inside), default=0.0))


def levels(weights: NDArray[np.floating], top: float) -> list[int]:
    """Maps weights to colours.

    Args:
        weights: (n,) weights.
        top: The weight that gets the full colour.

    Returns:
        n numbers from 0 (no colour) to 20 (full colour).
    """
    if top <= 0:
        return [0] * len(weights)
    shares = np.clip(np.asarray(weights, np.float64) / top, 0, 1)
    return [int(k) for k in np.floor(LEVELS * shares + 0.5)]


def weight_text(weight: float) -> str:
    """Writes a weight in percent with two significant digits.

    Args:
        weight: The weight, in [0, 1].

    Returns:
        A text such as ``3.1 %``.
    """
    return f"{100 * weight:.2g} %" if weight < 0.0995 else f"{100 * weight:.0f} %"


def token_html(
    tokens: Sequence[str],
    weights: NDArray[np.floating],
    spans: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    *,
    top: float | None = None,
    style: bool = True,
) -> str:
    """Writes a prompt as HTML, coloured by weight.

    Args:
        tokens: The texts of n tokens.
        weights: (n,) one weight for each token: the mean attention of an answer's rows. What is missing from a sum of
            1 is the attention on the answer itself.
        spans: By label, ranges [start, stop) of tokens. Spans are underlined, and their shares are listed.
        top: The weight that gets the full colour; None takes that of :func:`scale_top`.
        style: Whether the style sheet is part of the fragment. A page with a strict policy leaves it out and has
            :data:`STYLE` in a sheet of its own.

    Returns:
        A fragment of HTML.

    Raises:
        ConfigError: The numbers of tokens and weights differ.
    """
    if len(tokens) != len(weights):
        raise ConfigError(f"{len(tokens)} tokens have {len(weights)} weights; give one weight for each token")
    known = dict(spans or {})
    labels, names = span_of(known, len(tokens)), list(known)
    top = scale_top(weights, known) if top is None else top
    pieces = chips(tokens)
    means = np.array([float(np.mean(weights[chip.start : chip.stop])) for chip in pieces])
    body = []
    for chip, mean, level in zip(pieces, means, levels(means, top), strict=True):
        label = labels[chip.start]
        classes = [
            f"w{level}",
            *([f"s{names.index(label) % _SPANS}"] if label else []),
            *(["over"] if mean > top else []),
        ]
        total = float(np.sum(weights[chip.start : chip.stop]))
        told = " · ".join([f"token {chip.start}", *([_one_line(label)] if label else []), weight_text(total)])
        body.append(f'<span class="{" ".join(classes)}" title="{escape(told)}">{escape(chip.text)}</span>')
    listed = []
    for k, label in enumerate(names):
        share = sum(float(np.sum(weights[a:b])) for a, b in known[label])
        listed.append(f'<li class="s{k % _SPANS}">{escape(_one_line(label))} <b>{weight_text(share)}</b></li>')
    free = float(np.sum([w for w, label in zip(weights, labels, strict=True) if not label]))
    listed.append(f"<li>{'no span' if names else 'prompt'} <b>{weight_text(free)}</b></li>")
    listed.append(f"<li>answer <b>{weight_text(max(1 - float(np.sum(weights)), 0.0))}</b></li>")
    head = f"<style>{STYLE}</style>" if style else ""
    legend = f'<ul class="hss">{"".join(listed)}</ul>' if listed else ""
    note = (
        f'<p class="hsn">Full colour: {weight_text(top)} of the attention on one token. Dashed: beyond the scale.</p>'
    )
    return f'{head}{legend}<div class="hst">{"".join(body)}</div>{note}'


def _one_line(text: str) -> str:
    return clipped(visible(text), 60)
