"""Attaches a probe to a model: it reads and steers attention inside transformers' attention call.

One attention function (``sensors/probe/attention_function.py``) is registered under the name ``homeostat_probe`` with
``AttentionInterface``. The mask function of "sdpa" is registered under the same name with ``AttentionMaskInterface``;
without it, left-padded batches and a second chunk on top of a cache would be silently wrong. The function finds its
probe by the module that calls it. Two models, or a model and an unprobed part of it (a vision tower), therefore never
share state.

``docs/design/probe.md`` gives the reasons and lists what is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import Any, Literal

from torch import nn
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors.attempts import Readout, Statistic
from homeostat.sensors.chat.rendering import Renderer
from homeostat.sensors.probe.architectures import Layers, attention_configs, find_layers
from homeostat.sensors.probe.attention_function import PROBES, probe_attention
from homeostat.sensors.probe.generation import compared_prompts
from homeostat.sensors.probe.probe import Probe
from homeostat.sensors.spans import OUTPUT

__all__ = ["NAME", "watch"]

NAME = "homeostat_probe"
"""The attention implementation's name. It must not contain "flash", "sdpa", "flex_attention" or "/", by which
transformers recognises its own kernels."""


class _Watching(AbstractContextManager[Probe]):
    """What :func:`watch` returns: it says so where somebody takes it for the probe itself."""

    def __init__(self, attached: AbstractContextManager[Probe]) -> None:
        self._attached = attached

    def __enter__(self) -> Probe:
        return self._attached.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        return self._attached.__exit__(kind, error, trace)

    def __getattr__(self, name: str) -> Any:
        if not name.startswith("_") and hasattr(Probe, name):
            raise ProbeError(f"{name!r} needs an attached probe; write: with watch(model, tokenizer) as probe: …")
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


def watch(
    model: nn.Module,
    processor: Any = None,
    *,
    layers: Layers = "all",
    rows: int | Literal["all"] = 32,
    sinks: bool = True,
    sink_threshold: float = 0.3,
    readout: Readout | Statistic = Readout(),  # noqa: B008 - frozen
    every: int = 1,
) -> AbstractContextManager[Probe]:
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
        readout: What is recorded besides span masses. One statistic may be given by its name: ``"prompt_keys"`` for
            :meth:`Probe.show`.
        every: Record one generated token in so many.

    Returns:
        What ``with`` takes. It gives the :class:`Probe`.

    Raises:
        ProbeError: Raised by ``with`` if the architecture cannot be read exactly, or the model is already watched.
        ConfigError: Raised by ``with`` if a setting is invalid.
    """
    return _Watching(_attached(model, processor, layers, rows, sinks, sink_threshold, readout, every))


@contextmanager
def _attached(
    model: nn.Module,
    processor: Any,
    layers: Layers,
    rows: int | Literal["all"],
    sinks: bool,
    sink_threshold: float,
    readout: Readout | Statistic,
    every: int,
) -> Iterator[Probe]:
    """Attaches the probe, and takes it off again."""
    if rows != "all" and (not isinstance(rows, int) or rows < 1):
        raise ConfigError(f"rows={rows!r} reads no row; pass 1 or more, or 'all'")
    if not 0 < sink_threshold < 1:
        raise ConfigError(f"sink_threshold={sink_threshold!r} is not a share of a row; pass a number between 0 and 1")
    if not isinstance(every, int) or every < 1:
        raise ConfigError(f"every={every!r} reads no token; pass 1 for every token, or k for one token in k")
    if isinstance(readout, str):
        readout = Readout(statistics=frozenset({readout}))
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
