"""Answers prompts in one batch that runs to the end of its last row, by transformers' ``generate``.

It serves what can't have a batch whose rows come and go (:mod:`~homeostat.agent.models.rolling_batch`): models with
sliding windows or linear attention, and prompts with token types or positions in three dimensions.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from homeostat import sensors
from homeostat.agent.models.capacity import check_length
from homeostat.agent.models.decoding import TokenStats, matching_images
from homeostat.agent.models.generation import PROBED_ROWS, cut_at_stop
from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.rows import Row
from homeostat.agent.models.sampling import TokenSampler
from homeostat.agent.models.stopping import CallStop, Stopped
from homeostat.agent.models.text_stream import TextStream, cut_text
from homeostat.errors import CallInterrupted
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.batches import RenderedBatch, batch
from homeostat.sensors.chat.rendered import Rendered
from homeostat.sensors.chat.token_texts import token_texts

if TYPE_CHECKING:
    from homeostat.agent.models.transformers_model import TransformersModel

__all__ = ["answer_together"]


def answer_together(model: TransformersModel, rows: Sequence[Row]) -> list[list[Attempt]]:
    """Answers prompts in one batch, padded on the left.

    Args:
        model: The model.
        rows: The prompts with their settings; each satisfies :func:`~homeostat.agent.models.rows.fits_a_batch` for a
            batch of fixed rows.

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
        together = batch(rendered, model.pad)
        watched = [row.call.watch for row in rows if row.call.watch is not False]
        masses: Sequence[SpanMass | None] = [None] * len(rows)
        stats = TokenStats()
        ends = _Ends(model, len(together.inputs["input_ids"][0]), rows, stop)
        with matching_images(model.name):
            if watched:
                with sensors.watch(
                    model.model, layers=model.layers, rows=PROBED_ROWS, readout=_union(watched)
                ) as probe:
                    probe.start(together.as_spans())
                    sequences = _generated(model, together, rows, stats, ends)
                    answers = ends.cut(sequences)
                    masses = probe.results([len(tokens) for tokens, _ in answers])
            else:
                sequences = _generated(model, together, rows, stats, ends)
                answers = ends.cut(sequences)
    measured = [values.tolist() for values in stats.result(sequences[:, -1])]
    seconds = time.monotonic() - begin
    return [
        [_attempt(model, ends, n, one, answers[n], [v[n] for v in measured], masses[n], seconds)] * rows[n].call.n
        for n, one in enumerate(rendered)
    ]


def _generated(
    model: TransformersModel, together: RenderedBatch, rows: Sequence[Row], stats: TokenStats, ends: _Ends
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
        processors = [_Tempered(rows), stats, _Draws(rows)]
    with torch.inference_mode():
        try:
            out: torch.Tensor = model.model.generate(
                **on_device(model.model, together.inputs),
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
                stopping_criteria=StoppingCriteriaList([ends]),
            )
        except Stopped:
            raise CallInterrupted(f"{model.name!r}: a batch was interrupted; call it again") from None
    return out


def _attempt(
    model: TransformersModel,
    ends: _Ends,
    number: int,
    rendered: Rendered,
    answer: tuple[list[int], bool],
    measured: Sequence[Sequence[float]],
    mass: SpanMass | None,
    seconds: float,
) -> Attempt:
    tokens, stopped = answer
    row, stream = ends.rows[number], ends.streams[number]
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
        seconds=seconds,
        finish="stop" if stopped or cut else "length",
        prompt_ids=tuple(rendered.ids),
        pieces=token_texts(tokenizer, tokens),
        prompt_pieces=token_texts(tokenizer, rendered.ids) if row.call.shows_prompt else (),
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


class _Draws(LogitsProcessor):
    """Leaves each row only the token that it draws, from its own nucleus and random stream."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._samplers = [TokenSampler(row.call.temperature, row.top_p, row.call.seed) for row in rows]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        drawn = torch.stack([one.pick(row) for one, row in zip(self._samplers, scores.float(), strict=True)])
        return torch.full_like(scores, float("-inf")).scatter_(1, drawn[:, None], 0.0)  # type: ignore[return-value]
