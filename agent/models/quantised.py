"""Weights that are quantised while they are loaded, with bitsandbytes."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from homeostat.errors import ModelError
from homeostat.model_options import Quantization

__all__ = ["quantised_arguments"]

_NEEDED = ("bitsandbytes", "accelerate")


def quantised_arguments(source: str, quantization: Quantization, packed: bool) -> Callable[[Any], dict[str, Any]]:
    """Prepares the quantisation of a model.

    Args:
        source: The model, for messages.
        quantization: The kind: ``"4bit"`` (NF4) or ``"8bit"``.
        packed: Whether the model is a GGUF file.

    Returns:
        A function from the type in which the model computes to further keyword arguments of ``from_pretrained``.

    Raises:
        ModelError: The kind is unknown, bitsandbytes is not installed, or the model is a GGUF file.
    """
    if quantization not in ("4bit", "8bit"):
        raise ModelError(f"unknown quantization {quantization!r}; give 4bit or 8bit")
    if packed:
        raise ModelError(f"model {source!r} is a GGUF file, which is quantised already; leave out quantization")
    for package in _NEEDED:
        if find_spec(package) is None:
            raise ModelError(f"quantization {quantization!r} needs {package}; pip install 'homeostat[quantization]'")

    def arguments(dtype: Any) -> dict[str, Any]:
        from transformers import BitsAndBytesConfig

        config: Any = BitsAndBytesConfig

        if quantization == "8bit":
            return {"quantization_config": config(load_in_8bit=True)}
        nf4 = config(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
        return {"quantization_config": nf4}

    return arguments
