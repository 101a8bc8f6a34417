"""The attention function that the probe registers: it computes the output, hands over the weights, and steers.

- Prefill: torch's fused kernel computes the output; the last rows are computed again, in chunks, for their masses.
- Decode (one query): attention is computed once, by hand, and the masses are read off its weights.
- Scores that the fused kernel can't do (a soft cap, learned sinks, stretched logits), and masses that are moved over
  much of the prompt: by hand, in row chunks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from homeostat.errors import ProbeError
from homeostat.sensors.probe.explicit_attention import RowMask, Scoring, attend, row_chunks

if TYPE_CHECKING:
    from homeostat.sensors.probe.probe import Probe
    from homeostat.sensors.steering.reweighting import BoundSteering

__all__ = ["PROBES", "probe_attention"]

PROBES: WeakKeyDictionary[nn.Module, Probe] = WeakKeyDictionary()
"""The probe of every watched attention module."""

_UNREADABLE = ("position_bias", "indices", "block_indices", "cache")


@torch.compiler.disable  # type: ignore[untyped-decorator]
def probe_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    is_causal: bool | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The registered attention function: (B, H, Q, D) on (B, G, K, D) gives (B, Q, H, D), and the probe its masses."""
    probe = PROBES.get(module)
    run = probe.recorder if probe is not None else None
    recorder = run if run is not None and run.active else None
    steering = probe.steering if probe is not None else None
    softcap, sinks = kwargs.get("softcap"), kwargs.get("s_aux")
    scoring = Scoring(query.shape[-1] ** -0.5 if scaling is None else scaling, softcap, sinks)
    if recorder is None and steering is None and scoring.fused:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs)
    causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
    queries = query.shape[2]
    if attention_mask is None and causal and 1 < queries < key.shape[2]:
        # Upper-left causal: a static cache's keys past the rows are hidden from all of them.
        key, value = key[:, :, :queries], value[:, :, :queries]
    rows = RowMask(attention_mask, queries, key.shape[2], causal, query.device)
    bound = None
    if steering is not None and run is not None:
        index: Any = module.layer_idx
        bound = steering.bind(index, query, key, run.total)
    wanted = 0
    if recorder is not None:
        if kwargs:
            _refuse(module, kwargs)
        recorder.open_layer()
        wanted = recorder.wanted
    if queries == 1 and not dropout and run is not None and (recorder is not None or bound is not None):
        # Decoding: the loop below for its one row, without the loop.
        weights = _weights(scoring, query, key, attention_mask, bound, 0, 1)
        one = attend(weights, value)
        one = one if bound is None else bound.outputs(one)
        if recorder is not None:
            recorder.add(weights, rows, attention_mask, 0)
            recorder.add_outputs(one)
            recorder.close_layer()
        return one, None
    by_hand = not scoring.fused or (bound is not None and (bound.needs_weights or bool(dropout and bound.moves)))
    out = None
    if not by_hand:
        widens = bound is not None and (bound.has_gains or bound.moves)
        wide = bound.widen(query, key, value, scoring.scale) if bound is not None and widens else (query, key, value)
        scale = scoring.scale if widens else scaling
        out, _ = sdpa_attention_forward(module, *wide, attention_mask, dropout, scale, is_causal, **kwargs)
        if bound is not None and widens:
            held, out = out[..., value.shape[-1]], out[..., : value.shape[-1]].contiguous()
            for first, stop in bound.move(out, held, query, key, value, scoring, rows) if bound.moves else ():
                weights = _weights(scoring, query, key, rows.rows(first, stop), bound, first, stop)
                out[:, first:stop] = attend(weights, value)
    parts = []
    start = 0 if by_hand else queries - wanted
    for first, stop in row_chunks(start, queries, query.shape[0] * query.shape[1] * key.shape[2]):
        mask = rows.rows(first, stop)
        weights = _weights(scoring, query, key, mask, bound, first, stop)
        if by_hand:
            dropped = nn.functional.dropout(weights, dropout) if dropout else weights
            parts.append(attend(dropped, value))
        if recorder is not None and stop > queries - wanted:
            skip = max(queries - wanted - first, 0)
            kept = mask[:, :, skip:] if mask is not None and mask.shape[2] > 1 else mask
            recorder.add(weights[:, :, skip:], rows, kept, first + skip)
    if out is None:
        out = parts[0] if len(parts) == 1 else torch.cat(parts, 1)
    if bound is not None:
        out = bound.outputs(out)
    if recorder is not None:
        recorder.add_outputs(out)
        recorder.close_layer()
    return out, None


def _weights(
    scoring: Scoring,
    query: Tensor,
    key: Tensor,
    mask: Tensor | None,
    bound: BoundSteering | None,
    first: int,
    stop: int,
) -> Tensor:
    """(B, H, r, K) weights of the rows ``first`` to ``stop``, steered where there are rules."""
    asked = query[:, :, first:stop]
    if bound is None:
        return scoring.weights(asked, key, mask)
    raw = scoring.weights(asked, key, mask, bound.bias(first, stop), bound.stretch(first, stop))
    return bound.retarget(raw, first, stop)


def _refuse(module: nn.Module, settings: dict[str, Any]) -> None:
    for name in _UNREADABLE:
        if settings.get(name) is not None:
            raise ProbeError(f"{type(module).__name__!r} attends with {name!r}, which the probe can't read exactly")
