"""Fixtures that several rooms' tests share."""

from types import SimpleNamespace
from typing import Any

import pytest

from homeostat.envs.miniwob import find_binaries, task_names
from homeostat.errors import ConfigError

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.content is string %}{{ m.content }}{% else %}{% for c in m.content %}"
    "{% if c.type == 'image' %}<image>{% else %}{{ c.text }}{% endif %}{% endfor %}{% endif %}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<pad>", "<|im_start|>", "<|im_end|>", "<image>", "<bos>", "<start_of_turn>", "<end_of_turn>"]
CORPUS = [
    "The task: open the settings and turn it on. Done so far: nothing; click the screen, user assistant system rules"
]


def make_tokenizer(template: str = CHATML, **special: str) -> Any:
    """A byte-level BPE tokenizer, trained on a few words; every text round-trips."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=380, initial_alphabet=alphabet, special_tokens=SPECIAL, show_progress=False
    )
    core.train_from_iterator(CORPUS, trainer)
    special = {"eos_token": "<|im_end|>", "pad_token": "<pad>"} | special
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, **special)
    tokenizer.chat_template = template
    return tokenizer


def make_processor(template: str = CHATML) -> Any:
    """LLaVA's processor over SigLIP's image processor in its Pillow form: 32×32 pixels, 16 tokens."""
    from transformers import LlavaProcessor, SiglipImageProcessorPil

    return LlavaProcessor(
        image_processor=SiglipImageProcessorPil(size={"height": 32, "width": 32}),
        tokenizer=make_tokenizer(template),
        patch_size=8,
        vision_feature_select_strategy="full",
        chat_template=template,
    )


@pytest.fixture(scope="session")
def chat_tools() -> Any:
    """What builds tokenizers and processors for chats, for test files (which can't import this one)."""
    return SimpleNamespace(make_tokenizer=make_tokenizer, make_processor=make_processor, CHATML=CHATML)


@pytest.fixture(scope="session")
def chromium():
    """Skips where the browser, its driver or MiniWoB++'s package is missing."""
    try:
        task_names()
        return find_binaries()
    except ConfigError as error:
        pytest.skip(str(error))
