"""The losses of a recording and its questions, computed without the work that training does not need.

A recording of 13 frames has 1,900 image tokens. Five in six are patches without text. So the text model runs
here with three changes, none of which alters what it computes for an answer:

- No gradient flows through patches without text; in training, most of them are left out.
- The last layer runs only at the positions that predict an answer.
- The image features are computed once, as the vision tower is not trained.

Besides the answers' cross-entropy there are eight losses of guided attention (see
:mod:`homeostat.nano.training.guidance`).
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import torch
from torch.nn import functional as F

from homeostat.nano.data.packing import IGNORE
from homeostat.nano.data.recording_rows import Aligned, RecordingRow
from homeostat.nano.model import MATCHING_LAYER

__all__ = ["WEIGHTS", "image_features", "recording_losses", "right_answers", "run_row"]

WEIGHTS = {
    "answer": 1.0,
    "match": 0.25,
    "before": 0.25,
    "about": 0.25,
    "whose": 0.25,
    "hop": 0.5,
    "look": 0.5,
    "tally": 0.5,
    "copy": 0.5,
}
"""The weights of the losses."""
_LEAST = -30.0  # the least log-probability that counts, where a head gives its targets none


@torch.no_grad()
def image_features(model: Any, row: RecordingRow) -> torch.Tensor:
    """Computes the features of all patches of a recording.

    Args:
        model: The model.
        row: The recording.

    Returns:
        (F · P, width).
    """
    seen = model.model.get_image_features(pixel_values=row.pixels, vision_feature_layer=-1).pooler_output
    return torch.cat([frame.flatten(0, -2) for frame in seen])


def run_row(model: Any, row: RecordingRow, kept: float = 1.0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Runs the text model on a recording and its questions.

    Args:
        model: The model.
        row: The row. Its ``seen`` stands for the image features, where it has them.
        kept: The share of patches without text that the model sees, drawn at random.

    Returns:
        The last hidden states (N, width) of the N positions that predict an answer's token, in order. And the losses of
        the guided heads, by the name of the alignment in ``row``: the mean of −log of the attention's mass on the right
        positions, or for ``tally`` the divergence from equal shares; those without such positions are left out.
    """
    text, device = model.model.language_model, row.ids.device
    image = row.ids == model.config.image_token_id
    seen = row.seen if row.seen is not None else image_features(model, row)
    x = text.embed_tokens(row.ids)
    x = x.masked_scatter(image[:, None], seen[row.patches].to(x.dtype))
    blank = image & (row.words == 0)
    live, still = (~blank).nonzero()[:, 0], blank.nonzero()[:, 0]
    if kept < 1:
        still = still[torch.rand(len(still), device=device) < kept]
    order, n = torch.cat([live, still]), len(live)
    back = torch.zeros_like(row.ids)
    back[order] = torch.arange(len(order), device=device)
    own = row.branch[order]
    mask = (order[None] <= order[:, None]) & ((own[None] == 0) | (own[None] == own[:, None]))
    cos, sin = (table[0].float() for table in text.rotary_emb(x, row.positions[order][None]))
    x, y = x[live], x[still].detach()
    asked = back[(row.labels != IGNORE).nonzero()[:, 0]]
    heads = _guided_heads(model, row)
    losses = defaultdict[str, list[torch.Tensor]](list)
    for i, layer in enumerate(text.layers):
        scaling = layer.self_attn.scaling
        q, k, v = _projected(layer, x, cos[:n], sin[:n])
        with torch.no_grad():
            still_q, still_k, still_v = _projected(layer, y, cos[n:], sin[n:])
        k, v = torch.cat([k, still_k], 1), torch.cat([v, still_v], 1)
        for head, aligned, name in heads.get(i, ()):
            if len(aligned.at):
                at = back[aligned.at]
                guidance = _shared if name == "tally" else _guidance
                losses[name].append(guidance(q[head, at] @ k[head].mT, aligned.there[:, order], mask[at], scaling))
        if i == len(text.layers) - 1:
            x = _finished(layer, x[asked], _attended(q[:, asked], k, v, mask[asked], scaling))
        else:
            x = _finished(layer, x, _attended(q, k, v, mask[:n], scaling))
            with torch.no_grad():
                seen_by = F.scaled_dot_product_attention(still_q[None], k[None], v[None], attn_mask=mask[n:])[0]
                y = _finished(layer, y, seen_by)
    return text.norm(x), {name: torch.stack(values).mean() for name, values in losses.items()}


def recording_losses(model: Any, row: RecordingRow, kept: float = 1.0) -> dict[str, torch.Tensor]:
    """Computes the losses of a recording.

    Args:
        model: The model.
        row: The recording and its questions.
        kept: As for :func:`run_row`.

    Returns:
        ``answer``: the cross-entropy of an answer, summed over its tokens and averaged over the questions. And what
        :func:`run_row` returns.
    """
    hidden, losses = run_row(model, row, kept)
    each = F.cross_entropy(model.lm_head(hidden).float(), row.labels[row.labels != IGNORE], reduction="sum")
    return losses | {"answer": each / len(row.kinds)}


@torch.no_grad()
def right_answers(model: Any, row: RecordingRow) -> list[bool]:
    """Judges the answers that greedy decoding gives.

    Args:
        model: The model.
        row: The recording and its questions.

    Returns:
        For each question, whether every token of the answer is right.
    """
    hidden, _ = run_row(model, row)
    asked = row.labels != IGNORE
    hit = model.lm_head(hidden).argmax(-1) == row.labels[asked]
    return [bool(hit[row.branch[asked] == n + 1].all()) for n in range(len(row.kinds))]


def _guided_heads(model: Any, row: RecordingRow) -> dict[int, list[tuple[int, Aligned, str]]]:
    """Layer -> the heads that are guided in it, with their targets and the names of the losses."""
    last = len(model.model.language_model.layers) - 1
    heads = model.config.text_config.num_attention_heads
    found = defaultdict[int, list[tuple[int, Aligned, str]]](list)
    found[MATCHING_LAYER] += [(0, row.match, "match"), (1, row.before, "before"), (2, row.about, "about")]
    found[MATCHING_LAYER + 1] += [(0, row.hop, "hop"), (1, row.whose, "whose")]
    found[last - 1] += [(0, row.look, "look"), (1, row.look, "look"), (2, row.tally, "tally")]
    found[last] += [(heads - 2, row.copy, "copy"), (heads - 1, row.copy, "copy")]
    return found


def _projected(
    layer: Any, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Queries, keys and values (heads, N, dimension) of hidden states (N, width)."""
    attention, h = layer.self_attn, layer.input_layernorm(x)
    q, k, v = (
        project(h).unflatten(-1, (-1, attention.head_dim)).transpose(0, 1)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    q, k = _turned(attention.q_norm(q), cos, sin), _turned(attention.k_norm(k), cos, sin)
    return q.to(v.dtype), k.to(v.dtype), v


def _turned(x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
    half = x.shape[-1] // 2
    return x * cos + torch.cat([-x[..., half:], x[..., :half]], -1) * sin


def _attended(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor, scaling: float) -> torch.Tensor:
    """Attention in plain products: on a CPU, its backward pass is quicker than that of the fused kernel with a mask."""
    bias = torch.zeros_like(mask, dtype=q.dtype).masked_fill(~mask, float("-inf"))
    scores = torch.baddbmm(bias.expand(len(q), *bias.shape), q, k.mT, alpha=scaling)
    return scores.softmax(-1) @ v


def _finished(layer: Any, x: torch.Tensor, attended: torch.Tensor) -> torch.Tensor:
    """The layer's output from its input and what its heads attended to."""
    x = x + layer.self_attn.o_proj(attended.transpose(0, 1).flatten(1))
    result: torch.Tensor = x + layer.mlp(layer.post_attention_layernorm(x))
    return result


def _guidance(products: torch.Tensor, there: torch.Tensor, mask: torch.Tensor, scaling: float) -> torch.Tensor:
    logs = (products.float() * scaling).masked_fill(~mask, float("-inf")).log_softmax(-1)
    return -logs.masked_fill(~there, float("-inf")).logsumexp(-1).clamp(min=_LEAST).mean()


def _shared(products: torch.Tensor, there: torch.Tensor, mask: torch.Tensor, scaling: float) -> torch.Tensor:
    """The divergence of the attention from equal shares, so that the share of each place tells their number."""
    logs = (products.float() * scaling).masked_fill(~mask, float("-inf")).log_softmax(-1).clamp(min=_LEAST)
    places = there.sum(-1)
    return (-(logs * there).sum(-1) / places - places.log()).mean()
