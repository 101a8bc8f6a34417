"""Loads and saves folders of embedded models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from homeostat.agent.models.loading import load_weights, resolve
from homeostat.agent.prompts import PromptStyle
from homeostat.errors import ConfigError
from homeostat.nano.processor import place_token
from homeostat.nano.style import STYLE

__all__ = ["load_embedded", "save_model"]


def load_embedded(start: str) -> tuple[Any, Any]:
    """Loads an embedded model to train it further.

    Args:
        start: The model's name or folder.

    Returns:
        The model in float32, in training mode, and its processor (a planner has a tokenizer instead).

    Raises:
        ConfigError: If the model is not of the embedded kind.
    """
    model, processor = load_weights(resolve(start), None, "float32")
    tokenizer = getattr(processor, "tokenizer", processor)
    if place_token(0, 0) not in tokenizer.get_vocab():
        raise ConfigError(
            f"model {start!r} is not an embedded model (its vocabulary has no token for a place on the screen); "
            "give homeostat/nano or a folder that homeostat clone wrote"
        )
    return model.train(), processor


def save_model(folder: Path, model: Any, processor: Any, style: PromptStyle = STYLE) -> None:
    """Writes a model folder: weights in bfloat16, the processor, and the prompts' wording.

    Args:
        folder: The folder. It is created if it is missing.
        model: The model. Its own weights keep their precision.
        processor: The processor, or a planner's tokenizer.
        style: The prompts that the model was trained on.
    """
    folder.mkdir(parents=True, exist_ok=True)
    half = {k: v.detach().to(torch.bfloat16).cpu() for k, v in model.state_dict().items() if k != "lm_head.weight"}
    model.config.dtype = torch.bfloat16
    model.save_pretrained(folder, state_dict=half)
    processor.save_pretrained(folder)
    (folder / "homeostat.json").write_text(json.dumps(style.model_dump(), indent=1) + "\n")
