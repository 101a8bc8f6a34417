"""The attention probe: span masses read, and attention steered, inside transformers' own attention call.

One attention function (``sensors/probe/attention_function.py``) is registered under the name ``homeostat_probe`` with
``AttentionInterface``, and the mask function of "sdpa" under the same name with ``AttentionMaskInterface`` (without it,
left-padded batches and a second chunk on top of a cache would be silently wrong). The function finds its probe by the
module that calls it, so two models, or a model and an unprobed part of it (a vision tower), never share state.

Why, and what is refused: ``docs/design/probe.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors.attempts import Readout, SpanMass
from homeostat.sensors.chat.messages import Prompt
from homeostat.sensors.chat.rendering import Renderer
from homeostat.sensors.probe.architectures import Layers, find_layers, owners
from homeostat.sensors.probe.attention_function import PROBES, probe_attention
from homeostat.sensors.probe.recorder import Recorder
from homeostat.sensors.probe.results import first_tokens, follow_beams, span_masses
from homeostat.sensors.spans import OUTPUT, Spans
from homeostat.sensors.steering.actuators import Actuator
from homeostat.sensors.steering.reweighting import Steering

__all__ = ["NAME", "Probe", "watch"]

NAME = "homeostat_probe"
"""The attention implementation's name. It must hold none of "flash", "sdpa", "flex_attention" and "/", which
transformers takes for its own kernels."""


class Probe:
    """Reads a watched model's attention, run by run. Made by :func:`watch`.

    A run lies between :meth:`start` and :meth:`result`; outside of one the model runs unread. ``layers`` are the layers
    it reads. A probe serves one run at a time, in one thread.
    """

    def __init__(
        self,
        layers: Sequence[int],
        rows: int | None,
        sink_threshold: float | None,
        readout: Readout,
        every: int,
        renderer: Renderer | None = None,
    ) -> None:
        """``rows`` None: every row of the prompt; ``sink_threshold`` None: no sinks."""
        self._renderer = renderer
        self.layers = tuple(layers)
        self.readout = readout
        self._every = every
        self._rows = rows
        self._sink_threshold = sink_threshold
        self.recorder: Recorder | None = None
        self.steering: Steering | None = None

    def start(self, spans: Spans | Sequence[Spans], *, steer: Iterable[Actuator] = ()) -> None:
        """A run begins: the next forward or ``generate`` is read. An unfinished run is dropped.

        ``spans``: one :class:`Spans` for all rows of the batch, or one for each prompt of it (with n samples a prompt,
        as ``generate`` lays them side by side, each counts for n rows). With left padding, shift them. ``steer``: rules
        that this run's attention follows; what is read is the steered attention. Keys and values that it leaves in a
        cache are those of a steered run.
        """
        given = (spans,) if isinstance(spans, Spans) else tuple(spans)
        if not given:
            raise ConfigError(f"spans={spans!r} holds no prompt; give one Spans, or one for each prompt of the batch")
        rules = tuple(steer)
        self.steering = Steering(rules, given, self.layers) if rules else None
        self.recorder = Recorder(self.layers, given, self._rows, self._sink_threshold, self.readout, self._every)

    def prepare(
        self, prompt: Prompt | Sequence[Mapping[str, Any]], *, steer: Iterable[Actuator] = ()
    ) -> dict[str, Any]:
        """Render a chat with the processor that :func:`watch` was given, begin a run, and hand the model's inputs back.

        ``prompt``: messages as ``apply_chat_template`` takes them (see ``Prompt.from_chat``), or a ``Prompt``. Inputs
        are on the CPU: ``{k: v.to(model.device) for …}`` elsewhere. Raises :class:`ConfigError` without a processor.
        """
        if self._renderer is None:
            raise ConfigError("processor=None renders nothing; call watch(model, processor), or start(spans)")
        rendered = self._renderer.render(prompt if isinstance(prompt, Prompt) else Prompt.from_chat(prompt))
        self.start(rendered.as_spans(), steer=steer)
        return dict(rendered.inputs)

    def result(self, tokens: int | None = None) -> SpanMass:
        """The run's span masses, for a batch of one; the run is over.

        ``tokens`` keeps the first so many generated tokens. Raises :class:`ProbeError` where nothing was run or the
        batch has more rows.
        """
        every = self.results(None if tokens is None else [tokens])
        if len(every) != 1:
            raise ProbeError(f"the batch had {len(every)} rows; call results()")
        return every[0]

    def results(
        self, tokens: Sequence[int] | None = None, *, beams: Sequence[Sequence[int]] | None = None
    ) -> tuple[SpanMass, ...]:
        """The span masses of every row of the batch; the run is over.

        ``tokens[b]`` keeps row b's first so many generated tokens: rows that end early are padded by ``generate``.
        ``beams`` (rows, T): the ``beam_indices`` of a beam search's output: then there is a result for each sequence
        that it returned, whose every token is read from the row that its beam was in at the time.
        """
        recorder, self.recorder, self.steering = self.recorder, None, None
        if recorder is None:
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
        """Hook on the first probed module: it sees the cache before this forward's keys enter it."""
        if self.recorder is None:
            return
        hidden = args[0] if args else kwargs.get("hidden_states")
        if not isinstance(hidden, Tensor):
            raise ProbeError(f"{type(module).__name__!r} takes no hidden_states, so its rows can't be counted")
        cache = kwargs.get("past_key_values", kwargs.get("layer_past"))
        start: int | None = 0
        if cache is not None:
            seen = cache.get_seq_length(self.layers[0])
            # A static cache counts on the device: reading that waits for it, so only once a run.
            start = None if isinstance(seen, Tensor) and self.recorder.forwards else int(seen)
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
    """Attach a probe to a loaded transformers model for the length of a ``with`` block.

        with watch(model, layers=[8, 9, 10]) as probe:
            probe.start(Spans({"goal": [(5, 19)], "screen": [(30, 130)]}, length=140))
            out = model.generate(**inputs)
            mass = probe.result()

    With the model's ``processor`` (or fast tokenizer) a labelled chat is rendered here::

        with watch(model, processor) as probe:
            out = model.generate(**probe.prepare([{"role": "user", "content": "book a table", "label": "goal"}]))

    ``layers``: ``"all"`` or indices. ``rows``: how many of the prompt's last rows are read besides the generated tokens
    (``"all"`` for every row). Sinks (arXiv 2410.10781) are the keys whose mean weight, over those rows that can see
    them and over all probed heads and layers, exceeds ``sink_threshold``; a key that fewer than half of the rows can
    see is never one. The paper's 0.3 is for single heads; over all heads it marks only keys that the whole model uses
    as a sink, and never a passage that a few heads rightly read. ``sinks=False`` measures none.

    The model's outputs stay what SDPA computes, up to rounding. The former attention implementation is back after the
    block, also after an exception. Inside it ``generate`` does not compile (a compiled forward would skip the probe).

    Raises :class:`ProbeError` for an architecture that can't be read exactly or a model that is already watched, and
    :class:`ConfigError` for settings that can't work.
    """
    if rows != "all" and (not isinstance(rows, int) or rows < 1):
        raise ConfigError(f"rows={rows!r} reads nothing; give 1 or more, or 'all'")
    if not 0 < sink_threshold < 1:
        raise ConfigError(f"sink_threshold={sink_threshold!r} is no share of a row; give a number between 0 and 1")
    if not isinstance(every, int) or every < 1:
        raise ConfigError(f"every={every!r} reads nothing; give 1 for every token, or k for one in k")
    if OUTPUT in readout.keys:
        raise ConfigError(f"keys={OUTPUT!r} grow with every token; read the nearest ones with window=…")
    renderer = None if processor is None else Renderer(processor)
    modules = find_layers(model, layers)
    if any(m in PROBES for m in modules.values()):
        raise ProbeError(f"{type(model).__name__!r} is already watched; leave the other watch(...) first")
    probe = Probe(
        tuple(modules), None if rows == "all" else rows, sink_threshold if sinks else None, readout, every, renderer
    )
    AttentionInterface.register(NAME, probe_attention)
    AttentionMaskInterface.register(NAME, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    configs = owners(model, list(modules.values()))
    former = [config._attn_implementation for config in configs]
    generation = getattr(model, "generation_config", None)
    compiling = getattr(generation, "disable_compile", None)
    first = next(iter(modules.values()))
    hook = first.register_forward_pre_hook(probe._before_forward, with_kwargs=True)
    try:
        for config in configs:
            # The private name sets this config alone: the public one would reach into the vision tower's as well.
            config._attn_implementation_internal = NAME
        if generation is not None:
            generation.disable_compile = True
        PROBES.update(dict.fromkeys(modules.values(), probe))
        yield probe
    finally:
        hook.remove()
        for module in modules.values():
            PROBES.pop(module, None)
        for config, name in zip(configs, former, strict=True):
            config._attn_implementation_internal = name
        if generation is not None:
            generation.disable_compile = compiling
