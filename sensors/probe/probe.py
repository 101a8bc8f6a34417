"""The attention probe's public interface: reads span masses and steers attention inside transformers' attention call.

One attention function (``sensors/probe/attention_function.py``) is registered under the name ``homeostat_probe`` with
``AttentionInterface``. The mask function of "sdpa" is registered under the same name with ``AttentionMaskInterface``;
without it, left-padded batches and a second chunk on top of a cache would be silently wrong. The function finds its
probe by the module that calls it. Two models, or a model and an unprobed part of it (a vision tower), therefore never
share state.

``docs/design/probe.md`` gives the reasons and lists what is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors.attempts import Readout, SpanMass
from homeostat.sensors.chat.messages import Chat, is_batch
from homeostat.sensors.chat.rendering import Renderer
from homeostat.sensors.chat.tools import Tool
from homeostat.sensors.probe.architectures import Layers, attention_configs, find_layers
from homeostat.sensors.probe.attention_function import PROBES, probe_attention
from homeostat.sensors.probe.generation import compared_prompts
from homeostat.sensors.probe.recorder import Recorder
from homeostat.sensors.probe.results import first_tokens, follow_beams, span_masses
from homeostat.sensors.probe.row_recorders import RowRecorders
from homeostat.sensors.probe.thinned_keys import KeyReader, ThinnedKeys
from homeostat.sensors.spans import OUTPUT, Spans
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.binding import Steering
from homeostat.sensors.steering.row_steering import RowSteering

__all__ = ["NAME", "Probe", "watch"]

NAME = "homeostat_probe"
"""The attention implementation's name. It must not contain "flash", "sdpa", "flex_attention" or "/", by which
transformers recognises its own kernels."""


class Probe:
    """Reads a watched model's attention, run by run. :func:`watch` creates it.

    A run lasts from :meth:`start` to :meth:`result`; outside a run nothing is read. A probe serves one run at a time,
    in one thread.

    Attributes:
        layers: The layers that it reads.
        readout: What it records besides span masses.
        recorder: What the present run has collected; None outside a run.
    """

    def __init__(
        self,
        layers: Sequence[int],
        rows: int | None,
        sink_threshold: float | None,
        readout: Readout,
        every: int,
        renderer: Renderer | None = None,
        depth: int | None = None,
    ) -> None:
        """Creates a probe that reads nothing yet.

        Args:
            layers: The layers to read.
            rows: How many of the prompt's last rows are read; None for all.
            sink_threshold: The mean weight above which a key is a sink; None measures no sinks.
            readout: What is recorded besides span masses.
            every: Record one generated token in so many.
            renderer: Renders chats for :meth:`prepare`; None if there is no processor.
            depth: The number of layers of the model; None if it is unknown.
        """
        self._renderer = renderer
        self._depth = depth
        self.layers = tuple(layers)
        self.readout = readout
        self._every = every
        self._rows = rows
        self._sink_threshold = sink_threshold
        self.recorder: Recorder | RowRecorders | None = None
        self._steering: Steering | None = None

    @property
    def steering(self) -> Steering | RowSteering | None:
        """How the present run is steered; None where it is not."""
        return self.recorder.steering if isinstance(self.recorder, RowRecorders) else self._steering

    def start(
        self, spans: Spans | Sequence[Spans], *, steer: Iterable[Actuator] = (), reader: KeyReader | None = None
    ) -> None:
        """Starts a run: the next forward or ``generate`` is read. An unfinished run is discarded.

        Args:
            spans: One :class:`Spans` for all rows of the batch, or one for each prompt of it. If ``generate`` draws n
                samples for each prompt, each Spans counts for n adjacent rows. With left padding, shift the spans.
            steer: The steering rules of this run. The run reads the steered attention. Keys and values that it leaves
                in a cache come from a steered run, so an unsteered run must not reuse them.
            reader: Is told the weights of single keys; None for nobody.

        Raises:
            ConfigError: No prompt is given, or a rule names a span or a layer that is missing.
        """
        given = (spans,) if isinstance(spans, Spans) else tuple(spans)
        if not given:
            raise ConfigError(f"spans={spans!r} holds no prompt; pass one Spans, or one for each prompt of the batch")
        rules = tuple(steer)
        self._steering = Steering(rules, given, self.layers, self._depth) if rules else None
        self.recorder = Recorder(self.layers, given, self._rows, self._sink_threshold, self.readout, self._every)
        self.recorder.reader = reader

    def start_rows(self) -> RowRecorders:
        """Starts the runs of a batch whose rows come and go. Each row is read, and steered, by itself, without
        its padding.

        Returns:
            What the runs are made by, and what is told which rows the next forward has.
        """

        def made(spans: Spans, readout: Readout) -> Recorder:
            return Recorder(self.layers, (spans,), self._rows, self._sink_threshold, readout, self._every)

        def steered(spans: Spans, rules: tuple[Actuator, ...]) -> Steering:
            return Steering(rules, (spans,), self.layers, self._depth)

        self._steering = None
        rows = self.recorder = RowRecorders(made, steered)
        return rows

    def prepare(
        self,
        prompt: Chat | Sequence[Chat],
        *,
        tools: Sequence[Tool] | None = None,
        steer: Iterable[Actuator] = (),
    ) -> dict[str, Any]:
        """Renders a prompt with the processor that was passed to :func:`watch`, and starts a run.

        Args:
            prompt: Messages as ``apply_chat_template`` takes them (see ``Prompt.from_chat``), a plain text (see
                ``Prompt.from_text``), or a ``Prompt``. A list of these is a batch, padded on the left: read it with
                :meth:`results`.
            tools: The tools of the chat, or of every chat of the batch: JSON schemas, or functions with type hints and
                a docstring. What the chat template writes about them is the span "tools".
            steer: The steering rules of this run.

        Returns:
            The model's inputs. They are on the CPU; use ``{k: v.to(model.device) for …}`` to move them.

        Raises:
            ConfigError: :func:`watch` was called without a processor, or a chat or a tool is invalid.
            ModelError: The processor or its chat template can't render the prompt.
        """
        if self._renderer is None:
            raise ConfigError("processor=None renders nothing; call watch(model, processor), or start(spans)")
        if is_batch(prompt):
            batch = self._renderer.render_batch(prompt, tools=tools)
            self.start(batch.as_spans(), steer=steer)
            return dict(batch.inputs)
        rendered = self._renderer.render(prompt, tools=tools)
        self.start(rendered.as_spans(), steer=steer)
        return dict(rendered.inputs)

    def result(self, tokens: int | None = None) -> SpanMass:
        """Ends the run and returns its span masses, for a batch of one row.

        Args:
            tokens: Keep only so many of the first generated tokens.

        Returns:
            The span masses.

        Raises:
            ProbeError: The model did not run, or the batch has more rows.
        """
        every = self.results(None if tokens is None else [tokens])
        if len(every) != 1:
            raise ProbeError(f"the batch had {len(every)} rows; call results()")
        return every[0]

    def results(
        self, tokens: Sequence[int] | None = None, *, beams: Sequence[Sequence[int]] | None = None
    ) -> tuple[SpanMass, ...]:
        """Ends the run and returns the span masses of every row of the batch.

        Args:
            tokens: For each row, keep only so many of its first generated tokens. ``generate`` pads rows that end
                early, so pass their true lengths.
            beams: (rows, T) the ``beam_indices`` of a beam search's output. There is then one result for each returned
                sequence, and each of its tokens is read from the row that its beam was in at that time.

        Returns:
            One result for each row, or for each returned sequence of a beam search.

        Raises:
            ProbeError: The model did not run, or the run is incomplete.
            ConfigError: ``tokens`` or ``beams`` do not fit the batch.
        """
        recorder, self.recorder, self._steering = self.recorder, None, None
        if not isinstance(recorder, Recorder):
            raise ProbeError("no run to read; call start(spans) before the model, and result() once after it")
        every = span_masses(recorder)
        if beams is not None:
            every = tuple(follow_beams(every, [int(b) for b in one if b >= 0]) for one in beams)
        if tokens is None:
            return every
        if len(tokens) != len(every):
            raise ConfigError(f"tokens={list(tokens)!r} has {len(tokens)} counts for a batch of {len(every)} rows")
        return tuple(first_tokens(mass, count) for mass, count in zip(every, tokens, strict=True))

    def _before_forward(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Hook on the first probed module. It sees the cache before this forward's keys enter it."""
        if self.recorder is None:
            return
        hidden = args[0] if args else kwargs.get("hidden_states")
        if not isinstance(hidden, Tensor):
            raise ProbeError(f"{type(module).__name__!r} takes no hidden_states, so its rows cannot be counted")
        cache = kwargs.get("past_key_values", kwargs.get("layer_past"))
        start: int | None = 0
        if cache is not None:
            seen = cache.get_seq_length(self.layers[0])
            # A static cache counts on the device. Reading the count synchronises, so it is read only once per run.
            start = None if isinstance(seen, Tensor) and self.recorder.forwards else int(seen)
        self.recorder.thinned = cache if isinstance(cache, ThinnedKeys) else None
        if self.recorder.thinned is not None and self.steering is not None:
            raise ProbeError("a steered run can't read a thinned cache; steer with a cache that holds every token")
        self.recorder.begin(start, hidden.shape[1])


@contextmanager
def watch(
    model: nn.Module,
    processor: Any = None,
    *,
    layers: Layers = "all",
    rows: int | Literal["all"] = 32,
    sinks: bool = True,
    sink_threshold: float = 0.3,
    readout: Readout = Readout(),  # noqa: B008 - frozen
    every: int = 1,
) -> Iterator[Probe]:
    """Attaches a probe to a loaded transformers model for the duration of a ``with`` block.

    ::

        with watch(model, layers=[8, 9, 10]) as probe:
            probe.start(Spans({"goal": [(5, 19)], "screen": [(30, 130)]}, length=140))
            out = model.generate(**inputs)
            mass = probe.result()

    With the model's processor (or fast tokenizer), the probe renders a labelled chat::

        with watch(model, processor) as probe:
            out = model.generate(**probe.prepare([{"role": "user", "content": "book a table", "label": "goal"}]))

    The model's outputs remain what SDPA computes, up to rounding. After the block, also after an exception, the
    previous attention implementation is restored. Inside the block ``generate`` does not compile, because a compiled
    forward would skip the probe.

    Attention sinks (arXiv 2410.10781) are the keys whose mean weight exceeds ``sink_threshold``. The mean is taken over
    the rows that can see the key, and over all probed heads and layers. A key that fewer than half of the rows can see
    is never a sink. The paper applies its threshold of 0.3 to single heads. Over all heads, it marks only keys that the
    whole model uses as a sink, and never a passage that a few heads read for its content.

    Args:
        model: A loaded transformers model.
        processor: Its processor or fast tokenizer, for :meth:`Probe.prepare`.
        layers: The layers to read: ``"all"``, or indices.
        rows: How many of the prompt's last rows are read besides the generated tokens; ``"all"`` for every row.
        sinks: Whether attention sinks are measured.
        sink_threshold: The mean weight above which a key is a sink.
        readout: What is recorded besides span masses.
        every: Record one generated token in so many.

    Yields:
        The probe.

    Raises:
        ProbeError: The architecture cannot be read exactly, or the model is already watched.
        ConfigError: A setting is invalid.
    """
    if rows != "all" and (not isinstance(rows, int) or rows < 1):
        raise ConfigError(f"rows={rows!r} reads no row; pass 1 or more, or 'all'")
    if not 0 < sink_threshold < 1:
        raise ConfigError(f"sink_threshold={sink_threshold!r} is not a share of a row; pass a number between 0 and 1")
    if not isinstance(every, int) or every < 1:
        raise ConfigError(f"every={every!r} reads no token; pass 1 for every token, or k for one token in k")
    if OUTPUT in readout.keys:
        raise ConfigError(f"keys={OUTPUT!r} grows with every token; read the nearest keys with window=…")
    renderer = None if processor is None else Renderer(processor)
    modules = find_layers(model, layers)
    if any(m in PROBES for m in modules.values()):
        raise ProbeError(f"{type(model).__name__!r} is already watched; leave the other watch(...) first")
    config: Any = model.config
    probe = Probe(
        tuple(modules),
        None if rows == "all" else rows,
        sink_threshold if sinks else None,
        readout,
        every,
        renderer,
        config.get_text_config(decoder=True).num_hidden_layers,
    )
    AttentionInterface.register(NAME, probe_attention)
    AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    configs = attention_configs(model, list(modules.values()))
    former = [config._attn_implementation for config in configs]
    generation = getattr(model, "generation_config", None)  # models that cannot generate have none
    compiling = getattr(generation, "disable_compile", None)
    first = next(iter(modules.values()))
    hook = first.register_forward_pre_hook(probe._before_forward, with_kwargs=True)
    try:
        for config in configs:
            # The private name sets only this config; the public one would also change the vision tower's.
            config._attn_implementation_internal = NAME
        if generation is not None:
            generation.disable_compile = True
        PROBES.update(dict.fromkeys(modules.values(), probe))
        with compared_prompts(model, list(modules.values()), probe):
            yield probe
    finally:
        hook.remove()
        for module in modules.values():
            PROBES.pop(module, None)
        for config, name in zip(configs, former, strict=True):
            config._attn_implementation_internal = name
        if generation is not None:
            generation.disable_compile = compiling
