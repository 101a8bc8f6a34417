"""The attention function that the probe registers: it computes the output, records the weights, and steers.

It takes one of four paths:

- *Unobserved*: nothing is recorded or steered, so torch's fused kernel computes the output and nothing else happens.
- *Decoding* (one query): attention is computed explicitly, once, and the masses are read from its weights.
- *Explicit*: if the fused kernel cannot compute the scores (a soft cap, learned sinks, stretched logits), or if rules
  move mass over a large part of the prompt, the output is computed from all weights, in row chunks.
- *Fused*: otherwise the fused kernel computes the output, of parts of the keys if rules steer them, and the weights of
  the last rows are computed again, in chunks, to record their masses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from homeostat.errors import ProbeError
from homeostat.sensors.probe.explicit_attention import (
    AttentionScoring,
    RowMask,
    attend,
    row_chunks,
    row_ranges,
    visible,
)
from homeostat.sensors.steering.moving import move
from homeostat.sensors.steering.parts import attend_in_parts, can_attend_in_parts
from homeostat.sensors.steering.settling import Settling

if TYPE_CHECKING:
    from homeostat.sensors.probe.recorder import Recorder
    from homeostat.sensors.probe.row_recorders import RowRecorders
    from homeostat.sensors.steering.binding import Steering
    from homeostat.sensors.steering.reweighting import LayerSteering
    from homeostat.sensors.steering.row_steering import RowSteering

__all__ = ["PROBES", "probe_attention"]


class Watcher(Protocol):
    """What a watched module's attention is handed to: :class:`~homeostat.sensors.Probe`."""

    @property
    def recorder(self) -> Recorder | RowRecorders | None:
        """Collects the weights of the present run; None outside of one."""
        ...

    @property
    def steering(self) -> Steering | RowSteering | None:
        """How the present run is steered; None where it is not."""
        ...


PROBES: WeakKeyDictionary[nn.Module, Watcher] = WeakKeyDictionary()
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
    """Computes one layer's attention for transformers, and hands the weights to the probe.

    Args:
        module: The attention module; the probe is looked up by it.
        query: (B, H, Q, D) queries.
        key: (B, G, K, D) keys, of G key/value heads.
        value: (B, G, K, D) values.
        attention_mask: The mask that transformers builds for SDPA, or None.
        dropout: The dropout probability.
        scaling: The factor of q·k; None means 1/√D.
        is_causal: Whether the layer is causal; None takes it from the module.
        kwargs: What else transformers passes, such as ``softcap`` and ``s_aux``.

    Returns:
        The (B, Q, H, D) output, and None in place of the weights.

    Raises:
        ProbeError: The call has an argument that changes the weights in a way that the probe cannot reproduce.
    """
    probe = PROBES.get(module)
    run = probe.recorder if probe is not None else None
    recorder = run if run is not None and run.active else None
    steering = probe.steering if probe is not None else None
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    scoring = AttentionScoring(scale, kwargs.get("softcap"), kwargs.get("s_aux"))
    if recorder is None and steering is None and scoring.fused:
        return sdpa_attention_forward(module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs)
    # transformers' attention modules need not have the attribute; its own SDPA function assumes the same default.
    causal = bool(getattr(module, "is_causal", True) if is_causal is None else is_causal)
    queries = query.shape[2]
    if attention_mask is None and causal and 1 < queries < key.shape[2]:
        # Upper-left causal: all rows are blind to a static cache's keys past the last row.
        key, value = key[:, :, :queries], value[:, :, :queries]
    rows = RowMask(attention_mask, queries, key.shape[2], causal, query.device)
    rules: LayerSteering | None = None
    index: Any = getattr(module, "layer_idx", -1)
    if steering is not None and run is not None:
        rules = steering.bind(index, query, key, run.total)
    if recorder is not None:
        if kwargs:
            _refuse(module, kwargs)
        recorder.open_layer()
        if recorder.reader is not None:
            first = recorder.forwards[-1].start
            recorder.reader.queries(index, query, key, scale, first, recorder.slots())
    beside = queries > 1 and scoring.fused and not dropout
    in_parts = rules is not None and beside and can_attend_in_parts(rules, query, key, value)
    explicit = not scoring.fused or (
        rules is not None
        and not in_parts
        and (rules.needs_weights or rules.moves_much or bool(dropout and rules.moves))
    )
    if rules is not None and not rules.settled and (explicit or queries == 1):
        rules = _settled(scoring, query, key, rows, rules)
        if steering is not None:
            steering.keep(index, rules)
    if queries == 1 and not dropout and (recorder is not None or rules is not None):
        out = _decode(scoring, query, key, value, rows, rules, recorder)
    elif explicit:
        out = _attend_explicitly(scoring, query, key, value, rows, rules, recorder, dropout)
    else:
        if rules is not None and (rules.has_gains or rules.moves):
            if in_parts:
                out, rules, again = attend_in_parts(rules, query, key, value, scoring, rows)
            else:
                settings = dropout, is_causal, kwargs
                out, rules, again = _attend_widened(module, scoring, query, key, value, rows, rules, *settings)
            for first, stop in row_ranges(again, query.shape[0] * query.shape[1] * key.shape[2]):
                out[:, first:stop] = attend(_weights(scoring, query, key, rows, rules, first, stop), value)
        else:
            out, _ = sdpa_attention_forward(
                module, query, key, value, attention_mask, dropout, scaling, is_causal, **kwargs
            )
        if recorder is not None:
            _record_last_rows(scoring, query, key, rows, rules, recorder)
    if rules is not None:
        out = rules.outputs(out)
    if recorder is not None:
        recorder.add_outputs(out)
        recorder.close_layer()
    return out, None


def _decode(
    scoring: AttentionScoring,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rows: RowMask,
    rules: LayerSteering | None,
    recorder: Recorder | RowRecorders | None,
) -> Tensor:
    """(B, 1, H, D): attends with the only row, and records it. Computing its weights twice would double the cost."""
    weights = _weights(scoring, query, key, rows, rules, 0, 1)
    if recorder is not None:
        recorder.add(weights, rows, rows.mask, 0)
    return attend(weights, value)


def _attend_explicitly(
    scoring: AttentionScoring,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rows: RowMask,
    rules: LayerSteering | None,
    recorder: Recorder | RowRecorders | None,
    dropout: float,
) -> Tensor:
    """(B, Q, H, D): attends from all weights, in row chunks, and records the last rows."""
    queries = query.shape[2]
    recorded = queries if recorder is None else queries - recorder.wanted  # the first row that is recorded
    parts = []
    for first, stop in row_chunks(0, queries, query.shape[0] * query.shape[1] * key.shape[2]):
        mask = rows.rows(first, stop)
        weights = _weights(scoring, query, key, rows, rules, first, stop)
        parts.append(attend(nn.functional.dropout(weights, dropout) if dropout else weights, value))
        if recorder is not None and recorder.reader is not None and first < recorded:
            recorder.read_unrecorded(weights[:, :, : recorded - first], first)
        if recorder is not None and stop > recorded:
            skip = max(recorded - first, 0)
            kept = mask[:, :, skip:] if mask is not None and mask.shape[2] > 1 else mask
            recorder.add(weights[:, :, skip:], rows, kept, first + skip)
    return parts[0] if len(parts) == 1 else torch.cat(parts, 1)


def _attend_widened(
    module: nn.Module,
    scoring: AttentionScoring,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    rows: RowMask,
    rules: LayerSteering,
    dropout: float,
    is_causal: bool | None,
    settings: dict[str, Any],
) -> tuple[Tensor, LayerSteering, list[int]]:
    """Steers beside the fused kernel, with gains as further channels.

    Returns the (B, Q, H, D) output, the settled rules, and the rows that have to be computed from all weights instead.
    """
    wide = rules.widen(query, key, value, scoring.scale)
    out, _ = sdpa_attention_forward(module, *wide, rows.mask, dropout, scoring.scale, is_causal, **settings)
    size = value.shape[-1]
    held, out, channels = out[..., size], out[..., :size].contiguous(), out
    if rules.raising:
        found, mask = Settling(rules), rows.mask
        valid = None if mask is None else visible(mask).any(-1)
        for place, rule in enumerate(rules.raising, size + 1):
            found.add_mass(rule, channels[..., place].transpose(1, 2), valid, 0)
        rules = found.result()
    again = move(rules, out, held, query, key, value, scoring, rows) if rules.moves else []
    return out, rules, again


def _settled(
    scoring: AttentionScoring, query: Tensor, key: Tensor, rows: RowMask, rules: LayerSteering
) -> LayerSteering:
    """The rules after a first pass over all rows, which finds what they depend on."""
    found = Settling(rules)
    for first, stop in row_chunks(0, query.shape[2], query.shape[0] * query.shape[1] * key.shape[2]):
        mask = rows.rows(first, stop)
        asked = query[:, :, first:stop]
        weights = scoring.weights(asked, key, rows.last_keys(first, stop), rules.on_scores(first, stop))
        found.add(weights, None if mask is None else visible(mask), first)
    return found.result()


def _record_last_rows(
    scoring: AttentionScoring,
    query: Tensor,
    key: Tensor,
    rows: RowMask,
    rules: LayerSteering | None,
    recorder: Recorder | RowRecorders,
) -> None:
    """Computes the weights of the rows that the recorder wants once more, and records them."""
    queries = query.shape[2]
    row_size = query.shape[0] * query.shape[1] * key.shape[2]
    if recorder.reader is not None and recorder.reader.every_row:
        for first, stop in row_chunks(0, queries - recorder.wanted, row_size):
            mask = rows.rows(first, stop)
            recorder.read_unrecorded(_weights(scoring, query, key, rows, rules, first, stop), first)
    for first, stop in row_chunks(queries - recorder.wanted, queries, row_size):
        mask = rows.rows(first, stop)
        recorder.add(_weights(scoring, query, key, rows, rules, first, stop), rows, mask, first)


def _weights(
    scoring: AttentionScoring,
    query: Tensor,
    key: Tensor,
    rows: RowMask,
    rules: LayerSteering | None,
    first: int,
    stop: int,
) -> Tensor:
    """(B, H, r, K): the weights of the rows ``first`` to ``stop``, after steering if there are rules."""
    asked = query[:, :, first:stop]
    mask = rows.last_keys(first, stop)
    if rules is None:
        return scoring.weights(asked, key, mask)
    return rules.retarget(scoring.weights(asked, key, mask, rules.on_scores(first, stop)), first, stop)


def _refuse(module: nn.Module, settings: dict[str, Any]) -> None:
    for name in _UNREADABLE:
        if settings.get(name) is not None:
            raise ProbeError(
                f"{type(module).__name__!r} passes {name!r} to its attention, which the probe cannot read exactly"
            )
