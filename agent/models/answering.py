"""Answers one call of a TransformersModel by transformers' ``generate``, beside no other call."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from homeostat.agent.models.capacity import free_memory, is_out_of_memory, out_of_memory
from homeostat.agent.models.generation import PROBED_ROWS, GenerationCall, cut_at_stop
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.chat.token_texts import token_texts

if TYPE_CHECKING:
    from homeostat.agent.models.kv_cache import KeyValueCache
    from homeostat.agent.models.stopping import CallStop
    from homeostat.agent.models.transformers_model import TransformersModel
    from homeostat.sensors import Probe

__all__ = ["answer_call"]


def answer_call(
    model: TransformersModel, cache: KeyValueCache, rendered: Rendered, call: GenerationCall, stop: CallStop
) -> list[Attempt]:
    """Answers a call: all at once, or in smaller batches where memory does not suffice for all answers at once.

    Args:
        model: The model, held by the caller.
        cache: What earlier calls have computed.
        rendered: The prompt.
        call: The settings.
        stop: When the call has to end.

    Returns:
        The answers. ``seconds`` of every answer are those of its batch.

    Raises:
        OutOfMemory: Not even one answer fits into memory.
    """
    found: list[Attempt] = []
    batch = call.rows
    while len(found) < call.rows:
        group = call
        if batch < call.rows:
            seed = None if call.seed is None else call.seed + len(found)
            group = replace(call, n=min(batch, call.rows - len(found)), seed=seed)
        try:
            found += _generated(model, cache, rendered, group, stop)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            batch //= 2
        else:
            if stop.over():
                break
            continue
        free_memory()  # behind the except block, so that the error holds no tensors any more
        if call.rows == 1:
            raise out_of_memory(model.name, len(rendered.ids))
        if batch < 1:
            break
    return found * (call.n // call.rows)


def _generated(
    model: TransformersModel, cache: KeyValueCache, rendered: Rendered, call: GenerationCall, stop: CallStop
) -> list[Attempt]:
    """The answers of one batch."""
    from homeostat.agent.memory.span_cache import SpanCache
    from homeostat.agent.models.decoding import Decoder, matching_images

    begin = time.monotonic()
    if isinstance(cache, SpanCache) and call.rows > 1:
        cache = cache.fork()  # several rows can't be kept as one
    # The keys and values of a steered call are of no use to another one.
    start = cache.start_empty(rendered) if call.steer else cache.start(rendered, call.fresh_rows)
    decoder = Decoder(model.model, cache, model.stops, model.pad)
    masses: Sequence[SpanMass | None] = [None] * call.rows
    with matching_images(model.name), cache.around(), _watching(model, cache, rendered, call) as probe:
        decoded = decoder.decode(rendered, start, call, stop, _constraint(model, call, len(rendered.ids)))
        rows = [cut_at_stop(row, model.stops) for row in decoded.sequences[:, len(rendered.ids) :].tolist()]
        if probe is not None and call.watch is not False and decoded.whole:
            masses = probe.results([len(tokens) for tokens, _ in rows])
    spans = rendered.as_spans()
    if call.rows == 1 and not call.steer and decoded.whole:
        cache.keep(start.cache, decoded.sequences[0].tolist(), rendered.images, spans)
    evicted = None if call.steer else cache.evicted(spans)
    if evicted is not None:
        masses = [None if mass is None else replace(mass, evicted=evicted) for mass in masses]
    tokenizer = model.renderer.tokenizer
    return [
        Attempt(
            text=tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False),
            tokens=tuple(tokens),
            logprobs=tuple(decoded.logprobs[row, : len(tokens)].tolist()),
            entropy=tuple(decoded.entropy[row, : len(tokens)].tolist()),
            margin=tuple(decoded.margin[row, : len(tokens)].tolist()),
            spans=masses[row],
            prompt_tokens=len(rendered.ids),
            cached_tokens=start.cached,
            seconds=time.monotonic() - begin,
            finish="stop" if stopped else "length",
            prompt_ids=tuple(rendered.ids),
            pieces=token_texts(tokenizer, tokens),
            prompt_pieces=token_texts(tokenizer, rendered.ids) if call.shows_prompt else (),
            batch=call.rows,
        )
        for row, (tokens, stopped) in enumerate(rows)
    ]


@contextlib.contextmanager
def _watching(
    model: TransformersModel, cache: KeyValueCache, rendered: Rendered, call: GenerationCall
) -> Iterator[Probe | None]:
    """The probe, attached where the call reads or steers attention."""
    measures = cache.measures and not call.steer
    if call.watch is False and not call.steer and not measures:
        yield None
        return
    from homeostat import sensors

    readout = call.watch if isinstance(call.watch, Readout) else Readout()
    with sensors.watch(model.model, layers=model.layers, rows=PROBED_ROWS, readout=readout) as probe:
        probe.start(rendered.as_spans(), steer=call.steer, reader=None if call.steer else cache.reader)
        yield probe


def _constraint(model: TransformersModel, call: GenerationCall, prompt_tokens: int) -> Any:
    """The logits processor that holds an answer to the call's schema; None without one."""
    if call.schema is None:
        return None
    from homeostat.agent.models.constrained import JSONSchemaProcessor

    return JSONSchemaProcessor(model.guidance, call.schema, prompt_tokens)
