"""``VLLMModel``: a model over vLLM's engine, whose attention is read and steered in the engine's workers.

    model = VLLMModel.load("HuggingFaceTB/SmolLM2-135M-Instruct", max_model_len=4096)

Prompts, stop tokens, schemas and span masses are those of :class:`~homeostat.agent.TransformersModel`. Notable choices:

- Calls of several threads go to the engine at once, which batches them continuously. No lock and no queue of ours
  stands in front of it.
- The workers read span masses alone. What else a :class:`~homeostat.sensors.Readout` asks for is left out, with a word,
  and so are attention sinks.
- vLLM tells the two likeliest tokens: from these come log-probabilities and margins. The workers, which see the whole
  distribution, tell the entropies of watched answers.
- Texts only: an image in a prompt is replaced by its list of elements, or refused where there is none.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from homeostat.agent.models.capacity import check_length
from homeostat.agent.models.generation import PROBED_ROWS, GenerationCall, Wishes
from homeostat.agent.models.response_template import parsed_answer
from homeostat.agent.models.text_stream import TextStream
from homeostat.agent.models.tool_template import renders_tools
from homeostat.agent.prompts import TEXT, PromptStyle
from homeostat.agent.vllm.attempts import attempts_of
from homeostat.agent.vllm.engine import VLLMEngine
from homeostat.agent.vllm.engine_call import Ending, EngineCall, pushed
from homeostat.agent.vllm.engine_options import import_vllm
from homeostat.agent.vllm.loading import load_files
from homeostat.agent.vllm.wire import SpanRequest
from homeostat.conversation import ToolSpec
from homeostat.errors import ConfigError
from homeostat.sensors.attempts import Attempt, Readout
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendering import Rendered, Renderer
from homeostat.sensors.contracts import Capability
from homeostat.sensors.steering.actuators import Actuator

__all__ = ["VLLMModel"]

_LOG = logging.getLogger("homeostat")


class VLLMModel:
    """A model in vLLM's engine that reports span masses and log-probabilities, and whose attention can be steered.

    It needs vLLM (docs/how-to/vllm.md). Any number of threads may call it at once.

    Attributes:
        name: The model's name, as it was loaded.
        style: How its prompts are worded.
        capabilities: What it offers.
        records: What it records of attention besides span masses: nothing.
        engine: vLLM's engine.
        layers: The layers that the workers read: ``"all"``, or indices.
        renderer: Turns prompts into tokens.
        stops: The tokens that end an answer.
        context: The number of tokens that prompt and answer may have together.
        left_out: What readouts have asked for and the workers don't record.
    """

    capabilities: frozenset[Capability] = frozenset(("attention", "logprobs", "text", "steering", "schema"))
    records: frozenset[str] = frozenset()

    def __init__(
        self,
        engine: VLLMEngine,
        tokenizer: Any,
        *,
        stops: frozenset[int],
        name: str | None = None,
        style: PromptStyle | None = None,
        layers: Literal["all"] | Sequence[int] = "all",
    ) -> None:
        """Wraps a running engine.

        Args:
            engine: The engine.
            tokenizer: The model's fast tokenizer.
            stops: The tokens that end an answer.
            name: The model's name; None takes the engine's.
            style: How its prompts are worded; None takes :data:`~homeostat.agent.TEXT`.
            layers: The layers that the workers read: ``"all"``, or indices.

        Raises:
            ModelError: The tokenizer is no fast one, or has no chat template.
            ConfigError: The model has no such layer.
        """
        self.engine, self.name, self.style = engine, name or engine.name, style or TEXT
        self.layers = layers if layers == "all" else tuple(layers)
        if self.layers != "all" and (wrong := [i for i in self.layers if not 0 <= i < engine.layers]):
            raise ConfigError(f"{self.name!r} has no layer {wrong[0]}; its {engine.layers} layers are counted from 0")
        self.renderer = Renderer(tokenizer)
        self.renderer.check_chat_template()
        if renders_tools(self.renderer):
            self.capabilities = self.capabilities | {"tools"}
            if not renders_tools(self.renderer, reminded=True):
                told = self.style.conversation.model_copy(update={"reminder_after_tool": False})
                self.style = self.style.model_copy(update={"conversation": told})
        self.stops, self.context = stops, engine.context
        self.left_out: frozenset[str] = frozenset()
        self._numbers = itertools.count()
        self._rendering = threading.Lock()
        self._last = threading.local()
        self._running: set[Ending] = set()

    @classmethod
    def load(
        cls,
        name: str | os.PathLike[str],
        dtype: str | None = None,
        *,
        revision: str | None = None,
        layers: Literal["all"] | Sequence[int] = "all",
        silence: float = 600.0,
        **options: Any,
    ) -> VLLMModel:
        """Starts an engine for a model. This takes from 20 seconds to some minutes.

        A script that calls it has to do so under ``if __name__ == "__main__":``, because the engine's processes import
        the script.

        Args:
            name: A hub name or a folder.
            dtype: The type of the weights, such as ``"bfloat16"``; None takes the one in which they are stored.
            revision: The version of a hub model; None for the newest.
            layers: The layers that the workers read: ``"all"``, or indices.
            silence: The most seconds that the engine may say nothing while a call waits for it.
            options: Further arguments of ``vllm.AsyncEngineArgs``, such as ``max_model_len=4096``,
                ``gpu_memory_utilization=0.5`` or ``tensor_parallel_size=2``.

        Returns:
            The model.

        Raises:
            ConfigError: vLLM is not installed, an option is wrong, or the engine's mode can't be watched.
            ModelError: The model can't be found or loaded.
        """
        import_vllm()
        files, text = load_files(name, revision), os.fspath(name)
        engine = VLLMEngine(files.source, name=text, dtype=dtype, revision=revision, silence=silence, options=options)
        try:
            return cls(engine, files.tokenizer, stops=files.stops, name=text, style=files.style, layers=layers)
        except BaseException:
            engine.close()
            raise

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
        return self.answer(prompt, call, Wishes(), threading.Event())

    def answer(self, prompt: Prompt, call: GenerationCall, wishes: Wishes, gone: threading.Event) -> list[Attempt]:
        """Answers a prompt (see :class:`~homeostat.agent.models.protocol.BatchingItself`).

        Args:
            prompt: The prompt.
            call: The settings.
            wishes: What the caller wants besides.
            gone: Set when nobody wants the answers any more.

        Returns:
            What :meth:`generate` returns.

        Raises:
            ModelError: The engine has died or hangs, or it refuses the call.
            ProbeError: The workers could not read the call's attention.
        """
        begin = time.monotonic()
        rendered = self._rendered(prompt)
        if wishes.shortens:
            left = max(self.context - len(rendered.ids), 1)
            call = replace(call, max_new_tokens=min(call.max_new_tokens, left))
        check_length(self.name, len(rendered.ids), call.max_new_tokens, self.context)
        if call.schema is None and wishes.schema is not None:
            call = replace(call, schema=wishes.schema)
        key = f"homeostat-{os.getpid()}-{id(self)}-{next(self._numbers)}"
        spans = self._span_request(key, rendered, call)
        stream = None
        if call.rows == 1 and (wishes.stop or wishes.on_text is not None):
            stream = TextStream(self.renderer.tokenizer, wishes.stop, wishes.on_text)
        with self._present(gone) as ending:
            asked = EngineCall(
                key,
                tuple(rendered.ids),
                call,
                self.stops,
                wishes.top_p,
                spans,
                ending.reached,
                None if stream is None else partial(pushed, stream, self.stops),
            )
            answer = self.engine.answer(asked)
        found = attempts_of(asked, answer, self.renderer.tokenizer, wishes.stop, time.monotonic() - begin)
        if stream is not None:
            stream.finish(found[0].text)
        return found * (call.n // call.rows)

    def excess(self, prompt: Prompt, max_new_tokens: int) -> int:
        """Counts the tokens by which a prompt and its answer exceed the context.

        Args:
            prompt: The prompt.
            max_new_tokens: The most tokens of the answer.

        Returns:
            The number of tokens; 0 where both fit.
        """
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

    def interrupt(self) -> None:
        """Ends all present calls soon (see :class:`~homeostat.agent.models.protocol.Interruptible`)."""
        for ending in tuple(self._running):
            ending.interrupted = True

    def close(self) -> None:
        """Ends the engine and its processes."""
        self.engine.close()

    def _rendered(self, prompt: Prompt) -> Rendered:
        """The rendered prompt. Every thread's last one is kept, because a prompt is measured before it is answered."""
        known = getattr(self._last, "known", None)
        if known is None or known[0] is not prompt:
            with self._rendering:
                known = self._last.known = prompt, self.renderer.render(prompt)
        found: Rendered = known[1]
        return found

    def _span_request(self, key: str, rendered: Rendered, call: GenerationCall) -> SpanRequest | None:
        """What the workers read or steer; None for nothing."""
        if isinstance(call.watch, Readout):
            self._say_left_out(call.watch)
        if call.watch is False and not call.steer:
            return None
        return SpanRequest(
            key,
            rendered.as_spans(),
            layers=None if self.layers == "all" else tuple(self.layers),
            rows=PROBED_ROWS,
            steer=call.steer,
            watch=call.watch is not False,
            samples=call.rows,
        )

    def _say_left_out(self, readout: Readout) -> None:
        if new := sorted(readout.parts - self.left_out):
            self.left_out |= readout.parts
            _LOG.warning(
                "%s: the engine vllm reads span masses only, so %s is left out; a TransformersModel reads it",
                self.name,
                ", ".join(new),
            )

    @contextlib.contextmanager
    def _present(self, gone: threading.Event) -> Iterator[Ending]:
        """Within it, the call can be interrupted."""
        ending = Ending(gone)
        self._running.add(ending)
        try:
            yield ending
        finally:
            self._running.discard(ending)
