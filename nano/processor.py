"""How the embedded models read text and screens: tokenizer, chat template and image processor.

Notable choices:

- **Two characters per token.** Words are cut into pairs of characters from their start (``mi|lk``, ``al|ar|m``). A
  16-pixel patch of the screen shows exactly such a pair. So the goal and the screen share one alphabet, and a new word
  is read, compared and copied like any other.
- **A place is one token**, spelled ``[40, 96]``: the centre of a patch, in pixels.
- **A tool call is a few tokens.** Its fixed JSON pieces are tokens of their own.
- **Common words are one token** (``homeostat.nano.vocabulary``).
"""

from __future__ import annotations

from typing import Any

from homeostat.nano.style import STYLE
from homeostat.nano.vocabulary import common_words

__all__ = ["CALL", "COLUMNS", "LETTERS", "PATCH", "ROWS", "build_processor", "place_token"]

COLUMNS, ROWS, PATCH = 9, 16, 16
"""The screen in patches, and a patch's side in pixels."""
CALL = '<tool_call>\n{"name": "mobile_use", "arguments": {"action": "'
"""The beginning that all tool calls share."""
_END_CALL = "}}\n</tool_call>"

_TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789$"
"""The characters that words are made of."""
_JOINTS = ":./@-"  # characters that may be inside a word, but not at its end
_SPECIAL = ("<pad>", "<unk>", "<image>", "<|end|>", "<|system|>", "<|user|>", "<|assistant|>", "<|tool|>")


def place_token(column: int, row: int) -> str:
    """Returns the token of a patch.

    Args:
        column: The patch's column, from 0 at the left.
        row: The patch's row, from 0 at the top.

    Returns:
        The patch's centre in pixels, as ``[x, y]``.
    """
    return f"[{column * PATCH + PATCH // 2}, {row * PATCH + PATCH // 2}]"


def _pieces() -> list[str]:
    """Fixed texts that are one token each. If one text begins another, the longer one comes first."""
    pieces = [place_token(x, y) for y in range(ROWS) for x in range(COLUMNS)]
    pieces += [f'{CALL}{name}", "coordinate": ' for name in ("click", "long_press", "swipe")]
    pieces += [', "coordinate2": ', f"{_END_CALL}", f'"{_END_CALL}']
    pieces += [f'{CALL}{name}", "text": "' for name in ("type", "open", "answer")]
    pieces += [f'{CALL}system_button", "button": "{b}"{_END_CALL}' for b in ("Back", "Home", "Menu", "Enter")]
    pieces += [f'{CALL}terminate", "status": "{s}"{_END_CALL}' for s in ("success", "failure")]
    pieces += [f'{CALL}wait", "time": 1.0{_END_CALL}', '{"parts": ["', '", "', '"]}', "{1}", "{2}", "{3}"]
    pieces += ["goal:", "\nhistory:", "\nrules:", "\nreminder:", STYLE.system, STYLE.planner_system]
    return pieces


def _tokenizer() -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    common = common_words()
    words = [a + b for a in LETTERS for b in LETTERS]
    words += [a + j for a in LETTERS for j in _JOINTS] + [j + a for a in LETTERS for j in _JOINTS]
    words += [*LETTERS, *" \n!\"#%&'()*+,;<=>?[]^_`{|}~", *_JOINTS]
    words += [space + w for w in common for space in (" ", "")]
    vocabulary = {w: i for i, w in enumerate(dict.fromkeys((*_SPECIAL, *words)))}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Lowercase()
    a, j = "[a-z0-9$]", "[:./@-]"
    inside = f"(?:{a}|{j}{a})"  # how a word continues
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
    """Builds the processor: the tokenizer, and SigLIP's image processor at 144 × 256 pixels.

    Returns:
        A ``LlavaProcessor``.
    """
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
