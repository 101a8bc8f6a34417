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
from typing import TYPE_CHECKING, Any, Literal

from homeostat.agent.models.answering import answer_call
from homeostat.agent.models.capacity import check_length, context_length
from homeostat.agent.models.generation import GenerationCall, stop_tokens
from homeostat.agent.models.kv_cache import KeyValueCache
from homeostat.agent.models.loading import load_style, load_weights, resolve
from homeostat.agent.models.pictures import fitted
from homeostat.agent.models.response_template import parsed_answer
from homeostat.agent.models.tool_template import renders_tools
from homeostat.agent.prompts import PromptStyle
from homeostat.conversation import ToolSpec
from homeostat.errors import CallInterrupted, ConfigError
from homeostat.model_options import Quantization
from homeostat.sensors.attempts import Attempt, Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendering import Rendered, Renderer
from homeostat.sensors.contracts import Capability
from homeostat.sensors.steering.actuators import Actuator

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from homeostat.agent.memory.settings import SpanMemory
    from homeostat.agent.memory.span_cache import SpanCache
    from homeostat.agent.models.constrained import SchemaConstraint
    from homeostat.agent.models.stopping import CallStop

__all__ = ["TransformersModel"]


class TransformersModel:
    """A local model that reports span masses and log-probabilities, and whose attention can be steered.

    The key-value cache is kept from call to call. Calls from several threads wait for each other.

    Attributes:
        name: The model's name, as it was loaded.
        model: The transformers model.
        processor: Its image-text processor, or its tokenizer.
        style: How its prompts are worded.
        layers: The layers that the probe reads: ``"all"``, or indices.
        renderer: Turns prompts into tokens and pixels.
        stops: The tokens that end an answer.
        context: The number of tokens that prompt and answer may have together; None where the model states none.
        reuse: Whether the key-value cache is kept from call to call.
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
        memory: SpanMemory | float | None = None,
    ) -> None:
        """Wraps a loaded model.

        Args:
            model: A transformers model in evaluation mode, on its device.
            processor: The model's image-text processor, or its fast tokenizer.
            name: The model's name.
            style: How its prompts are worded; None takes the general style.
            layers: The layers that the probe reads: ``"all"``, or indices.
            reuse: Whether the key-value cache is kept from call to call. Without it, every call prefills afresh.
            memory: How the key-value cache is thinned at the end of each call, or its budget alone, such as 0.25; None
                keeps all of it.

        Raises:
            ModelError: The tokenizer is no fast one, or has no chat template; or the model can't have a memory.
            ConfigError: ``memory`` is no budget, or the other settings leave it nothing to work with.
        """
        self.name = name
        self.model = model
        self.style = fitted(style, processor) if style else load_style(None, model.config.model_type, processor)
        self.layers = layers
        self.processor = processor
        self.renderer = Renderer(processor)
        self.renderer.check_chat_template()
        if renders_tools(self.renderer):
            self.capabilities = self.capabilities | {"tools"}
            if not renders_tools(self.renderer, reminded=True):
                told = self.style.conversation.model_copy(update={"reminder_after_tool": False})
                self.style = self.style.model_copy(update={"conversation": told})
        self.stops = stop_tokens(model.generation_config, self.renderer.tokenizer)
        self.reuse = reuse
        self._cache = self._cache_of(memory, reuse)
        self.context = context_length(model, self.renderer.tokenizer)
        self._guidance: Any = None
        self._turn = threading.RLock()
        self._present: CallStop | None = None
        self._last: tuple[Prompt, Rendered] | None = None

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        device: str | None = None,
        dtype: str | None = None,
        *,
        revision: str | None = None,
        quantization: Quantization | None = None,
        layers: Literal["all"] | Sequence[int] = "all",
        reuse: bool = True,
        memory: SpanMemory | float | None = None,
    ) -> TransformersModel:
        """Loads a model.

        Args:
            name: A hub name, a folder, a GGUF file, or the name of an embedded model, such as ``"homeostat/nano"``.
            device: Where the model is loaded, such as ``"cuda"``; None takes the fastest one available.
            dtype: The type of the weights, such as ``"bfloat16"``; None chooses by device and size. The weights of a
                GGUF file are dequantised to it.
            revision: The version of a hub model: a branch, a tag or a commit; None takes the newest.
            quantization: How the weights are quantised while they are loaded, ``"4bit"`` or ``"8bit"``, with
                bitsandbytes; None leaves them whole.
            layers: The layers that the probe reads: ``"all"``, or indices.
            reuse: Whether the key-value cache is kept from call to call.
            memory: How the key-value cache is thinned at the end of each call, or its budget alone; None keeps it all.

        Returns:
            The model.

        Raises:
            ModelError: The model can't be found or loaded; the message is one line.
            UnknownName: The name begins with ``homeostat/``, but no package registers it.
        """
        source = resolve(name, revision)
        model, processor = load_weights(source, device, dtype, revision, quantization)
        style = load_style(source, model.config.model_type, processor)
        return cls(model, processor, name=os.fspath(name), style=style, layers=layers, reuse=reuse, memory=memory)

    def forget(self) -> None:
        """Drops the key-value cache of earlier calls."""
        self._cache.forget()

    @property
    def memory(self) -> SpanCache | None:
        """The thinned cache of earlier calls: what is evicted, and how much is held. None without a memory."""
        from homeostat.agent.memory.span_cache import SpanCache

        return self._cache if isinstance(self._cache, SpanCache) else None

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
        with self.calling(deadline) as stop:
            rendered = self._rendered(prompt)
            check_length(self.name, len(rendered.ids), max_new_tokens, self.context)
            return answer_call(self, self._cache, rendered, call, stop)

    def score(self, prompt: Prompt, tokens: Sequence[int], steer: Sequence[Actuator] = ()) -> NDArray[np.float32]:
        """Scores a given answer (see :func:`~homeostat.agent.models.teacher_forcing.score`)."""
        from homeostat.agent.models.teacher_forcing import score

        with self.calling():
            return score(self.model, self._fitting(prompt, len(tokens)), self._cache, tokens, steer)

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

        with self.calling():
            return read_forced(self.model, self._fitting(prompt, len(tokens)), tokens, self.layers, readout)

    def hidden(self, prompt: Prompt) -> NDArray[np.float32]:
        """Computes a prompt's residual stream (see :func:`~homeostat.agent.models.teacher_forcing.hidden_states`)."""
        from homeostat.agent.models.teacher_forcing import hidden_states

        with self.calling():
            return hidden_states(self.model, self._fitting(prompt, 0))

    def excess(self, prompt: Prompt, max_new_tokens: int) -> int:
        """Counts the tokens by which a prompt and its answer exceed the context.

        Args:
            prompt: The prompt.
            max_new_tokens: The most tokens of the answer.

        Returns:
            The number of tokens; 0 where both fit.
        """
        if self.context is None:
            return 0
        with self._turn:
            return max(len(self._rendered(prompt).ids) + max_new_tokens - self.context, 0)

    def parse_answer(self, attempt: Attempt, tools: Sequence[ToolSpec]) -> dict[str, Any] | None:
        """Reads an answer by the tokenizer's own ``response_template``, which may come with a model.

        Args:
            attempt: The answer.
            tools: The tools that the prompt offered.

        Returns:
            The message; None where the tokenizer has no such template, or the answer does not fit it.
        """
        return parsed_answer(self.renderer.tokenizer, attempt, tools)

    def constraint(self, schema: Mapping[str, Any]) -> SchemaConstraint:
        """Compiles a JSON schema for one answer.

        Args:
            schema: The schema.

        Returns:
            What forbids the tokens that don't fit.

        Raises:
            ModelError: The schema can't be followed.
        """
        from homeostat.agent.models.constrained import SchemaConstraint

        return SchemaConstraint(self.guidance, schema)

    def interrupt(self) -> None:
        """Ends the present call soon (see :class:`~homeostat.agent.models.protocol.Interruptible`)."""
        present = self._present
        if present is not None:
            present.interrupt()

    @contextlib.contextmanager
    def calling(self, deadline: float | None = None) -> Iterator[CallStop]:
        """Holds the model for one call, which ends at a deadline or when it is interrupted.

        Calls from several threads wait for each other.

        Args:
            deadline: An instant of ``time.monotonic()``; it is moved by the time that the call waits for its turn.

        Yields:
            When the call has to end.

        Raises:
            CallInterrupted: A forward pass was ended by :meth:`interrupt`, and the caller has no answer of its own.
        """
        from homeostat.agent.models.inputs import contiguous_for_head
        from homeostat.agent.models.stopping import CallStop, Stopped, stoppable

        arrived = time.monotonic()
        with self._turn:
            stop = CallStop(None if deadline is None else deadline + time.monotonic() - arrived)
            before, self._present = self._present, stop
            try:
                with stoppable(self.model, stop), contiguous_for_head(self.model):
                    yield stop
            except Stopped:
                raise CallInterrupted(f"{self.name!r}: the call was interrupted; call it again") from None
            finally:
                self._present = before

    def _rendered(self, prompt: Prompt) -> Rendered:
        """The rendered prompt. The last one is kept, because a prompt is measured before it is answered."""
        if self._last is None or self._last[0] is not prompt:
            self._last = (prompt, self.renderer.render(prompt))
        return self._last[1]

    def _fitting(self, prompt: Prompt, answer: int) -> Rendered:
        """The rendered prompt, if a given answer fits behind it."""
        rendered = self._rendered(prompt)
        check_length(self.name, len(rendered.ids), answer, self.context)
        return rendered

    @property
    def guidance(self) -> Any:
        """The tokenizer as constrained decoding needs it, made once."""
        from homeostat.agent.models.constrained import guidance_tokenizer

        if self._guidance is None:
            self._guidance = guidance_tokenizer(self.renderer.tokenizer, self.stops)
        return self._guidance

    def _cache_of(self, memory: SpanMemory | float | None, reuse: bool) -> KeyValueCache:
        if memory is None:
            return KeyValueCache(self.model.config.get_text_config(decoder=True), enabled=reuse)
        from homeostat.agent.memory.settings import SpanMemory
        from homeostat.agent.memory.span_cache import SpanCache

        settings = SpanMemory.of(memory)
        assert settings is not None
        if not reuse:
            raise ConfigError("memory=… needs the cache of earlier calls; leave reuse=False out")
        if self.layers != "all":
            raise ConfigError(f"memory=… needs every layer's attention; layers={self.layers!r} leaves some out")
        return SpanCache(self.model, settings, self.name)

    @property
    def pad(self) -> int:
        """The token that pads rows of a batch."""
        pad = self.renderer.tokenizer.pad_token_id
        return pad if pad is not None else min(self.stops, default=0)
