"""The embedded planner: the executor's language model with a few more tokens, without the vision tower."""

from __future__ import annotations

from typing import Any

from homeostat.nano.checkpoints import load_embedded

__all__ = ["build_planner"]

_OPENS = ('"', '{"compute": "', '{"instruction": "', '{"say": "')
_CLOSES = ('"', '"]}', '"}')
_PIECES = (  # fixed pieces of a plan's JSON, one token each
    *(f"{close}, {begin}" for close in _CLOSES for begin in _OPENS),
    *(f'{{"parts": [{begin}' for begin in _OPENS),
    *(f"{close}]}}" for close in _CLOSES),
    *('", "of": ["', '", "when": "', '", "when": "not ', "{4}", "{5}", "{6}", "{7}", "{8}", "{9}"),
)


def build_planner(start: str) -> tuple[Any, Any]:
    """Builds a planner to train, from an embedded model or from a planner.

    Args:
        start: The name or folder of the model. From an embedded model, the planner takes the language model and widens
            its vocabulary. A planner is loaded as it is.

    Returns:
        The model in float32, in training mode, and its tokenizer.

    Raises:
        ConfigError: If the model is not of the embedded kind.
    """
    from transformers import Qwen3Config, Qwen3ForCausalLM

    model, processor = load_embedded(start)
    tokenizer = getattr(processor, "tokenizer", processor)
    if _PIECES[1] in tokenizer.get_vocab():
        return model, tokenizer
    tokenizer.add_tokens(list(_PIECES))
    text = model.config.get_text_config()
    config = Qwen3Config(**{k: v for k, v in text.to_dict().items() if k not in ("model_type", "architectures")})
    planner = Qwen3ForCausalLM(config)
    planner.model.load_state_dict(model.model.language_model.state_dict())
    planner.resize_token_embeddings(len(tokenizer), pad_to_multiple_of=64)
    planner.tie_weights()
    planner.generation_config.eos_token_id = tokenizer.eos_token_id
    planner.generation_config.pad_token_id = tokenizer.pad_token_id
    return planner.train(), tokenizer
