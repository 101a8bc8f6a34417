"""Makes attempts of what vLLM's engine answered and its workers read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from homeostat.agent.models.generation import cut_at_stop
from homeostat.agent.models.text_stream import cut_text
from homeostat.agent.vllm.engine_call import EngineAnswer, EngineCall
from homeostat.agent.vllm.wire import entropies, joined_masses
from homeostat.errors import ProbeError
from homeostat.sensors.attempts import Attempt, SpanMass
from homeostat.sensors.chat.token_texts import token_texts

__all__ = ["attempts_of"]


def attempts_of(
    asked: EngineCall, answer: EngineAnswer, tokenizer: Any, stops: Sequence[str], seconds: float
) -> list[Attempt]:
    """Makes one attempt of each answer.

    Args:
        asked: What was asked.
        answer: What the engine answered.
        tokenizer: The model's tokenizer.
        stops: Texts that end an answer and are no part of it.
        seconds: How long the call took.

    Returns:
        The attempts.

    Raises:
        ProbeError: The workers could not read or steer the call.
    """
    found = []
    for number, (row, mass) in enumerate(zip(answer.rows, _masses(asked, answer), strict=True)):
        tokens, stopped = cut_at_stop(row.tokens, asked.stops)
        whole = tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        text, cut = cut_text(whole, stops)
        found.append(
            Attempt(
                text=text,
                tokens=tuple(tokens),
                logprobs=tuple(row.logprobs),
                entropy=() if mass is None else entropies(answer.ranks or (), number, len(tokens)),
                margin=tuple(row.margin),
                spans=mass,
                prompt_tokens=len(asked.ids),
                cached_tokens=answer.cached,
                seconds=seconds,
                finish="stop" if stopped or cut else "length",
                prompt_ids=asked.ids,
                pieces=token_texts(tokenizer, tokens),
                batch=asked.call.rows,
            )
        )
    return found


def _masses(asked: EngineCall, answer: EngineAnswer) -> Sequence[SpanMass | None]:
    """The span masses of each answer. A call that was ended before its prompt was read has none."""
    nothing: list[SpanMass | None] = [None] * len(answer.rows)
    lengths = {number: len(row.tokens) for number, row in enumerate(answer.rows)}
    if asked.spans is None or answer.ranks is None or not all(lengths.values()):
        return nothing
    if asked.spans.watch:
        return joined_masses(asked.spans, answer.ranks, lengths)
    if wrong := next((rank["error"] for rank in answer.ranks if rank["error"]), ""):
        raise ProbeError(f"vLLM's worker could not steer request {asked.key!r}: {wrong}")
    return nothing
