"""Where a model's decoder keeps its layers, and which of their matrices an adapter sits on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from homeostat.errors import ConfigError, ModelError
from homeostat.sensors.probe.architectures import find_layers

__all__ = ["TARGETS", "Decoder", "adapter_targets", "find_decoder"]

TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj")


@dataclass(frozen=True)
class Decoder:
    """``layers``: the decoder's ``ModuleList``, ``path`` its name in the model; ``heads``: query heads a layer."""

    layers: nn.ModuleList
    path: str
    heads: int

    def __len__(self) -> int:
        """How many layers."""
        return len(self.layers)


def find_decoder(model: Any) -> Decoder:
    """The text decoder's layers. Raises :class:`ModelError` where the attention layers lie in no one list."""
    attention = find_layers(model, "all")
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == len(attention):
            inside = {id(m) for layer in module for m in layer.modules()}
            if all(id(m) in inside for m in attention.values()):
                return Decoder(module, path, model.config.get_text_config(decoder=True).num_attention_heads)
    raise ModelError(
        f"{type(model).__name__!r} keeps its decoder layers in no one list, so none can be adapted by number"
    )


def adapter_targets(model: Any, layers: Sequence[int], names: Sequence[str] = TARGETS) -> list[str]:
    """Full names of the matrices to adapt, in those layers alone: a tower's layers of the same names are left alone.

    Raises :class:`ConfigError` for a layer that the model lacks, or where a layer has no matrix of these names.
    """
    decoder = find_decoder(model)
    found = []
    for index in sorted(set(layers)):
        if not 0 <= index < len(decoder):
            raise ConfigError(f"layer {index!r} is none of the model's {len(decoder)}; give 0 to {len(decoder) - 1}")
        inside = [
            f"{decoder.path}.{index}.{path}"
            for path, module in decoder.layers[index].named_modules()
            if isinstance(module, nn.Linear) and path.rpartition(".")[2] in names
        ]
        if not inside:
            there = sorted(
                {p.rpartition(".")[2] for p, m in decoder.layers[index].named_modules() if isinstance(m, nn.Linear)}
            )
            raise ConfigError(f"targets={list(names)!r}: layer {index} has no such matrix; it has {', '.join(there)}")
        found += inside
    return found
