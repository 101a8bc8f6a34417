"""The embedded model's architecture and initial weights: a stock LLaVA of a few million parameters.

LLaVA is a SigLIP vision tower with absolute positions, a two-layer projector and a Qwen3 text model. Because the
architecture is stock, ``AutoModelForImageTextToText`` and ``AutoProcessor`` load the folder without this package. A
144 × 256 screen has 9 × 16 = 144 patches, as many as the square 192 × 192 image that the tower's configuration names:
SigLIP numbers its patches and does not require a square.
"""

from __future__ import annotations

from typing import Any

from homeostat.nano.processor import COLUMNS, LETTERS, PATCH, ROWS, place_token

__all__ = ["MATCHING_LAYER", "build_model", "layers_of"]

MATCHING_LAYER = 1
"""The layer whose first head matches words. The layer before it gathers a word's earlier characters."""


def build_model(tokenizer: Any, *, width: int = 192, layers: int = 5, tower_layers: int = 2) -> Any:
    """Builds a model with initial weights. Draws from PyTorch's global random generator.

    Args:
        tokenizer: The tokenizer, which gives the vocabulary and the special tokens.
        width: The hidden width of the tower and the text model, a multiple of 64.
        layers: Layers of the text model.
        tower_layers: Layers of the vision tower.

    Returns:
        A ``LlavaForConditionalGeneration``.
    """
    from transformers import LlavaConfig, LlavaForConditionalGeneration, Qwen3Config, SiglipVisionConfig

    tower = SiglipVisionConfig(
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=tower_layers,
        num_attention_heads=width // 64,
        image_size=192,
        patch_size=PATCH,
        vision_use_head=False,
    )
    text = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=layers,
        num_attention_heads=max(4, width // 64),
        num_key_value_heads=max(4, width // 64),
        head_dim=64,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    config = LlavaConfig(
        vision_config=tower,
        text_config=text,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
        projector_hidden_act="gelu",
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
        image_seq_length=COLUMNS * ROWS,
        tie_word_embeddings=True,
    )
    model = LlavaForConditionalGeneration(config)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    _compose_embeddings(model, tokenizer)
    _sharpen(model)
    return model


def layers_of(model: Any) -> list[Any]:
    """Lists the transformer layers of a model.

    Args:
        model: The model.

    Returns:
        The layers of the text model, then those of the vision tower.
    """
    tower = model.model.vision_tower
    return [*model.model.language_model.layers, *getattr(tower, "vision_model", tower).encoder.layers]


def _sharpen(model: Any) -> None:
    """Raises the attention's initial sharpness, and starts the matching head with equal queries and keys.

    Qwen3 normalises queries and keys. With norm weights of 1 no attention score exceeds 8 (the square root of the head
    dimension, which is 64). That is too little to select one patch of 144.
    """
    import torch

    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.q_norm.weight.fill_(1.4)
            layer.self_attn.k_norm.weight.fill_(1.4)
        attention = model.model.language_model.layers[MATCHING_LAYER].self_attn
        attention.k_proj.weight[: attention.head_dim] = attention.q_proj.weight[: attention.head_dim]


def _compose_embeddings(model: Any, tokenizer: Any) -> None:
    """Initialises embeddings as sums, so that what the model learns about one of them carries over to others.

    A pair of characters starts as a vector for its first character plus one for its second. A place starts as a vector
    for its column plus one for its row.
    """
    import torch

    weight = model.get_input_embeddings().weight
    scale = weight.shape[1] ** -0.5
    vectors: dict[tuple[int, str], Any] = {}

    def vector(slot: int, what: str) -> Any:
        return vectors.setdefault((slot, what), torch.randn(weight.shape[1]) * scale / 2**0.5)

    with torch.no_grad():
        weight.normal_(std=scale)
        # get_vocab's order changes from process to process; sorted, a seed always gives the same weights
        for token, i in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1]):
            if len(token) <= 2 and any(c in LETTERS for c in token) and token[0] != " ":
                weight[i] = vector(0, token[0]) + vector(1, token[1:])
        for column in range(COLUMNS):
            for row in range(ROWS):
                i = tokenizer.convert_tokens_to_ids(place_token(column, row))
                weight[i] = vector(2, str(column)) + vector(3, str(row))
