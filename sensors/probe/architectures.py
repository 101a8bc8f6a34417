"""Which models can be probed exactly, and which of their modules are the decoder's attention layers.

What can't be read exactly is refused here by name, never read wrongly:

- models whose attention does not go through transformers' ``AttentionInterface``;
- encoder-decoder models and layers of cross-attention: their keys are not tokens of the prompt;
- layers that are no softmax attention (state-space, linear attention, convolution), unless the caller names the
  attention layers among them;
- layers that reuse another layer's keys, and models that treat the implementation named "sdpa" apart: with any other
  name they would compute something else.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

from torch import nn
from transformers import PreTrainedModel

from homeostat.errors import ConfigError, ProbeError

__all__ = ["Layers", "find_layers", "owners"]

Layers = Literal["all"] | Sequence[int]

_SOFTMAX = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
_SPECIAL = re.compile(r"_attn_implementation\s*(==|!=|in|not in)\s*(\(.*)?[\"']sdpa")


def find_layers(model: nn.Module, layers: Layers) -> dict[int, nn.Module]:
    """The attention module of every chosen layer, by layer index, ascending.

    Raises :class:`ProbeError` for an architecture that can't be read exactly and :class:`ConfigError` for a layer that
    the model lacks.
    """
    config = getattr(model, "config", None)
    if config is None or not hasattr(config, "get_text_config"):
        raise ProbeError(f"{type(model).__name__!r} is no transformers model; give a loaded PreTrainedModel")
    name = type(model).__name__
    if getattr(config, "is_encoder_decoder", False):
        raise ProbeError(f"{name!r} is an encoder-decoder model; only decoder-only models can be probed")
    text: Any = config.get_text_config(decoder=True)
    found = _attention_modules(model, text)
    if not found:
        raise ProbeError(f"{name!r} ({text.model_type}) has no attention layer that goes through AttentionInterface")
    chosen = _choose(name, text, found, layers)
    for index, module in chosen.items():
        _refuse(name, index, module)
    return chosen


def owners(model: nn.Module, probed: Sequence[nn.Module]) -> list[Any]:
    """The configs that must name the probe: of the probed modules and of every model that holds one of them.

    The latter matters because a composite model may build the masks in its outermost part. Vision and audio towers
    have configs of their own, which stay as they are.
    """
    configs: dict[int, Any] = {id(m.config): m.config for m in probed}
    wanted = {id(m) for m in probed}
    for part in model.modules():
        if isinstance(part, PreTrainedModel) and any(id(m) in wanted for m in part.modules()):
            configs.setdefault(id(part.config), part.config)
    return list(configs.values())


def _attention_modules(model: nn.Module, text: Any) -> dict[int, nn.Module]:
    found: dict[int, nn.Module] = {}
    for path, module in model.named_modules():
        index: Any = getattr(module, "layer_idx", None)
        ours = isinstance(index, int) and type(getattr(module, "config", None)) is type(text)
        if not ours or "get_interface(" not in _source(_kind(module), whole=False):
            continue
        if found.setdefault(int(index), module) is not module:
            raise ProbeError(f"{type(model).__name__!r} has two attention modules for layer {index} ({path!r})")
    return dict(sorted(found.items()))


def _choose(name: str, text: Any, found: dict[int, nn.Module], layers: Layers) -> dict[int, nn.Module]:
    kinds = getattr(text, "layer_types", None) or []
    soft = [i for i in found if i >= len(kinds) or kinds[i] in _SOFTMAX]
    if layers == "all":
        total = getattr(text, "num_hidden_layers", None)
        if len(soft) != total:
            other = sorted({str(k) for k in kinds} - _SOFTMAX) or ["another kind"]
            raise ProbeError(
                f"{name!r} has {total} layers, of which only {soft!r} are softmax attention (others: "
                f"{', '.join(other)}); name those to probe them alone"
            )
        return {i: found[i] for i in soft}
    if isinstance(layers, str) or not layers:
        raise ConfigError(f"layers={layers!r} chooses nothing; give 'all' or layer indices")
    chosen = sorted(set(layers))
    for index in chosen:
        if index not in soft:
            raise ConfigError(f"layer {index!r} of {name!r} is no softmax attention layer; it has {soft!r}")
    return {i: found[i] for i in chosen}


def _refuse(name: str, index: int, module: nn.Module) -> None:
    kind = type(module).__name__
    if "CrossAttention" in kind or getattr(module, "is_cross_attention", False):
        raise ProbeError(f"layer {index} of {name!r} ({kind}) is cross-attention: its keys are no tokens of the prompt")
    if getattr(module, "is_kv_shared_layer", False):
        raise ProbeError(f"layer {index} of {name!r} ({kind}) reuses another layer's keys; choose layers before it")
    if _special(_kind(module)):
        raise ProbeError(f"{name!r} ({kind}) treats the attention named 'sdpa' apart, so it can't be probed exactly")
    table = getattr(sys.modules[type(module).__module__], "ALL_ATTENTION_FUNCTIONS", None)
    if getattr(table, "_local_mapping", None):
        raise ProbeError(f"{name!r} ({kind}) has attention functions of its own, so it can't be probed exactly")


def _kind(module: nn.Module) -> Any:
    return type(module)


@cache
def _special(kind: Any) -> bool:
    """Whether the file of a module's class treats the implementation "sdpa" apart."""
    return _SPECIAL.search(_source(kind, whole=True)) is not None


@cache  # parsing takes tens of milliseconds a class, and an agent watches its model anew each attempt
def _source(kind: Any, *, whole: bool) -> str:
    """The source of a module's class, or of the ``whole`` file; empty where Python can't find it."""
    try:
        return inspect.getsource(sys.modules[kind.__module__] if whole else kind)
    except (OSError, TypeError, KeyError):
        return ""
