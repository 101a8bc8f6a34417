"""Finds the decoder layers of a model, and the matrices in them that an adapter changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from homeostat.alignment.sail.config import TARGETS
from homeostat.errors import ConfigError, ModelError
from homeostat.sensors.probe.architectures import find_layers

__all__ = ["Decoder", "adapter_targets", "find_decoder"]


@dataclass(frozen=True)
class Decoder:
    """The text decoder of a model.

    Attributes:
        layers: The list of decoder layers.
        path: The name of that list within the model.
        heads: The number of query heads in each layer.
    """

    layers: nn.ModuleList
    path: str
    heads: int

    def __len__(self) -> int:
        """Returns the number of layers."""
        return len(self.layers)


def find_decoder(model: Any) -> Decoder:
    """Finds the text decoder.

    Args:
        model: A transformers model, with or without a PEFT adapter.

    Returns:
        The decoder.

    Raises:
        ModelError: The attention layers are not in one list of layers.
    """
    attention = find_layers(model, "all")
    for path, module in model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == len(attention):
            inside = {id(m) for layer in module for m in layer.modules()}
            if all(id(m) in inside for m in attention.values()):
                return Decoder(module, path, model.config.get_text_config(decoder=True).num_attention_heads)
    raise ModelError(
        f"{type(model).__name__!r} does not keep its decoder layers in one list, so they can't be adapted by number"
    )


def adapter_targets(model: Any, layers: Sequence[int], names: Sequence[str] = TARGETS) -> list[str]:
    """Lists the matrices to adapt by their full names.

    Full names keep the adapter out of a vision tower whose layers have matrices of the same short names.

    Args:
        model: A transformers model.
        layers: Numbers of the decoder layers.
        names: Short names of the matrices, such as ``q_proj``.

    Returns:
        Full names, in the order of the layers.

    Raises:
        ConfigError: The model has no such layer, or a layer has no matrix with one of these names.
    """
    decoder = find_decoder(model)
    found = []
    for index in sorted(set(layers)):
        if not 0 <= index < len(decoder):
            raise ConfigError(f"layer {index!r} is not in this model of {len(decoder)}; give 0 to {len(decoder) - 1}")
        matrices = [path for path, module in decoder.layers[index].named_modules() if isinstance(module, nn.Linear)]
        chosen = [path for path in matrices if path.rpartition(".")[2] in names]
        if not chosen:
            known = ", ".join(sorted({path.rpartition(".")[2] for path in matrices}))
            raise ConfigError(f"targets={list(names)!r}: layer {index} has no such matrix; it has {known}")
        found += [f"{decoder.path}.{index}.{path}" for path in chosen]
    return found
