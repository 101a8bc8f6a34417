"""Answers several prompts in one batch, each with its own settings, statistics and attention readings.

Rows may differ in temperature, nucleus, seed, length, stop texts and deadline, and each can be cancelled. A row that
samples draws its token by the Gumbel-max trick: the likeliest token after independent Gumbel noise was added to the
scaled scores is a sample of their softmax. So one greedy pass serves rows that sample and rows that don't, and every
row has a random stream of its own.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from homeostat import sensors
from homeostat.agent.models.batch_start import BatchStart, keep_rows, start_batch
from homeostat.agent.models.capacity import check_length
from homeostat.agent.models.decoding import TokenStats, matching_images
from homeostat.agent.models.generation import PROBED_ROWS, GenerationCall, cut_at_stop, token_texts
from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.stopping import CallStop, Stopped
from homeostat.agent.models.text_stream import TextStream, cut_text
from homeostat.errors import CallInterrupted
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendered import Rendered

if TYPE_CHECKING:
    from homeostat.agent.models.transformers_model import TransformersModel

__all__ = ["Row", "answer_rows", "fits_a_batch"]


@dataclass(frozen=True)
class Row:
    """One prompt of a batch.

    Attributes:
        prompt: The prompt.
        call: The settings of its call.
        top_p: Only the likeliest tokens whose probabilities add up to this are sampled; 1 for all.
        stop: Texts that end the answer and are no part of it.
        on_text: Told each new piece of the answer while it is generated, in the thread that generates; None for nobody.
        cancelled: Whether the answer is no longer wanted; it then ends behind the present token. None for never.
        rendered: The rendered prompt, where it is known already.
        owner: Who asks. The next prompt of the same owner starts from what this one has computed.
    """

    prompt: Prompt
    call: GenerationCall
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    on_text: Callable[[str], None] | None = None
    cancelled: Callable[[], bool] | None = None
    rendered: Rendered | None = None
    owner: Hashable = None


def fits_a_batch(call: GenerationCall) -> bool:
    """Tells whether a call can share a batch with other prompts.

    Args:
        call: The settings.

    Returns:
        True for one answer without steering and without a schema.
    """
    return call.rows == 1 and not call.steer and call.schema is None


def answer_rows(model: TransformersModel, rows: Sequence[Row], pool: PrefixPool | None = None) -> list[list[Attempt]]:
    """Answers prompts in one batch, padded on the left.

    Args:
        model: The model.
        rows: The prompts with their settings; each satisfies :func:`fits_a_batch`.
        pool: The keys and values of earlier prompts, from which these start, and where theirs are kept; None runs every
            prompt from its first token.

    Returns:
        For each row what :meth:`~homeostat.agent.Model.generate` returns. ``seconds`` are the whole batch's.

    Raises:
        ModelError: A prompt can't be rendered, or the prompts can't be put into one batch.
        PromptTooLong: A prompt does not fit the model's context.
        CallInterrupted: The model was interrupted while the prompts were read.
    """
    begin = time.monotonic()
    with model.calling(max((row.call.deadline or float("inf")) for row in rows)) as stop:
        rendered = [row.rendered or model.renderer.render(row.prompt) for row in rows]
        for row, one in zip(rows, rendered, strict=True):
            check_length(model.name, len(one.ids), row.call.max_new_tokens, model.context)
        owners = [row.owner for row in rows]
        fresh = max(row.call.fresh_rows for row in rows)
        start = _started(model, rendered, owners, fresh, pool)
        watched = [row.call.watch for row in rows if row.call.watch is not False]
        masses: Sequence[SpanMass | None] = [None] * len(rows)
        stats = TokenStats()
        ends = _Ends(model, len(start.prompts.inputs["input_ids"][0]), rows, stop)
        with matching_images(model.name):
            if watched:
                with sensors.watch(
                    model.model, layers=model.layers, rows=PROBED_ROWS, readout=_union(watched)
                ) as probe:
                    probe.start(start.prompts.as_spans())
                    sequences = _generated(model, start, rows, stats, ends)
                    answers = ends.cut(sequences)
                    masses = probe.results([len(tokens) for tokens, _ in answers])
            else:
                sequences = _generated(model, start, rows, stats, ends)
                answers = ends.cut(sequences)
        keep_rows(start, owners, [tokens for tokens, _ in answers], pool)
    measured = [values.tolist() for values in stats.result(sequences[:, -1])]
    seconds = time.monotonic() - begin
    return [
        [_attempt(model, ends, n, start, answers[n], [v[n] for v in measured], masses[n], seconds)] * rows[n].call.n
        for n in range(len(rows))
    ]


def _started(
    model: TransformersModel,
    rendered: Sequence[Rendered],
    owners: Sequence[Hashable],
    fresh: int,
    pool: PrefixPool | None,
) -> BatchStart:
    try:
        with matching_images(model.name):
            return start_batch(model, rendered, owners, fresh, pool)
    except Stopped:
        raise _interrupted(model) from None


def _interrupted(model: TransformersModel) -> CallInterrupted:
    return CallInterrupted(f"{model.name!r}: a batch was interrupted; call it again")


def _generated(
    model: TransformersModel, start: BatchStart, rows: Sequence[Row], stats: TokenStats, ends: _Ends
) -> torch.Tensor:
    config = GenerationConfig(  # type: ignore[no-untyped-call]
        max_new_tokens=max(row.call.max_new_tokens for row in rows),
        do_sample=False,
        repetition_penalty=1.0,
        no_repeat_ngram_size=0,
        eos_token_id=sorted(model.stops) or None,
        pad_token_id=model.pad,
    )
    processors: list[LogitsProcessor] = [stats]
    if any(row.call.temperature > 0 for row in rows):
        nucleus = [_Nucleus(rows)] if any(row.top_p < 1 for row in rows) else []
        processors = [_Tempered(rows), stats, *nucleus, _Noise(rows)]
    more = {"past_key_values": start.cache} if start.cache is not None else {}
    with torch.inference_mode():
        try:
            out: torch.Tensor = model.model.generate(
                **on_device(model.model, start.prompts.inputs),
                **more,
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
                stopping_criteria=StoppingCriteriaList([ends]),
            )
        except Stopped:
            raise _interrupted(model) from None
    return out


def _attempt(
    model: TransformersModel,
    ends: _Ends,
    number: int,
    start: BatchStart,
    answer: tuple[list[int], bool],
    measured: Sequence[Sequence[float]],
    mass: SpanMass | None,
    seconds: float,
) -> Attempt:
    tokens, stopped = answer
    row, stream, rendered = ends.rows[number], ends.streams[number], start.prompts.rows[number]
    tokenizer = model.renderer.tokenizer
    logprobs, entropy, margin = (tuple(values[: len(tokens)]) for values in measured)
    whole = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
    text, cut = cut_text(whole, row.stop)
    if stream is not None:
        stream.finish(text)
    return Attempt(
        text=text,
        tokens=tuple(tokens),
        logprobs=logprobs,
        entropy=entropy,
        margin=margin,
        spans=mass if row.call.watch is not False else None,
        prompt_tokens=len(rendered.ids),
        cached_tokens=start.cached[number],
        seconds=seconds,
        finish="stop" if stopped or cut else "length",
        prompt_ids=tuple(rendered.ids),
        pieces=token_texts(tokenizer, tokens),
        batch=len(ends.rows),
    )


def _union(watched: Sequence[bool | Readout]) -> Readout:
    readout = Readout()
    for one in watched:
        readout = readout | one if isinstance(one, Readout) else readout
    return readout


class _Ends(StoppingCriteria):
    """Ends each row at its own length, deadline, stop text or cancellation, and all rows when the call is interrupted.

    Attributes:
        rows: The rows.
        streams: For each row the text so far; None where nobody asks for it before the end.
    """

    def __init__(self, model: TransformersModel, prompt: int, rows: Sequence[Row], stop: CallStop) -> None:
        tokenizer = model.renderer.tokenizer
        self.rows = rows
        self.streams = [
            TextStream(tokenizer, row.stop, row.on_text) if row.stop or row.on_text is not None else None
            for row in rows
        ]
        self._prompt, self._stop, self._stops = prompt, stop, model.stops
        self._lengths: list[int | None] = [None] * len(rows)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        now, length, newest = time.monotonic(), input_ids.shape[1] - self._prompt, input_ids[:, -1].tolist()
        for n, row in enumerate(self.rows):
            if self._lengths[n] is None and self._over(n, row, newest[n], length, now):
                self._lengths[n] = length
        over = torch.tensor([length is not None for length in self._lengths])
        return over.to(input_ids.device)  # type: ignore[return-value]

    def cut(self, sequences: torch.Tensor) -> list[tuple[list[int], bool]]:
        """For each row its tokens, and whether the model ended them itself."""
        found = sequences[:, self._prompt :].tolist()
        return [cut_at_stop(tokens[:end], self._stops) for tokens, end in zip(found, self._lengths, strict=True)]

    def _over(self, n: int, row: Row, token: int, length: int, now: float) -> bool:
        stream, deadline = self.streams[n], row.call.deadline
        if stream is not None and token not in self._stops:
            stream.push(token)
        return (
            token in self._stops
            or length >= row.call.max_new_tokens
            or self._stop.over()
            or (deadline is not None and now >= deadline)
            or (stream is not None and stream.stopped)
            or (row.cancelled is not None and row.cancelled())
        )


class _Tempered(LogitsProcessor):
    """Scales the scores of rows that sample by their temperature."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._scale = torch.tensor([1.0 / (row.call.temperature or 1.0) for row in rows])[:, None]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        return scores * self._scale.to(scores)  # type: ignore[return-value]


class _Nucleus(LogitsProcessor):
    """Leaves a row only the likeliest tokens whose probabilities add up to its ``top_p``, at least one."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._most = torch.tensor([row.top_p for row in rows])[:, None]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        ordered, order = scores.float().sort(dim=-1, descending=True)
        shares = ordered.softmax(dim=-1)
        beyond = (shares.cumsum(dim=-1) - shares >= self._most.to(shares)) & (self._most.to(shares) < 1)
        beyond[:, 0] = False
        removed = torch.zeros_like(beyond).scatter(-1, order, beyond)
        return scores.masked_fill(removed, float("-inf"))  # type: ignore[return-value]


class _Noise(LogitsProcessor):
    """Adds Gumbel noise to the scores of rows that sample, from each row's own stream."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._streams: list[torch.Generator | None] = []
        for row in rows:
            stream = torch.Generator() if row.call.temperature > 0 else None
            if stream is not None:
                stream.manual_seed(row.call.seed) if row.call.seed is not None else stream.seed()
            self._streams.append(stream)

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        noisy = scores.float().clone()
        for row, stream in enumerate(self._streams):
            if stream is not None:
                uniform = torch.rand(scores.shape[1], generator=stream).clamp_(1e-20, 1 - 1e-7)
                noisy[row] += (-torch.log(-torch.log(uniform))).to(noisy)
        return noisy  # type: ignore[return-value]
