"""GGUF files, the format of llama.cpp: one file with weights, tokenizer and chat template.

transformers reads them, with the package ``gguf``. The weights are dequantised to the dtype that is asked for, because
packed weights compute in float32 only, and the probe, steering and adapters need whole matrices.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from homeostat.errors import ModelError

__all__ = ["dequantised", "gguf_arguments", "gguf_file_in", "gguf_parameters", "is_gguf", "unmark_quantised"]

_NEEDED = ("gguf", "accelerate")


def is_gguf(source: str) -> bool:
    """Returns whether a model is a GGUF file.

    Args:
        source: A folder, a hub name or a file.

    Returns:
        True for an existing file whose name ends in ``.gguf``.
    """
    path = Path(source)
    return path.suffix.lower() == ".gguf" and path.is_file()


def gguf_file_in(folder: Path) -> Path | None:
    """Finds the GGUF file of a folder that holds no other weights.

    Args:
        folder: The folder.

    Returns:
        The file; None where there is none.

    Raises:
        ModelError: There are several.
    """
    found = sorted(p for p in folder.iterdir() if p.suffix.lower() == ".gguf")
    if len(found) > 1:
        raise ModelError(f"folder {str(folder)!r} holds {len(found)} GGUF files; give one, such as {str(found[0])!r}")
    return found[0] if found else None


def gguf_arguments(source: str) -> dict[str, Any]:
    """Returns how transformers finds a GGUF file.

    Args:
        source: The file.

    Returns:
        Further keyword arguments of ``from_pretrained``.

    Raises:
        ModelError: A package that reads GGUF files is not installed.
    """
    for package in _NEEDED:
        if find_spec(package) is None:
            raise ModelError(f"model {source!r} is a GGUF file, which needs {package}; pip install 'homeostat[gguf]'")
    return {"gguf_file": Path(source).name}


def dequantised() -> dict[str, Any]:
    """Returns how transformers unpacks the weights while it loads them.

    Returns:
        Further keyword arguments of ``from_pretrained`` of a model.
    """
    try:
        from transformers import GgufConfig
    except ImportError:  # earlier versions unpack in any case
        return {}
    return {"quantization_config": GgufConfig(dequantize=True)}


def gguf_parameters(source: str) -> int:
    """Counts the parameters of a GGUF file.

    Args:
        source: The file.

    Returns:
        The number of scalars in all tensors.
    """
    from gguf import GGUFReader

    return sum(int(tensor.n_elements) for tensor in GGUFReader(source).tensors)


def unmark_quantised(model: Any) -> None:
    """Removes the marks of quantisation from a dequantised model, so that it is saved and trained like any other.

    Args:
        model: The transformers model.
    """
    model.hf_quantizer = None
    marks = ((model.config, "quantization_config"), (model, "is_quantized"), (model, "quantization_method"))
    for holder, name in marks:
        if name in vars(holder):
            delattr(holder, name)
