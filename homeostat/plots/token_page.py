"""A page of its own with a coloured prompt: one file that needs no network.

A few lines of script recolour the prompt for a range of layers or a single head. The policy in the page allows this
script and this style sheet only, by their hashes, and nothing from elsewhere. The script holds no foreign text: it
reads numbers. Without the script, the page shows the mean.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
from numpy.typing import NDArray

from homeostat.foreign_text import visible
from homeostat.plots.token_html import LEVELS, STYLE, chips, span_of, token_html

__all__ = ["token_page"]

_MOST = 1_000_000
"""The most weights that a page holds; beyond, those of single heads are left out."""
_UNIT = 1e6

_PAGE_STYLE = (
    ":root{color-scheme:light dark}body{background:Canvas;color:CanvasText;font:16px/1.5 system-ui,sans-serif;"
    "max-width:60rem;margin:1.5rem auto;padding:0 1rem}h1{font-size:1.3rem}"
    "form{display:flex;flex-wrap:wrap;gap:.5rem 1.5rem;align-items:center}label{display:flex;gap:.5rem;"
    "align-items:center}output{min-width:2ch}.answer{white-space:pre-wrap;overflow-wrap:anywhere;"
    "border-left:3px solid currentColor;padding-left:.8rem}"
)
_SCRIPT = """
const data = JSON.parse(document.getElementById("weights").textContent);
const form = document.getElementById("choice"), tokens = document.querySelectorAll(".hst > span");
const first = form.elements.first, last = form.elements.last, head = form.elements.head;
function shown(value) {
  return (value < 9.95 ? Number(value.toPrecision(2)) : Math.round(value)) + " %";
}
function draw() {
  const from = Math.min(+first.value, +last.value), to = Math.max(+first.value, +last.value);
  const which = head && head.value !== "all" ? [+head.value] : [...data.weights[0].keys()];
  form.elements.firstLayer.value = data.layers[+first.value];
  form.elements.lastLayer.value = data.layers[+last.value];
  const mean = new Float64Array(data.tokens);
  for (let l = from; l <= to; l++) for (const h of which)
    data.weights[l][h].forEach((w, k) => { mean[k] += w / data.unit / (to - from + 1) / which.length; });
  const sum = ([a, b]) => mean.slice(a, b).reduce((x, y) => x + y, 0);
  const top = Math.max(0, ...data.inside.map(k => mean[k]));
  data.chips.forEach((range, k) => {
    const value = sum(range) / (range[1] - range[0]), piece = tokens[k];
    const level = top > 0 ? Math.floor(data.levels * Math.min(value / top, 1) + 0.5) : 0;
    const kept = [...piece.classList].filter(name => name.startsWith("s"));
    piece.className = ["w" + level, ...kept, ...(value > top ? ["over"] : [])].join(" ");
    piece.title = piece.title.replace(/[^·]*$/, " " + shown(100 * sum(range)));
  });
  document.querySelectorAll(".hss b").forEach((place, k) => {
    const whole = data.spans[k] || [[0, data.tokens]], found = whole.reduce((x, range) => x + sum(range), 0);
    place.textContent = shown(100 * (k < data.spans.length ? found : Math.max(1 - found, 0)));
  });
  const note = document.querySelector(".hsn");
  note.textContent = note.textContent.replace(/: .*? % /, ": " + shown(100 * top) + " ");
}
form.hidden = false;
form.addEventListener("input", draw);
"""


def token_page(
    tokens: Sequence[str],
    weights: NDArray[np.floating],
    layers: Sequence[int],
    spans: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    *,
    title: str = "Attention on the prompt",
    answer: str = "",
    heads: Sequence[int] | None = None,
) -> str:
    """Writes a page with a prompt that is coloured by attention.

    Args:
        tokens: The texts of n tokens.
        weights: (L, H, n) the weight on each token, by layer and head. NaN marks what is not shown.
        layers: The numbers of the L layers.
        spans: By label, ranges [start, stop) of tokens.
        title: The page's title.
        answer: The answer's text; "" if it is unknown.
        heads: The numbers of the H heads; None counts them from 0.

    Returns:
        The page as HTML.
    """
    known = dict(spans or {})
    mean = np.nanmean(np.asarray(weights, np.float64), axis=(0, 1))
    controls = not np.isnan(weights).any()  # else the heads are no rectangle of layers and heads
    numbers = list(range(weights.shape[1]) if heads is None else heads)
    body = [f"<h1>{escape(visible(title))}</h1>"]
    if controls:
        body.append(_form(layers, numbers if weights.size <= _MOST else ()))
    body.append(token_html(tokens, mean, known, style=False))
    if answer:
        body.append(f'<h2>Answer</h2><p class="answer">{escape(visible(answer, lines=True))}</p>')
    if controls:
        body += [f'<script type="application/json" id="weights">{_data(tokens, weights, layers, known)}</script>']
        body += [f"<script>{_SCRIPT}</script>"]
    style = STYLE + _PAGE_STYLE
    policy = f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(_SCRIPT)}; base-uri 'none'"
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(visible(title))}</title><style>{style}</style></head><body><main>"
        f"{''.join(body)}</main></body></html>\n"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _form(layers: Sequence[int], heads: Sequence[int]) -> str:
    last = len(layers) - 1

    def slider(name: str, text: str, value: int) -> str:
        return (
            f'<label>{text} <input type="range" name="{name}" min="0" max="{last}" value="{value}">'
            f'<output name="{name}Layer">{layers[value]}</output></label>'
        )

    choice = "".join(f'<option value="{k}">{h}</option>' for k, h in enumerate(heads))
    select = f'<label>head <select name="head"><option value="all">all</option>{choice}</select></label>'
    return (
        f'<form id="choice" hidden>{slider("first", "from layer", 0)}{slider("last", "to layer", last)}'
        f"{select if heads else ''}</form>"
    )


def _data(
    tokens: Sequence[str],
    weights: NDArray[np.floating],
    layers: Sequence[int],
    spans: Mapping[str, Sequence[tuple[int, int]]],
) -> str:
    """The numbers that the script reads, as JSON without a character that HTML knows."""
    labels = span_of(spans, len(tokens))
    kept = np.asarray(weights, np.float64)
    kept = kept if kept.size <= _MOST else kept.mean(1, keepdims=True)
    ranges = [[list(map(int, pair)) for pair in spans[label]] for label in spans]
    free = [[k, k + 1] for k, label in enumerate(labels) if not label]
    told = {
        "layers": [int(layer) for layer in layers],
        "tokens": len(tokens),
        "levels": LEVELS,
        "unit": _UNIT,
        "chips": [[chip.start, chip.stop] for chip in chips(tokens)],
        "inside": [k for k in range(1, len(tokens)) if labels[k] or not spans],
        "spans": [*ranges, free],
        "weights": np.rint(kept * _UNIT).astype(int).tolist(),
    }
    return json.dumps(told, separators=(",", ":"))
