"""The embedded model's shape: tokenizer, chat template, processor, and a stock LLaVA of a few million parameters.

Notable choices:

- **Stock architecture**: LLaVA = SigLIP tower (absolute positions) + a two-layer projector + Qwen3 text model, so
  ``AutoModelForImageTextToText`` and ``AutoProcessor`` load the folder with nothing of ours installed. A 144 × 256
  screen has 9 × 16 = 144 patches, as many as the tower's square 192 × 192 would: SigLIP numbers patches, it does not
  ask for a square.
- **Two characters a token.** Words are cut in pairs of characters from their start (``mi|lk``, ``al|ar|m``), which is
  just what a 16-pixel patch of the screen shows: goal and screen share one alphabet, and a word never seen before is
  read, compared and copied like any other.
- **A place is one token**, spelled ``[40, 96]``: the centre of a patch, in pixels.
- **A tool call is a few tokens**: its fixed JSON pieces are tokens of their own.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from homeostat.agent.prompts import PromptStyle
from homeostat.nano.vocabulary import common_words

__all__ = ["CALL", "MATCHING_LAYER", "STYLE", "build_model", "build_processor", "place_token", "save_style"]

STYLE = PromptStyle(
    system="you operate a phone.",
    rules="\nrules: {rules}",
    rule_separator="; ",
    goal="goal: {goal}",
    history="\nhistory: {history}",
    history_empty="none",
    history_length=4,
    reminder="\nreminder: {reminder}",
    order=("screen", "goal", "history", "reminder"),
    planner="homeostat/nano-planner",
    planner_system="you split goals.",
    planner_goal="goal: {goal}",
    coordinates="pixels",
)

COLUMNS, ROWS, PATCH = 9, 16, 16
MATCHING_LAYER = 1  # one layer before it to gather a word's earlier characters, the others to use what it finds
CALL = '<tool_call>\n{"name": "mobile_use", "arguments": {"action": "'
END_CALL = "}}\n</tool_call>"

_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789$"
_JOINTS = ":./@-"  # inside a word, never at its end
_SPECIAL = ("<pad>", "<unk>", "<image>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")


def place_token(column: int, row: int) -> str:
    """The token of a patch: its centre in pixels."""
    return f"[{column * PATCH + PATCH // 2}, {row * PATCH + PATCH // 2}]"


def _pieces() -> list[str]:
    """Fixed text that is one token each, longest first where one begins another."""
    pieces = [place_token(x, y) for y in range(ROWS) for x in range(COLUMNS)]
    pieces += [f'{CALL}{name}", "coordinate": ' for name in ("click", "long_press", "swipe")]
    pieces += [', "coordinate2": ', f"{END_CALL}", f'"{END_CALL}']
    pieces += [f'{CALL}{name}", "text": "' for name in ("type", "open", "answer")]
    pieces += [f'{CALL}system_button", "button": "{b}"{END_CALL}' for b in ("Back", "Home", "Menu", "Enter")]
    pieces += [f'{CALL}terminate", "status": "{s}"{END_CALL}' for s in ("success", "failure")]
    pieces += [f'{CALL}wait", "time": 1.0{END_CALL}', '{"parts": ["', '", "', '"]}', "{1}", "{2}", "{3}"]
    pieces += ["goal:", "\nhistory:", "\nrules:", "\nreminder:", STYLE.system, STYLE.planner_system]
    return pieces


def _tokenizer() -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    common = common_words()
    words = [a + b for a in _LETTERS for b in _LETTERS]
    words += [a + j for a in _LETTERS for j in _JOINTS] + [j + a for a in _LETTERS for j in _JOINTS]
    words += [*_LETTERS, *" \n!\"#%&'()*+,;<=>?[]^_`{|}~", *_JOINTS]
    words += [space + w for w in common for space in (" ", "")]
    vocabulary = {w: i for i, w in enumerate(dict.fromkeys((*_SPECIAL, *words)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    a, j = "[a-z0-9$]", "[:./@-]"
    inside = f"(?:{a}|{j}{a})"  # what a word goes on with
    whole = f"(?: |(?<!{a})(?<!{a}{j}))(?:{'|'.join(sorted(common, reverse=True))})(?!{inside})"
    pair = f"{whole}|{a}(?:{a}|{j}(?={a}))?|{j}{a}|[\\s\\S]"
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pair), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in _SPECIAL])
    tokenizer.add_tokens([AddedToken(t, special=False, normalized=False) for t in _pieces()])
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<|end|>",
        chat_template=_TEMPLATE,
        clean_up_tokenization_spaces=False,
        model_max_length=4096,
        padding_side="left",
    )


def build_processor() -> Any:
    """The processor: our tokenizer and SigLIP's image processor at 144 × 256."""
    from transformers import LlavaProcessor, SiglipImageProcessorPil

    images = SiglipImageProcessorPil(
        size={"height": ROWS * PATCH, "width": COLUMNS * PATCH}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )
    return LlavaProcessor(  # type: ignore[no-untyped-call]
        image_processor=images,
        tokenizer=_tokenizer(),
        patch_size=PATCH,
        vision_feature_select_strategy="full",
        image_token="<image>",
        num_additional_image_tokens=0,
        chat_template=_TEMPLATE,
    )


def build_model(tokenizer: Any, *, width: int = 192, layers: int = 5, tower_layers: int = 2) -> Any:
    """A freshly initialised model for this tokenizer."""
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


def _sharpen(model: Any) -> None:
    """Let heads look sharply from the start, and the head that will match words compare like with like.

    Qwen3 normalises queries and keys: with norm weights of 1 no score exceeds 8, too little to pick one patch of 144.
    """
    import torch

    with torch.no_grad():
        for layer in model.model.language_model.layers:
            layer.self_attn.q_norm.weight.fill_(1.4)
            layer.self_attn.k_norm.weight.fill_(1.4)
        attention = model.model.language_model.layers[MATCHING_LAYER].self_attn
        attention.k_proj.weight[: attention.head_dim] = attention.q_proj.weight[: attention.head_dim]


def _compose_embeddings(model: Any, tokenizer: Any) -> None:
    """Start a pair of characters as the sum of a vector for its first and one for its second character, and a place as
    that of its column and its row: what is learned of one pair or place then holds for others from the start.
    """
    import torch

    weight = model.get_input_embeddings().weight
    scale = weight.shape[1] ** -0.5
    vectors: dict[tuple[int, str], Any] = {}

    def vector(slot: int, what: str) -> Any:
        return vectors.setdefault((slot, what), torch.randn(weight.shape[1]) * scale / 2**0.5)

    with torch.no_grad():
        weight.normal_(std=scale)
        for token, i in tokenizer.get_vocab().items():
            if len(token) <= 2 and any(c in _LETTERS for c in token) and token[0] != " ":
                weight[i] = vector(0, token[0]) + vector(1, token[1:])
        for column in range(COLUMNS):
            for row in range(ROWS):
                i = tokenizer.convert_tokens_to_ids(place_token(column, row))
                weight[i] = vector(2, str(column)) + vector(3, str(row))


def save_style(folder: Path) -> None:
    """Write the prompt wording beside the weights, where the agent looks for it."""
    (folder / "homeostat.json").write_text(json.dumps(STYLE.model_dump(), indent=1) + "\n")
