"""Which models' caches can be thinned."""

from __future__ import annotations

from typing import Any

from transformers import DynamicCache
from transformers.cache_utils import DynamicLayer

from homeostat.errors import ModelError

__all__ = ["check_model"]


def check_model(model: Any, config: Any, name: str) -> None:
    """Refuses a model whose cache can't be thinned.

    Args:
        model: The transformers model.
        config: The configuration of its text model.
        name: The model's name.

    Raises:
        ModelError: A layer has a sliding window or no keys at all, positions have three dimensions, or the attention
            depends on the distance to the first key.
    """
    reason = ""
    if not model._supports_default_dynamic_cache():
        reason = "it has a cache of its own kind"
    elif kinds := {
        type(layer).__name__ for layer in DynamicCache(config=config).layers if type(layer) is not DynamicLayer
    }:
        reason = f"it has layers with a sliding window or without keys ({', '.join(sorted(kinds))})"
    elif "mrope_section" in (getattr(config, "rope_parameters", None) or {}):
        reason = "its positions have three dimensions"
    elif getattr(config, "alibi", False) or getattr(config, "position_embedding_type", "") == "alibi":
        reason = "its attention counts the keys in between (ALiBi)"
    if reason:
        raise ModelError(f"{name!r} can't have a memory: {reason}; leave memory=… out")
