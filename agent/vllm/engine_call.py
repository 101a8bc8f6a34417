"""One call of vLLM's engine: what is asked of it, and the answers while they come."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.text_stream import TextStream
from homeostat.agent.vllm.wire import SpanRequest
from homeostat.errors import ModelError

__all__ = ["Ending", "EngineAnswer", "EngineCall", "EngineRow", "pushed"]

_LAYOUT = {"whitespace_pattern": " "}
"""How llguidance lays out JSON: at most one space between tokens, because a small model could write white space for
ever. (:mod:`homeostat.agent.models.constrained` has the same layout.)"""
_SEEDS = 2**62 - 1
"""vLLM takes seeds below 2⁶³, adds a sample's number to them, and draws one of its own for −1."""


@dataclass(frozen=True)
class EngineCall:
    """What is asked of the engine.

    Attributes:
        key: Names the call.
        ids: The prompt's tokens.
        call: The settings.
        stops: The tokens that end an answer.
        top_p: Only the likeliest tokens whose probabilities add up to this are sampled; 1 for all.
        spans: What the workers read or steer; None for nothing.
        cancelled: Whether the call has to end now, because nobody wants its answer or the model was interrupted. It is
            asked several times a second.
        on_token: Told the number of the answer and each of its new tokens, in the engine's thread. It returns whether
            the call goes on.
    """

    key: str
    ids: tuple[int, ...]
    call: GenerationCall
    stops: frozenset[int]
    top_p: float = 1.0
    spans: SpanRequest | None = None
    cancelled: Callable[[], bool] = lambda: False
    on_token: Callable[[int, int], bool] | None = None

    @property
    def over(self) -> bool:
        """Whether the call has to end now."""
        return self.left <= 0 or self.cancelled()

    @property
    def left(self) -> float:
        """The seconds until the deadline; infinite without one."""
        return math.inf if self.call.deadline is None else self.call.deadline - time.monotonic()

    def prompt(self) -> Any:
        """The prompt as vLLM takes it. The keys of a steered request are of no use to any other one."""
        from vllm.inputs import tokens_input

        return tokens_input(list(self.ids), cache_salt=self.key if self._steered else None)

    def params(self) -> Any:
        """The settings as vLLM takes them."""
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind, StructuredOutputsParams

        call = self.call
        return SamplingParams(
            n=call.rows,
            temperature=call.temperature,
            top_p=self.top_p if call.temperature > 0 else 1.0,
            seed=call.seed & _SEEDS if call.temperature > 0 and call.seed is not None else None,
            max_tokens=call.max_new_tokens,
            stop_token_ids=sorted(self.stops),
            logprobs=2,
            detokenize=False,
            output_kind=RequestOutputKind.DELTA,
            structured_outputs=None if call.schema is None else StructuredOutputsParams(json=_guided(call.schema)),
            skip_reading_prefix_cache=True if self._steered else None,
            extra_args=None if self.spans is None else dict(self.spans.extra_args()),
        )

    @property
    def _steered(self) -> bool:
        return self.spans is not None and bool(self.spans.steer)


@dataclass
class EngineRow:
    """One answer while it comes.

    Attributes:
        tokens: The tokens so far.
        logprobs: The natural-log probability of each, in the distribution that it was drawn from.
        margin: The probability of the likeliest token less that of the second, at each.
    """

    tokens: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    margin: list[float] = field(default_factory=list)

    def take(self, output: Any) -> list[int]:
        """Adds what has come.

        Args:
            output: vLLM's ``CompletionOutput`` with the new tokens and the two likeliest tokens at each.

        Returns:
            The new tokens.
        """
        new = [int(token) for token in output.token_ids]
        for token, likely in zip(new, output.logprobs or (), strict=True):
            best = sorted((one.logprob for one in likely.values()), reverse=True)[:2]
            self.logprobs.append(float(likely[token].logprob))
            self.margin.append(math.exp(best[0]) - (math.exp(best[1]) if len(best) > 1 else 0.0))
        self.tokens += new
        return new


@dataclass(frozen=True)
class EngineAnswer:
    """What the engine answered.

    Attributes:
        rows: The answers.
        ranks: For each rank, what ``homeostat_take`` returned for the call's key; None where nothing was read, or the
            engine did not say it in time.
        cached: How many of the prompt's tokens came from the engine's prefix cache.
    """

    rows: list[EngineRow]
    ranks: list[dict[str, Any]] | None
    cached: int


class Ending:
    """Whether a call has to end early.

    Attributes:
        interrupted: Whether the model was interrupted.
    """

    def __init__(self, gone: threading.Event) -> None:
        """Begins with a call that goes on.

        Args:
            gone: Set when nobody wants the answers any more.
        """
        self.interrupted = False
        self._gone = gone

    def reached(self) -> bool:
        """Whether the call has to end now."""
        return self.interrupted or self._gone.is_set()


def pushed(stream: TextStream, stops: frozenset[int], number: int, token: int) -> bool:
    """Adds a token to the text of a call's only answer.

    Args:
        stream: The text so far.
        stops: The tokens that end an answer. They are no part of the text.
        number: The number of the answer, which is 0.
        token: The token.

    Returns:
        Whether the call goes on: no stop text was found.
    """
    if token not in stops:
        stream.push(token)
    return not stream.stopped


def _guided(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema with the layout of its JSON, which llguidance reads from the schema itself.

    Keywords that llguidance does not know are left out, where there are any.
    """
    import llguidance

    problem = ""
    for lenient in ({}, {"lenient": True}):
        laid_out = {**schema, "x-guidance": {**_LAYOUT, **lenient}}
        grammar = llguidance.LLMatcher.grammar_from_json_schema(json.dumps(laid_out))
        problem = llguidance.LLMatcher.validate_grammar(grammar, None)
        if not problem or problem.startswith("WARNING"):
            return laid_out
    raise ModelError(f"schema {json.dumps(schema)[:80]!r} can't constrain decoding: {problem.splitlines()[0]}")
