"""Which models can be probed exactly, and which of their modules are the decoder's attention layers.

A model that cannot be read exactly is refused with an error that says why; it is never read approximately. Refused are

- models whose attention does not go through transformers' ``AttentionInterface``;
- encoder-decoder models and cross-attention layers, because their keys are not tokens of the prompt;
- models with layers that are not softmax attention (state-space, linear attention, convolution), unless the caller
  names the softmax attention layers;
- layers that reuse another layer's keys;
- models with a special case for the attention implementation named "sdpa": under any other name they would compute
  something else.

Attributes of modules and configs are read with ``getattr``, because each model class in transformers has only some of
them and no common base class declares them.
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

__all__ = ["Layers", "attention_configs", "find_layers"]

Layers = Literal["all"] | Sequence[int]
"""Which layers are probed: all, or layer indices."""

_SOFTMAX = frozenset({"full_attention", "sliding_attention", "chunked_attention"})
_SPECIAL = re.compile(r"_attn_implementation\s*(==|!=|in|not in)\s*(\(.*)?[\"']sdpa")


def find_layers(model: nn.Module, layers: Layers) -> dict[int, nn.Module]:
    """Finds the attention module of every chosen layer.

    Args:
        model: A loaded transformers model.
        layers: ``"all"``, or layer indices.

    Returns:
        The modules by layer index, in ascending order.

    Raises:
        ProbeError: The architecture cannot be read exactly.
        ConfigError: No layer is chosen, or the model lacks a chosen one.
    """
    config = getattr(model, "config", None)
    if config is None or not hasattr(config, "get_text_config"):
        raise ProbeError(f"{type(model).__name__!r} is not a transformers model; pass a loaded PreTrainedModel")
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


def attention_configs(model: nn.Module, probed: Sequence[nn.Module]) -> list[Any]:
    """Finds the configs in which the probe must be set as the attention implementation.

    These are the configs of the probed modules and of every model that contains one of them, because a composite model
    may build the masks in its outermost part. Vision and audio towers have their own configs, which stay unchanged.

    Args:
        model: The model.
        probed: The probed attention modules.

    Returns:
        The configs, each once.
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
                f"{', '.join(other)}); pass layers={soft!r} to probe only these"
            )
        return {i: found[i] for i in soft}
    if isinstance(layers, str) or not layers:
        raise ConfigError(f"layers={layers!r} chooses no layer; pass 'all' or layer indices")
    chosen = sorted(set(layers))
    for index in chosen:
        if index not in soft:
            raise ConfigError(f"layer {index!r} of {name!r} is not a softmax attention layer; these are: {soft!r}")
    return {i: found[i] for i in chosen}


def _refuse(name: str, index: int, module: nn.Module) -> None:
    kind = type(module).__name__
    if "CrossAttention" in kind or getattr(module, "is_cross_attention", False):
        raise ProbeError(
            f"layer {index} of {name!r} ({kind}) is cross-attention: its keys are not tokens of the prompt"
        )
    if getattr(module, "is_kv_shared_layer", False):
        raise ProbeError(f"layer {index} of {name!r} ({kind}) reuses another layer's keys; choose layers before it")
    if _special(_kind(module)):
        raise ProbeError(
            f"{name!r} ({kind}) has a special case for the attention named 'sdpa', so it cannot be probed exactly"
        )
    table = getattr(sys.modules[type(module).__module__], "ALL_ATTENTION_FUNCTIONS", None)
    if getattr(table, "_local_mapping", None):
        raise ProbeError(f"{name!r} ({kind}) has its own attention functions, so it cannot be probed exactly")


def _kind(module: nn.Module) -> Any:
    return type(module)


@cache
def _special(kind: Any) -> bool:
    """Whether the file of a module's class has a special case for the implementation "sdpa"."""
    return _SPECIAL.search(_source(kind, whole=True)) is not None


@cache  # parsing takes tens of milliseconds per class, and an agent calls watch() for each attempt
def _source(kind: Any, *, whole: bool) -> str:
    """The source of a module's class, or of its ``whole`` file; empty if Python cannot find it."""
    try:
        return inspect.getsource(sys.modules[kind.__module__] if whole else kind)
    except (OSError, TypeError, KeyError):
        return ""
