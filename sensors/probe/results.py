"""Turns what a run collected into :class:`~homeostat.sensors.attempts.SpanMass`, one for each row of the batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors.attempts import SpanMass
from homeostat.sensors.probe.key_columns import repeat_rows
from homeostat.sensors.probe.recorder import Forward, Recorder
from homeostat.sensors.spans import OUTPUT, Spans

__all__ = ["first_tokens", "follow_beams", "span_masses"]

_PER_TOKEN = (
    "mass",
    "visible",
    "sink",
    "sink_in_span",
    "index",
    "recent",
    "entropy",
    "distance",
    "top",
    "outputs",
    "prompt_keys",
)
"""The fields of :class:`SpanMass`, besides ``keys``, that have one row for each recorded token."""


def span_masses(recorder: Recorder) -> tuple[SpanMass, ...]:
    """Assembles the span masses of every row of the batch.

    Args:
        recorder: What the run collected.

    Returns:
        One result for each row of the batch.

    Raises:
        ProbeError: The run is incomplete, a span ends after the prompt, or the attention is not a number.
    """
    forwards, layers = recorder.forwards, recorder.layers
    if not forwards:
        raise ProbeError(
            "no forward ran since prepare() or start(); call model.generate(**inputs) in the block of with watch(...)"
        )
    if len(forwards[-1].mass) != len(layers):
        raise ProbeError(f"only {len(forwards[-1].mass)} of the {len(layers)} probed layers ran in the last forward")
    if recorder.length is None:
        recorder.end_prompt(recorder.total)
    length = recorder.length
    assert length is not None
    recorder.check_ends()
    batch = max(max(f.mass[0][0].shape[0] for f in forwards), len(recorder.spans))
    stacked = [_stack(f, batch) for f in forwards]
    slots = np.concatenate([np.arange(f.first, f.start + f.queries) for f in forwards])
    width = len(recorder.labels) + 1
    mass = np.concatenate([m[..., :width] for m, _ in stacked], axis=1)  # (B, rows, L, H, S)
    seen = np.concatenate([v for _, v in stacked], axis=1)  # (B, rows)
    if np.isnan(mass).any():
        layer = layers[int(np.argwhere(np.isnan(mass))[0][2])]
        raise ProbeError(f"attention of layer {layer} is not a number: the cache, the inputs or the weights hold NaN")
    mass *= (seen > 0)[..., None, None, None]
    prompt = np.flatnonzero(slots < length)[-recorder.rows if recorder.rows else None :]
    token = slots - length + 1
    tokens = np.flatnonzero((token >= 0) & (token % recorder.every == 0))
    if not len(tokens):
        raise ProbeError(f"the model ran on only {recorder.total} of the prompt's {length} slots; run the rest")
    sink = _sinks(recorder, stacked, batch)
    more, received = _readouts(recorder, slots[tokens], batch)
    found = []
    for b in range(batch):
        spans = recorder.spans[b * len(recorder.spans) // batch]
        columns = [recorder.labels.index(label) for label in spans] + [len(recorder.labels)]
        mine = {name: values[b] for name, values in more.items()}
        sinks, inside = _sinks_in_spans(recorder, sink, b, batch)
        found.append(
            SpanMass(
                labels=(*spans.labels, OUTPUT),
                layers=layers,
                mass=np.ascontiguousarray(mass[b][tokens][..., columns]),
                prompt_mass=np.ascontiguousarray(mass[b][prompt][..., columns]),
                lengths=np.array([*_held(recorder, spans), recorder.total - length], np.int64),
                visible=seen[b][tokens],
                sink=sinks,
                sink_in_span=inside,
                index=token[tokens] if recorder.every > 1 else None,
                keys={s: mine[f"keys.{s}"][..., : spans.tokens(s)] for s in spans if f"keys.{s}" in mine},
                received=None if received is None else received[b],
                prompt=length,
                spans=spans,
                **{name: values for name, values in mine.items() if not name.startswith("keys.")},
            )
        )
    return tuple(found)


def _held(recorder: Recorder, spans: Spans) -> list[int]:
    """For each span, the number of its keys that the cache holds: all, or the mean over a thinned cache's heads."""
    if not recorder.held:
        return [spans.tokens(label) for label in spans]
    found = []
    for label in spans:
        member = np.zeros(recorder.total, bool)
        for start, stop in spans[label]:
            member[start:stop] = True
        shares = [member[slots.cpu().numpy()].sum(-1).mean() for slots in recorder.held.values()]
        found.append(round(float(np.mean(shares))))
    return found


def first_tokens(mass: SpanMass, tokens: int) -> SpanMass:
    """Cuts a result to its first generated tokens.

    Args:
        mass: The result.
        tokens: The number of generated tokens to keep.

    Returns:
        The shorter result.

    Raises:
        ConfigError: Fewer tokens were read.
    """
    if not 0 <= tokens <= int(mass.lengths[-1]) + 1:
        raise ConfigError(
            f"tokens={tokens!r} is more than the {int(mass.lengths[-1]) + 1} that were read; pass the row's own count"
        )
    lengths = mass.lengths.copy()
    lengths[-1] = max(tokens - 1, 0)
    return _taken(mass, [mass] * len(mass.mass), np.flatnonzero(mass.position < tokens), lengths)


def follow_beams(masses: Sequence[SpanMass], beams: Sequence[int]) -> SpanMass:
    """Assembles the result of one sequence that a beam search returned.

    Args:
        masses: The results of all rows of the batch.
        beams: For each token t, the row of the batch whose query produced it. These are the ``beam_indices`` of
            ``generate``, without the negative ones.

    Returns:
        The sequence's result.

    Raises:
        ConfigError: There is no beam, or a beam is not a row of the batch.
    """
    if not beams or not all(0 <= b < len(masses) for b in beams):
        raise ConfigError(f"beams={list(beams)!r} are not rows of a batch of {len(masses)}")
    at = [row for row, token in enumerate(masses[0].position) if token < len(beams)]
    lengths = masses[0].lengths.copy()
    lengths[-1] = len(beams) - 1
    chosen = [masses[beams[int(masses[0].position[row])]] for row in at]
    return _taken(masses[beams[0]], chosen, np.array(at, np.int64), lengths)


def _taken(base: SpanMass, rows: Sequence[SpanMass], at: NDArray[np.int64], lengths: NDArray[np.int64]) -> SpanMass:
    """``base`` with row k of every field that has one row per token taken from ``rows[k]``, at position ``at[k]``."""

    def take(values: Any, of: Any) -> Any:
        if values is None:
            return None
        return np.stack([of(one)[i] for one, i in zip(rows, at, strict=False)]) if len(at) else values[:0]

    known = {field.name for field in fields(SpanMass)}
    return replace(
        base,
        lengths=lengths,
        keys={s: take(values, lambda one, s=s: one.keys[s]) for s, values in base.keys.items()},
        **{n: take(getattr(base, n), lambda one, n=n: getattr(one, n)) for n in _PER_TOKEN if n in known},
    )


def _stack(forward: Forward, batch: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """(B, r, L, H, C) masses, and (B, r) visible keys, the largest number over the layers."""
    home = forward.mass[0][0].device
    if len({chunks[0].shape[1] for chunks in forward.mass}) > 1:
        raise ProbeError("the probed layers differ in their number of heads; probe layers with the same number")
    layers = [chunks[0] if len(chunks) == 1 else torch.cat(chunks, 2) for chunks in forward.mass]
    mass = repeat_rows(torch.stack([m.to(home) for m in layers]).permute(1, 3, 0, 2, 4), batch)
    rows = mass.shape[1]
    seen = np.zeros((batch, rows), np.int64)
    for count in {id(v): v for v in forward.visible}.values():
        here = count if isinstance(count, int) else repeat_rows(count, batch).cpu().numpy()
        seen = np.maximum(seen, np.minimum(here, forward.start + forward.queries))
    return mass.cpu().numpy(), seen


def _sinks(
    recorder: Recorder, stacked: list[tuple[NDArray[np.float32], NDArray[np.int64]]], batch: int
) -> NDArray[np.float32] | None:
    """(B, T, L, H, m) weight on each sink in every generated token's row; None if sinks were not measured."""
    if recorder.sinks is None or recorder.sinks.first is None or recorder.length is None:
        return None
    width = len(recorder.labels) + 1
    parts = [repeat_rows(recorder.sinks.first.permute(1, 0, 2, 3), batch).cpu().numpy()[:, None]]
    for forward, (mass, _) in zip(recorder.forwards, stacked, strict=True):
        later = mass[:, max(recorder.length - forward.first, 0) :, ..., width:]
        if later.shape[1]:
            parts.append(later)
    return np.concatenate(parts, axis=1)


def _sinks_in_spans(
    recorder: Recorder, sink: NDArray[np.float32] | None, b: int, batch: int
) -> tuple[NDArray[np.float32] | None, NDArray[np.float32] | None]:
    """(T, L, H) mass on all sinks, and (T, L, H, S) on those within each span."""
    if sink is None or recorder.sinks is None or recorder.sinks.slots is None:
        return None, None
    spans = recorder.spans[b * len(recorder.spans) // batch]
    at = repeat_rows(recorder.sinks.slots, batch)[b].tolist()
    member = np.zeros((len(at), len(spans) + 1), np.float32)
    for m, slot in enumerate(at):
        for s, label in enumerate(spans.labels):
            member[m, s] = any(start <= slot < stop for start, stop in spans[label])
    return sink[b].sum(-1), sink[b] @ member


def _readouts(
    recorder: Recorder, slots: NDArray[np.int64], batch: int
) -> tuple[dict[str, NDArray[Any]], NDArray[np.float32] | None]:
    """By name, (B, T, L, H, …) arrays; and (B, L, H, n), what the prompt's first slots received."""
    if recorder.readouts is None or recorder.length is None:
        return {}, None
    more = {name: v.repeat(batch // len(v), 0) for name, v in recorder.readouts.rows(slots, recorder.length).items()}
    received = recorder.readouts.received(recorder.length)
    return more, None if received is None else received.repeat(batch // len(received), 0)
