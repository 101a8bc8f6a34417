"""Models: what the loop asks of one, and the white box over Hugging Face transformers.

Any image-text-to-text or text model that transformers itself implements can drive an environment. The attention probe
is attached for the length of one ``generate`` call and never changes what is generated.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

from homeostat.agent.models.kv_cache import PrefixCache, Start
from homeostat.agent.models.loading import load_style, load_weights, resolve
from homeostat.agent.prompts import PromptStyle
from homeostat.errors import ModelError
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendering import Rendered, Renderer
from homeostat.sensors.contracts import Capability
from homeostat.sensors.steering.actuators import Actuator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from homeostat.sensors import Probe

__all__ = ["TransformersModel"]

_PROBED_ROWS = 32
"""How many of the prompt's last rows the probe reads (it finds the attention sinks in them)."""


class TransformersModel:
    """The white box: span masses, log-probabilities, and a key-value cache kept from call to call.

    ``stops``: the tokens that end an answer. ``layers`` are those the probe reads (``"all"``, or indices).
    ``reuse=False`` makes every call prefill afresh. Calls from several threads wait for each other.
    """

    capabilities: frozenset[Capability] = frozenset(("attention", "logprobs", "text", "model", "steering", "schema"))

    def __init__(
        self,
        model: Any,
        processor: Any,
        *,
        name: str = "model",
        style: PromptStyle | None = None,
        layers: Literal["all"] | Sequence[int] = "all",
        reuse: bool = True,
    ) -> None:
        """``model`` in eval mode on its device; ``processor`` an image-text processor or a fast tokenizer."""
        self.name = name
        self.model = model
        self.style = style or load_style(None, model.config.model_type)
        self.layers = layers
        self.renderer = Renderer(processor)
        self._tokenizer = getattr(processor, "tokenizer", processor)
        self._text_config = model.config.get_text_config(decoder=True)
        self._prefix = PrefixCache(self._text_config, enabled=reuse)
        self.stops = self._stop_tokens()
        self._guidance: Any = None
        self._turn = threading.RLock()

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        device: str | None = None,
        dtype: str | None = None,
        *,
        layers: Literal["all"] | Sequence[int] = "all",
        reuse: bool = True,
    ) -> TransformersModel:
        """By hub name, folder, or ``homeostat/nano``, the embedded one. Raises :class:`ModelError`, one line."""
        source = resolve(name)
        model, processor = load_weights(source, device, dtype)
        style = load_style(source, model.config.model_type)
        return cls(model, processor, name=os.fspath(name), style=style, layers=layers, reuse=reuse)

    def forget(self) -> None:
        """Drop the key-value cache kept from earlier calls."""
        self._prefix.forget()

    def generate(
        self,
        prompt: Prompt,
        *,
        n: int = 1,
        temperature: float = 0.0,
        max_new_tokens: int = 256,
        watch: bool | Readout = True,
        deadline: float | None = None,
        seed: int | None = None,
        steer: Sequence[Actuator] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> list[Attempt]:
        """See :class:`Model`. The ``seconds`` of each of ``n`` attempts are the whole call's."""
        if n < 1 or max_new_tokens < 1 or temperature < 0:
            raise ModelError(f"n={n!r}, max_new_tokens={max_new_tokens!r}, temperature={temperature!r}: out of range")
        arrived = time.monotonic()
        with self._turn:  # one call at a time: others wait for their turn, and waiting does not count
            waited = time.monotonic() - arrived
            deadline = None if deadline is None else deadline + waited
            return self._generate(prompt, n, temperature, max_new_tokens, watch, deadline, seed, tuple(steer), schema)

    def _generate(
        self,
        prompt: Prompt,
        n: int,
        temperature: float,
        max_new_tokens: int,
        watch: bool | Readout,
        deadline: float | None,
        seed: int | None,
        steer: Sequence[Actuator],
        schema: Mapping[str, Any] | None,
    ) -> list[Attempt]:
        begin = time.monotonic()
        rendered = self.renderer.render(prompt)
        from homeostat.agent.models.decoding import matching_images

        draws = n if temperature > 0 else 1
        # With a probe, the rows that it reads are run each time: readings must not depend on what was cached.
        fresh = 1 if watch is False else _PROBED_ROWS
        # Keys and values of a steered run are of no use to another one.
        start = self._prefix.apart(rendered) if steer else self._prefix.start(rendered, fresh)
        ids = rendered.ids
        masses: Sequence[SpanMass | None] = [None] * draws
        with matching_images(self.name), self._watching(rendered, watch, steer) as probe:
            sequences, stats = self._decode(
                rendered, start, fresh, draws, temperature, max_new_tokens, deadline, seed, bool(steer), schema
            )
            rows = [self._cut(row) for row in sequences[:, len(ids) :].tolist()]
            if probe is not None and watch is not False:
                masses = probe.results([len(tokens) for tokens, _ in rows])
        if draws == 1 and not steer:
            self._prefix.keep(start.cache, sequences[0].tolist(), rendered.images)
        attempts = [
            Attempt(
                text=self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False),
                tokens=tuple(tokens),
                logprobs=tuple(stats[0][row, : len(tokens)].tolist()),
                entropy=tuple(stats[1][row, : len(tokens)].tolist()),
                margin=tuple(stats[2][row, : len(tokens)].tolist()),
                spans=masses[row],
                prompt_tokens=len(ids),
                cached_tokens=start.cached,
                seconds=time.monotonic() - begin,
                finish="stop" if stopped else "length",
                prompt_ids=tuple(ids),
                pieces=self._pieces(tokens),
            )
            for row, (tokens, stopped) in enumerate(rows)
        ]
        return attempts * (n // draws)

    def score(self, prompt: Prompt, tokens: Sequence[int], steer: Sequence[Actuator] = ()) -> NDArray[np.float32]:
        """(T, V) natural-log probabilities over the vocabulary at each of ``tokens``, forced after the prompt.

        One forward over what the cache does not hold already; over all of it under ``steer``. Raises
        :class:`ModelError` for no tokens.
        """
        from homeostat.agent.models.teacher_forcing import score

        with self._turn:
            return score(self.model, self.renderer.render(prompt), self._prefix, tokens, steer)

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout = Readout()) -> SpanMass:  # noqa: B008
        """What the probe reads of ``tokens``, forced after the prompt. Raises :class:`ModelError` for no tokens."""
        from homeostat.agent.models.teacher_forcing import read_forced

        with self._turn:
            return read_forced(self.model, self.renderer.render(prompt), tokens, self.layers, _PROBED_ROWS, readout)

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """(L + 1, P, D): the residual stream at the prompt's tokens, entering each layer and after the last."""
        from homeostat.agent.models.teacher_forcing import hidden_states

        with self._turn:
            return hidden_states(self.model, self.renderer.render(prompt))

    def _decode(
        self,
        rendered: Rendered,
        start: Start,
        fresh: int,
        n: int,
        temperature: float,
        max_new_tokens: int,
        deadline: float | None,
        seed: int | None,
        steered: bool,
        schema: Mapping[str, Any] | None,
    ) -> tuple[Any, tuple[Any, Any, Any]]:
        import torch
        from transformers import GenerationConfig, LogitsProcessorList, StoppingCriteriaList

        from homeostat.agent.models.decoding import Deadline, TokenStats
        from homeostat.agent.models.teacher_forcing import on_device

        inputs = on_device(self.model, start.inputs)
        stats = TokenStats()
        held = [] if schema is None else [self._holding(schema, len(rendered.ids))]
        # Plain decoding: whatever penalties and truncation the model's folder asks for are set aside, so that
        # log-probabilities mean the model's own.
        config = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=max_new_tokens,
            num_return_sequences=n,
            do_sample=temperature > 0,
            temperature=temperature or 1.0,
            top_k=0 if temperature > 0 else 50,  # 0 is "all"; greedy decoding warns of anything but the default
            top_p=1.0,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            eos_token_id=sorted(self.stops) or None,
            pad_token_id=self._pad_token(),
            return_dict_in_generate=True,
        )
        random = torch.random.fork_rng(enabled=seed is not None and temperature > 0)
        with random, torch.inference_mode():
            if seed is not None and temperature > 0:
                torch.manual_seed(seed)
            if n > 1 and not steered and self._prefix.can_reuse(rendered):
                cut = max(len(rendered.ids) - fresh, start.cached)
                if not rendered.images or rendered.images[-1].stop <= cut:
                    inputs = self._fan_out(inputs, start, cut, n)
                    config.num_return_sequences = 1
                elif start.cached:  # the last image is still to be run: for every row, on what is cached
                    start.cache.batch_repeat_interleave(n)
            if self.model._supports_default_dynamic_cache():
                inputs["past_key_values"] = start.cache
            out = self.model.generate(
                **inputs,
                generation_config=config,
                logits_processor=LogitsProcessorList([*held, stats]),
                stopping_criteria=StoppingCriteriaList([Deadline(deadline)] if deadline is not None else []),
            )
        return out.sequences, stats.result(out.sequences[:, -1])

    def _holding(self, schema: Mapping[str, Any], prompt: int) -> Any:
        """What keeps an answer to ``schema``."""
        from homeostat.agent.models.constrained import JSONSchemaProcessor, guidance_tokenizer

        if self._guidance is None:
            self._guidance = guidance_tokenizer(self._tokenizer, self.stops)
        return JSONSchemaProcessor(self._guidance, schema, prompt)

    def _fan_out(self, inputs: dict[str, Any], start: Start, cut: int, n: int) -> dict[str, Any]:
        """One prefill of the prompt's first ``cut`` tokens, all images among them, repeated for ``n`` rows."""
        ids = inputs["input_ids"]
        head = {**inputs, "input_ids": ids[:, start.cached : cut], "attention_mask": inputs["attention_mask"][:, :cut]}
        if cut > start.cached:
            self.model(**head, past_key_values=start.cache, use_cache=True, logits_to_keep=1)
        start.cache.batch_repeat_interleave(n)
        return {"input_ids": ids.repeat(n, 1), "attention_mask": inputs["attention_mask"].repeat(n, 1)}

    @contextlib.contextmanager
    def _watching(self, rendered: Rendered, watch: bool | Readout, steer: Sequence[Actuator]) -> Iterator[Probe | None]:
        if watch is False and not steer:
            yield None
            return
        from homeostat import sensors

        readout = watch if isinstance(watch, Readout) else Readout()
        with sensors.watch(self.model, layers=self.layers, rows=_PROBED_ROWS, readout=readout) as probe:
            probe.start(rendered.as_spans(), steer=steer)
            yield probe

    def _cut(self, tokens: list[int]) -> tuple[list[int], bool]:
        """Up to and with the first stop token, and whether there was one."""
        for k, token in enumerate(tokens):
            if token in self.stops:
                return tokens[: k + 1], True
        return tokens, False

    def _pieces(self, tokens: list[int]) -> tuple[str, ...]:
        """What each token adds to the text, special ones included; "" for one that completes no character yet."""
        texts = [
            self._tokenizer.decode(tokens[:k], skip_special_tokens=False, clean_up_tokenization_spaces=False)
            for k in range(len(tokens) + 1)
        ]
        return tuple(after[len(before.rstrip("\ufffd")) :].rstrip("\ufffd") for before, after in pairwise(texts))

    def _stop_tokens(self) -> frozenset[int]:
        found: set[int] = set()
        for source in (self.model.generation_config.eos_token_id, self._tokenizer.eos_token_id):
            found.update([source] if isinstance(source, int) else source or ())
        return frozenset(found)

    def _pad_token(self) -> int:
        pad = self._tokenizer.pad_token_id
        return pad if pad is not None else min(self.stops, default=0)
