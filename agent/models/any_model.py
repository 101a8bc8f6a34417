"""Loads a model by its name, wherever it runs: in this process, or on a server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from homeostat.agent.models.protocol import Model
from homeostat.agent.models.server_names import is_served
from homeostat.errors import ConfigError

__all__ = ["load_model"]


def load_model(
    name: str,
    *,
    base_url: str | None = None,
    engine: Literal["transformers", "vllm"] = "transformers",
    engine_options: Mapping[str, Any] | None = None,
    **options: Any,
) -> Model:
    """Loads a model, or connects to one.

    Args:
        name: A hub name, a folder, a GGUF file, the name of an embedded model, ``openai:NAME``, or a server's address.
        base_url: The address that goes with ``openai:NAME``.
        engine: What runs the weights.
        engine_options: Further arguments of vLLM's engine.
        options: How weights are loaded (:class:`~homeostat.model_options.ModelOptions`).

    Returns:
        The model.

    Raises:
        ConfigError: The name is invalid, or options for weights are given for a model on a server.
        ModelError: The model can't be loaded, or the server can't be asked.
    """
    if is_served(name):
        from homeostat.agent.models.chat_model import ChatModel

        if given := {key: value for key, value in options.items() if value is not None}:
            key, value = next(iter(given.items()))
            raise ConfigError(f"{key}={value!r} says how weights are loaded, but {name!r} is on a server; leave it out")
        return ChatModel.load(name, base_url)
    if engine == "vllm":
        from homeostat.agent.vllm.model import VLLMModel

        chosen = {key: value for key, value in options.items() if value is not None}
        return VLLMModel.load(name, **chosen, **(engine_options or {}))
    from homeostat.agent.models.transformers_model import TransformersModel

    return TransformersModel.load(name, **options)
