import pytest
import torch


@pytest.fixture(scope="session")
def white():
    """The embedded model, in float32."""
    from homeostat.agent.models.transformers_model import TransformersModel

    return TransformersModel.load("homeostat/nano", "cpu", "float32", reuse=False)


@pytest.fixture(scope="session")
def text_folder(tmp_path_factory):
    """A tiny Qwen3 text model with nano's tokenizer, saved as a folder."""
    from transformers import Qwen3Config, Qwen3ForCausalLM

    from homeostat.nano.processor import build_processor

    folder = tmp_path_factory.mktemp("text") / "tiny"
    tokenizer = build_processor().tokenizer
    torch.manual_seed(0)
    config = Qwen3Config(
        vocab_size=-(-len(tokenizer) // 64) * 64,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    Qwen3ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def phone_pairs(white):
    """A few pairs of phone conflicts and their twins."""
    from itertools import islice

    from homeostat.alignment.conflicts.core import pairs_of
    from homeostat.alignment.conflicts.phone import phone_twins

    return pairs_of(islice(phone_twins(white.style, "train", 3), 6))


@pytest.fixture(scope="session")
def chat_pairs():
    """A few pairs of chats."""
    from itertools import islice

    from homeostat.alignment.conflicts.chat import chat_twins
    from homeostat.alignment.conflicts.core import pairs_of

    return pairs_of(islice(chat_twins("train", 3), 6))
