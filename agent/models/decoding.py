"""Decodes answers, and measures every token's log-probability, entropy and margin while it is generated.

Decoding is plain: penalties and truncation that a model's folder asks for are set aside, so that the measured
log-probabilities are those of the model's own distribution at the given temperature.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteriaList

from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.inputs import on_device
from homeostat.agent.models.kv_cache import KeyValueCache, Prefill
from homeostat.agent.models.stopping import CallStop, Progress, Stopped
from homeostat.errors import ModelError
from homeostat.sensors.chat.rendering import Rendered

__all__ = ["Decoded", "Decoder", "TokenStats", "matching_images"]


@dataclass(frozen=True)
class Decoded:
    """What a call generated, B answers of T tokens at most.

    Attributes:
        sequences: (B, P + T) the prompt's P tokens and the generated ones; rows that end early are padded.
        logprobs: (B, T) the natural-log probability of every generated token.
        entropy: (B, T) the entropy of the distribution that it was drawn from, in nats.
        margin: (B, T) the probability of the likeliest token less that of the second.
        whole: Whether every forward pass ran to its end. Otherwise the call was stopped within one: there may be no
            token at all, and neither the key-value cache nor what the probe recorded can be used.
    """

    sequences: torch.Tensor
    logprobs: torch.Tensor
    entropy: torch.Tensor
    margin: torch.Tensor
    whole: bool = True


@dataclass(frozen=True)
class Decoder:
    """Generates with one transformers model.

    Attributes:
        model: The transformers model.
        cache: The model's key-value cache between calls.
        stops: The tokens that end an answer.
        pad: The token that pads rows that end early.
    """

    model: Any
    cache: KeyValueCache
    stops: frozenset[int]
    pad: int

    def decode(
        self,
        rendered: Rendered,
        start: Prefill,
        call: GenerationCall,
        stop: CallStop,
        constraint: LogitsProcessor | None = None,
    ) -> Decoded:
        """Generates the answers of one call.

        Args:
            rendered: The prompt.
            start: Where the call starts.
            call: The settings.
            stop: When the call has to end. The caller has made the model stoppable.
            constraint: A logits processor that forbids tokens; None allows all.

        Returns:
            The generated tokens and their statistics.
        """
        stats, progress = TokenStats(), Progress(stop)
        try:
            self._generate(rendered, start, call, [stats] if constraint is None else [constraint, stats], progress)
            whole = True
        except Stopped:
            whole = False
        sequences = progress.sequences
        if sequences is None:  # stopped before the first token
            sequences = torch.tensor([rendered.ids] * call.rows)
        return Decoded(sequences, *stats.result(sequences[:, -1]), whole=whole)

    def _generate(
        self,
        rendered: Rendered,
        start: Prefill,
        call: GenerationCall,
        processors: list[LogitsProcessor],
        progress: Progress,
    ) -> None:
        inputs = on_device(self.model, start.inputs)
        config = self._config(call)
        seeded = call.seed is not None and call.temperature > 0
        with torch.random.fork_rng(enabled=seeded), torch.inference_mode():
            if seeded:
                torch.manual_seed(call.seed)
            if call.rows > 1 and not call.steer and self.cache.can_reuse(rendered):
                cut = max(len(rendered.ids) - call.fresh_rows, start.cached)
                if not rendered.images or rendered.images[-1].stop <= cut:
                    inputs = self._fan_out(inputs, start, cut, call.rows)
                    config.num_return_sequences = 1
                elif start.cached:  # every row still has to run the last image, on top of what is cached
                    start.cache.batch_repeat_interleave(call.rows)
            if self.model._supports_default_dynamic_cache():
                inputs["past_key_values"] = start.cache
            out = self.model.generate(
                **inputs,
                generation_config=config,
                logits_processor=LogitsProcessorList(processors),
                stopping_criteria=StoppingCriteriaList([progress]),
            )
            progress.sequences = out.sequences

    def _config(self, call: GenerationCall) -> Any:
        return GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=call.max_new_tokens,
            num_return_sequences=call.rows,
            do_sample=call.temperature > 0,
            temperature=call.temperature or 1.0,
            top_k=0 if call.temperature > 0 else 50,  # 0 is "all"; greedy decoding warns of anything but the default
            top_p=1.0,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=sorted(self.stops) or None,
            pad_token_id=self.pad,
            return_dict_in_generate=True,
        )

    def _fan_out(self, inputs: dict[str, Any], start: Prefill, cut: int, n: int) -> dict[str, Any]:
        """One prefill of the prompt's first ``cut`` tokens, all images among them, repeated for ``n`` rows."""
        ids = inputs["input_ids"]
        head = {**inputs, "input_ids": ids[:, start.cached : cut], "attention_mask": inputs["attention_mask"][:, :cut]}
        if cut > start.cached:
            self.model(**head, past_key_values=start.cache, use_cache=True, logits_to_keep=1)
        start.cache.batch_repeat_interleave(n)
        return {"input_ids": ids.repeat(n, 1), "attention_mask": inputs["attention_mask"].repeat(n, 1)}


class TokenStats(LogitsProcessor):
    """Measures every token's log-probability, entropy and margin without keeping the (T, V) scores.

    It stands last among the logits processors, so it sees the distribution that the token is drawn from. One object
    serves one call of ``generate``.
    """

    def __init__(self) -> None:
        """Starts without any token."""
        self._entropy: list[torch.Tensor] = []
        self._margin: list[torch.Tensor] = []
        self._logprob: list[torch.Tensor] = []
        self._pending: torch.Tensor | None = None

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        """Measures the (B, V) scores of the next token and returns them unchanged."""
        if self._pending is not None:
            self._take(input_ids[:, -1])
        logprobs = torch.log_softmax(scores.float(), dim=-1)
        p = logprobs.exp()
        self._entropy.append(-(p * logprobs.clamp_min(-1e4)).sum(-1))
        best = p.topk(min(2, p.shape[-1]), dim=-1).values
        self._margin.append(best[:, 0] - best[:, -1])
        self._pending = logprobs
        return scores

    def result(self, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Returns what was measured.

        Args:
            last: (B,) the tokens that were drawn last.

        Returns:
            Log-probabilities, entropies and margins, (B, T) each, on the CPU.
        """
        if self._pending is not None:
            self._take(last)
            self._pending = None
        if not self._logprob:
            return (torch.zeros(len(last), 0),) * 3
        return tuple(torch.stack(rows, dim=1).cpu() for rows in (self._logprob, self._entropy, self._margin))  # type: ignore[return-value]

    def _take(self, tokens: torch.Tensor) -> None:
        """Notes the log-probability of the (B,) tokens that were drawn."""
        assert self._pending is not None
        self._logprob.append(self._pending.gather(1, tokens.to(self._pending.device)[:, None])[:, 0])


@contextlib.contextmanager
def matching_images(name: str) -> Iterator[None]:
    """Within it, a mismatch between image tokens and image features becomes an error that names the model.

    Args:
        name: The model's name.

    Yields:
        Nothing.

    Raises:
        ModelError: The processor made another number of image tokens than the model made image features.
    """
    try:
        yield
    except ValueError as error:
        text = str(error).partition("\n")[0]
        if "mage" not in text or "match" not in text:
            raise
        raise ModelError(
            f"{name!r}: {text}; its processor is another model's, give the one from its own folder"
        ) from error
