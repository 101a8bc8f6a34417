"""``TransformersModel``: the white box over a Hugging Face transformers model.

Any image-text-to-text or text model that transformers itself implements can drive an environment. The attention probe
is attached for the length of one ``generate`` call and never changes what is generated.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from homeostat.agent.models.generation import PROBED_ROWS, GenerationCall, cut_at_stop, token_texts
from homeostat.agent.models.kv_cache import KeyValueCache
from homeostat.agent.models.loading import load_style, load_weights, resolve
from homeostat.agent.prompts import PromptStyle
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


class TransformersModel:
    """A local model that reports span masses and log-probabilities, and whose attention can be steered.

    The key-value cache is kept from call to call. Calls from several threads wait for each other.

    Attributes:
        name: The model's name, as it was loaded.
        model: The transformers model.
        style: How its prompts are worded.
        layers: The layers that the probe reads: ``"all"``, or indices.
        renderer: Turns prompts into tokens and pixels.
        stops: The tokens that end an answer.
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
        """Wraps a loaded model.

        Args:
            model: A transformers model in evaluation mode, on its device.
            processor: The model's image-text processor, or its fast tokenizer.
            name: The model's name.
            style: How its prompts are worded; None takes the general style.
            layers: The layers that the probe reads: ``"all"``, or indices.
            reuse: Whether the key-value cache is kept from call to call. Without it, every call prefills afresh.

        Raises:
            ModelError: The tokenizer is no fast one, or has no chat template.
        """
        self.name = name
        self.model = model
        self.style = style or load_style(None, model.config.model_type)
        self.layers = layers
        self.renderer = Renderer(processor)
        self.stops = self._stop_tokens()
        self._cache = KeyValueCache(model.config.get_text_config(decoder=True), enabled=reuse)
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
        """Loads a model.

        Args:
            name: A hub name, a folder, or the name of an embedded model, such as ``"homeostat/nano"``.
            device: Where the model is loaded, such as ``"cuda"``; None takes the fastest one available.
            dtype: The type of the weights, such as ``"bfloat16"``; None chooses by device and size.
            layers: The layers that the probe reads: ``"all"``, or indices.
            reuse: Whether the key-value cache is kept from call to call.

        Returns:
            The model.

        Raises:
            ModelError: The model can't be found or loaded; the message is one line.
            UnknownName: The name begins with ``homeostat/``, but no package registers it.
        """
        source = resolve(name)
        model, processor = load_weights(source, device, dtype)
        style = load_style(source, model.config.model_type)
        return cls(model, processor, name=os.fspath(name), style=style, layers=layers, reuse=reuse)

    def forget(self) -> None:
        """Drops the key-value cache of earlier calls."""
        self._cache.forget()

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
        """Answers a prompt (see :class:`~homeostat.agent.Model`). ``seconds`` of every attempt are the whole call's."""
        call = GenerationCall(n, temperature, max_new_tokens, watch, deadline, seed, tuple(steer), schema)
        arrived = time.monotonic()
        with self._turn:  # one call at a time; the time spent waiting does not count
            if deadline is not None:
                call = replace(call, deadline=deadline + time.monotonic() - arrived)
            return self._generate(prompt, call)

    def score(self, prompt: Prompt, tokens: Sequence[int], steer: Sequence[Actuator] = ()) -> NDArray[np.float32]:
        """Scores a given answer (see :func:`~homeostat.agent.models.teacher_forcing.score`)."""
        from homeostat.agent.models.teacher_forcing import score

        with self._turn:
            return score(self.model, self.renderer.render(prompt), self._cache, tokens, steer)

    def read(self, prompt: Prompt, tokens: Sequence[int], readout: Readout = Readout()) -> SpanMass:  # noqa: B008
        """Reads a given answer's attention (see :func:`~homeostat.agent.models.teacher_forcing.read_forced`).

        Args:
            prompt: The prompt.
            tokens: The answer's T tokens.
            readout: What the probe records besides span masses.

        Returns:
            The span masses of the T tokens.

        Raises:
            ModelError: There are no tokens.
        """
        from homeostat.agent.models.teacher_forcing import read_forced

        with self._turn:
            return read_forced(self.model, self.renderer.render(prompt), tokens, self.layers, readout)

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """Computes a prompt's residual stream (see :func:`~homeostat.agent.models.teacher_forcing.hidden_states`)."""
        from homeostat.agent.models.teacher_forcing import hidden_states

        with self._turn:
            return hidden_states(self.model, self.renderer.render(prompt))

    def _generate(self, prompt: Prompt, call: GenerationCall) -> list[Attempt]:
        from homeostat.agent.models.decoding import Decoder, matching_images

        begin = time.monotonic()
        rendered = self.renderer.render(prompt)
        # The keys and values of a steered call are of no use to another one.
        start = self._cache.start_empty(rendered) if call.steer else self._cache.start(rendered, call.fresh_rows)
        decoder = Decoder(self.model, self._cache, self.stops, self._pad_token())
        masses: Sequence[SpanMass | None] = [None] * call.rows
        with matching_images(self.name), self._watching(rendered, call) as probe:
            decoded = decoder.decode(rendered, start, call, self._constraint(call, len(rendered.ids)))
            rows = [cut_at_stop(row, self.stops) for row in decoded.sequences[:, len(rendered.ids) :].tolist()]
            if probe is not None and call.watch is not False:
                masses = probe.results([len(tokens) for tokens, _ in rows])
        if call.rows == 1 and not call.steer:
            self._cache.keep(start.cache, decoded.sequences[0].tolist(), rendered.images)
        tokenizer = self.renderer.tokenizer
        attempts = [
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
            )
            for row, (tokens, stopped) in enumerate(rows)
        ]
        return attempts * (call.n // call.rows)

    @contextlib.contextmanager
    def _watching(self, rendered: Rendered, call: GenerationCall) -> Iterator[Probe | None]:
        """The probe, attached where the call reads or steers attention."""
        if call.watch is False and not call.steer:
            yield None
            return
        from homeostat import sensors

        readout = call.watch if isinstance(call.watch, Readout) else Readout()
        with sensors.watch(self.model, layers=self.layers, rows=PROBED_ROWS, readout=readout) as probe:
            probe.start(rendered.as_spans(), steer=call.steer)
            yield probe

    def _constraint(self, call: GenerationCall, prompt_tokens: int) -> Any:
        """The logits processor that holds an answer to the call's schema; None without one."""
        if call.schema is None:
            return None
        from homeostat.agent.models.constrained import JSONSchemaProcessor, guidance_tokenizer

        if self._guidance is None:
            self._guidance = guidance_tokenizer(self.renderer.tokenizer, self.stops)
        return JSONSchemaProcessor(self._guidance, call.schema, prompt_tokens)

    def _stop_tokens(self) -> frozenset[int]:
        found: set[int] = set()
        for source in (self.model.generation_config.eos_token_id, self.renderer.tokenizer.eos_token_id):
            found.update([source] if isinstance(source, int) else source or ())
        return frozenset(found)

    def _pad_token(self) -> int:
        pad = self.renderer.tokenizer.pad_token_id
        return pad if pad is not None else min(self.stops, default=0)
