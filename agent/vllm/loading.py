"""What a model in vLLM's engine needs from its folder besides the weights: tokenizer, prompt style and stop tokens."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from homeostat.agent.models.adapters import is_adapter
from homeostat.agent.models.generation import stop_tokens
from homeostat.agent.models.gguf import is_gguf
from homeostat.agent.models.loading import load_style, resolve
from homeostat.agent.prompts import PromptStyle
from homeostat.errors import ModelError
from homeostat.sensors.chat.rendering import Renderer

__all__ = ["ModelFiles", "load_files"]


@dataclass(frozen=True)
class ModelFiles:
    """What was read.

    Attributes:
        source: The model's folder or hub name.
        tokenizer: Its fast tokenizer.
        style: How its prompts are worded.
        stops: The tokens that end an answer: those of the model's generation settings, and the tokenizer's own.
    """

    source: str
    tokenizer: Any
    style: PromptStyle
    stops: frozenset[int]


def load_files(name: str | os.PathLike[str], revision: str | None = None) -> ModelFiles:
    """Finds a model and reads its files. Code from the model's folder is never run.

    Args:
        name: A hub name or a folder.
        revision: The version of a hub model; None for the newest.

    Returns:
        What was read.

    Raises:
        ModelError: There is no such model, it is an adapter or a GGUF file, its files can't be read, or it can't chat.
    """
    from transformers import AutoConfig, AutoTokenizer

    source, text = resolve(name, revision), os.fspath(name)
    if is_adapter(source) or is_gguf(source):
        what = "an adapter" if is_adapter(source) else "a GGUF file"
        raise ModelError(f"model {text!r} is {what}, which the engine vllm does not load here; give whole weights")
    more = {"revision": revision} if revision is not None else {}
    try:
        config = AutoConfig.from_pretrained(source, trust_remote_code=False, **more)
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False, **more)
    except Exception as error:  # the loaders raise what they like
        reason = str(error).strip().split("\n")[0][:200]
        raise ModelError(f"can't load model {text!r}: {type(error).__name__}: {reason}; check the folder") from None
    Renderer(tokenizer).check_chat_template()
    style = load_style(source, config.model_type, tokenizer)
    stops = stop_tokens(_generation_settings(source, config, more), tokenizer)
    return ModelFiles(source, tokenizer, style, stops)


def _generation_settings(source: str, config: Any, more: dict[str, Any]) -> Any:
    from transformers import GenerationConfig

    try:
        return GenerationConfig.from_pretrained(source, **more)
    except OSError:  # the folder has none
        return GenerationConfig.from_model_config(config)
