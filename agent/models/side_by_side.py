"""Answers several prompts in one batch, each with its own settings, statistics and attention readings.

Rows may differ in temperature, seed, length and deadline. A row that samples draws its token by the Gumbel-max trick:
the likeliest token after independent Gumbel noise was added to the scaled scores is a sample of their softmax. So one
greedy pass serves rows that sample and rows that don't, and every row has a random stream of its own.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from homeostat import sensors
from homeostat.agent.models.capacity import check_length
from homeostat.agent.models.decoding import TokenStats, matching_images
from homeostat.agent.models.generation import PROBED_ROWS, GenerationCall, cut_at_stop, token_texts
from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.stopping import CallStop, Stopped
from homeostat.errors import CallInterrupted
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.batches import RenderedBatch, batch
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
    """

    prompt: Prompt
    call: GenerationCall


def fits_a_batch(call: GenerationCall) -> bool:
    """Tells whether a call can share a batch with other prompts.

    Args:
        call: The settings.

    Returns:
        True for one answer without steering and without a schema.
    """
    return call.rows == 1 and not call.steer and call.schema is None


def answer_rows(model: TransformersModel, rows: Sequence[Row]) -> list[list[Attempt]]:
    """Answers prompts in one batch, padded on the left.

    Args:
        model: The model.
        rows: The prompts with their settings; each satisfies :func:`fits_a_batch`.

    Returns:
        For each row what :meth:`~homeostat.agent.Model.generate` returns. ``seconds`` are the whole batch's.

    Raises:
        ModelError: A prompt can't be rendered, or the prompts can't be put into one batch.
        PromptTooLong: A prompt does not fit the model's context.
        CallInterrupted: The model was interrupted while the prompts were read.
    """
    begin = time.monotonic()
    with model.calling(max((row.call.deadline or float("inf")) for row in rows)) as stop:
        rendered = [model.renderer.render(row.prompt) for row in rows]
        for row, one in zip(rows, rendered, strict=True):
            check_length(model.name, len(one.ids), row.call.max_new_tokens, model.context)
        together = batch(rendered, model.pad)
        watched = [row.call.watch for row in rows if row.call.watch is not False]
        masses: Sequence[SpanMass | None] = [None] * len(rows)
        stats = TokenStats()
        with matching_images(model.name):
            if watched:
                with sensors.watch(
                    model.model, layers=model.layers, rows=PROBED_ROWS, readout=_union(watched)
                ) as probe:
                    probe.start(together.as_spans())
                    sequences = _generated(model, together, rows, stats, stop)
                    answers = _cut(model, sequences, together, rows)
                    masses = probe.results([len(tokens) for tokens, _ in answers])
            else:
                sequences = _generated(model, together, rows, stats, stop)
                answers = _cut(model, sequences, together, rows)
    measured = [values.tolist() for values in stats.result(sequences[:, -1])]
    seconds = time.monotonic() - begin
    return [
        [_attempt(model, rows[n], one, answers[n], [v[n] for v in measured], masses[n], seconds, len(rows))]
        * rows[n].call.n
        for n, one in enumerate(rendered)
    ]


def _generated(
    model: TransformersModel, together: RenderedBatch, rows: Sequence[Row], stats: TokenStats, stop: CallStop
) -> torch.Tensor:
    ends = _Ends(len(together.inputs["input_ids"][0]), rows, stop)
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
        processors = [_Tempered(rows), stats, _Noise(rows)]
    with torch.inference_mode():
        try:
            out: torch.Tensor = model.model.generate(
                **on_device(model.model, dict(together.inputs)),
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
                stopping_criteria=StoppingCriteriaList([ends]),
            )
        except Stopped:
            raise CallInterrupted(f"{model.name!r}: a batch was interrupted; call it again") from None
    return out


def _cut(
    model: TransformersModel, sequences: torch.Tensor, together: RenderedBatch, rows: Sequence[Row]
) -> list[tuple[list[int], bool]]:
    """For each row its tokens, and whether the model ended them itself."""
    length = len(together.inputs["input_ids"][0])
    found = []
    for row, tokens in zip(rows, sequences[:, length:].tolist(), strict=True):
        found.append(cut_at_stop(tokens[: row.call.max_new_tokens], model.stops))
    return found


def _attempt(
    model: TransformersModel,
    row: Row,
    rendered: Rendered,
    answer: tuple[list[int], bool],
    measured: Sequence[Sequence[float]],
    mass: SpanMass | None,
    seconds: float,
    size: int,
) -> Attempt:
    tokens, stopped = answer
    tokenizer = model.renderer.tokenizer
    logprobs, entropy, margin = (tuple(values[: len(tokens)]) for values in measured)
    return Attempt(
        text=tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False),
        tokens=tuple(tokens),
        logprobs=logprobs,
        entropy=entropy,
        margin=margin,
        spans=mass if row.call.watch is not False else None,
        prompt_tokens=len(rendered.ids),
        seconds=seconds,
        finish="stop" if stopped else "length",
        prompt_ids=tuple(rendered.ids),
        pieces=token_texts(tokenizer, tokens),
        batch=size,
    )


def _union(watched: Sequence[bool | Readout]) -> Readout:
    readout = Readout()
    for one in watched:
        readout = readout | one if isinstance(one, Readout) else readout
    return readout


class _Ends(StoppingCriteria):
    """Ends each row at its own length and deadline, and all rows when the call is interrupted."""

    def __init__(self, prompt: int, rows: Sequence[Row], stop: CallStop) -> None:
        self._prompt, self._stop = prompt, stop
        self._most = torch.tensor([row.call.max_new_tokens for row in rows])
        self._deadlines = [row.call.deadline for row in rows]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        now = time.monotonic()
        late = [self._stop.over() or (at is not None and now >= at) for at in self._deadlines]
        over = torch.tensor(late) | (input_ids.shape[1] - self._prompt >= self._most)
        return over.to(input_ids.device)  # type: ignore[return-value]


class _Tempered(LogitsProcessor):
    """Scales the scores of rows that sample by their temperature."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._scale = torch.tensor([1.0 / (row.call.temperature or 1.0) for row in rows])[:, None]

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        return scores * self._scale.to(scores)  # type: ignore[return-value]


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
