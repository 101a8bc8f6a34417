"""GGUF files: a tiny one, written here with the package ``gguf``, loads as the model that it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from homeostat.agent import TEXT, TransformersModel
from homeostat.agent.models.loading import load_weights, resolve, weights_hash
from homeostat.errors import ModelError
from homeostat.sensors.chat.messages import Prompt

gguf = pytest.importorskip("gguf")
pytest.importorskip("accelerate")

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
HEADS, WIDTH, LAYERS = 4, 64, 2


def _tokens() -> list[str]:
    """Every byte as GPT-2 spells it, one merged pair, and the marks of the template."""
    from tokenizers import pre_tokenizers

    return [*sorted(pre_tokenizers.ByteLevel.alphabet()), "th", "<|im_start|>", "<|im_end|>"]


def _permuted(weight: np.ndarray) -> np.ndarray:
    """The order in which llama.cpp stores the rows of query and key: both halves of a rotary pair side by side."""
    rows, columns = weight.shape
    return weight.reshape(HEADS, 2, rows // HEADS // 2, columns).swapaxes(1, 2).reshape(rows, columns)


@pytest.fixture(scope="module")
def original() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(_tokens()),
        hidden_size=WIDTH,
        intermediate_size=128,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=HEADS,
        max_position_embeddings=2048,
        rms_norm_eps=1e-5,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config).eval()


def _write(model: Any, path: Path, kind: Any) -> Path:
    """Writes a Llama as llama.cpp's converter does; matrices in the given type, the rest in float32."""
    tokens = _tokens()
    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(128)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([1] * (len(tokens) - 2) + [3, 3])
    writer.add_token_merges(["t h"])
    writer.add_eos_token_id(len(tokens) - 1)
    writer.add_bos_token_id(len(tokens) - 2)
    writer.add_chat_template(TEMPLATE)
    names = {
        "model.embed_tokens": "token_embd",
        "model.norm": "output_norm",
        "lm_head": "output",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
    for name, tensor in model.state_dict().items():
        stem, weight = name.removesuffix(".weight"), tensor.float().numpy()
        block = stem.split(".")[2] if stem.startswith("model.layers.") else None
        inner = stem.split(".", 3)[3] if block is not None else stem
        target = f"blk.{block}.{names[inner]}.weight" if block is not None else f"{names[inner]}.weight"
        if names[inner] in ("attn_q", "attn_k"):
            weight = _permuted(weight)
        if weight.ndim == 2 and kind is not gguf.GGMLQuantizationType.F32:
            writer.add_tensor(target, gguf.quants.quantize(weight, kind), raw_dtype=kind)
        else:
            writer.add_tensor(target, np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="module")
def whole(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(original, tmp_path_factory.mktemp("gguf") / "tiny.gguf", gguf.GGMLQuantizationType.F32)


@pytest.fixture(scope="module")
def packed(original: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _write(original, tmp_path_factory.mktemp("packed") / "tiny.gguf", gguf.GGMLQuantizationType.Q8_0)


def test_a_gguf_file_loads_as_the_model_that_it_was_made_from(original: Any, whole: Path) -> None:
    loaded = TransformersModel.load(whole, "cpu", "float32")
    ids = torch.tensor([[5, 80, 12, 200, 33, 101]])
    with torch.inference_mode():
        torch.testing.assert_close(loaded.model(ids).logits, original(ids).logits, rtol=1e-4, atol=1e-4)
    assert loaded.style == TEXT
    assert loaded.context == 2048


def test_packed_weights_are_dequantised_to_the_asked_dtype_and_save_like_any_others(
    original: Any, packed: Path, tmp_path: Path
) -> None:
    loaded = TransformersModel.load(packed, "cpu", "bfloat16")
    assert {p.dtype for p in loaded.model.parameters()} == {torch.bfloat16}
    for name, weight in original.state_dict().items():
        found = loaded.model.state_dict()[name].float()
        assert (found - weight).abs().max() <= weight.abs().max() / 100, name  # 8 bits, then 8 bits of bfloat16
    loaded.model.save_pretrained(tmp_path)
    loaded.processor.save_pretrained(tmp_path)
    again = TransformersModel.load(tmp_path, "cpu", "bfloat16")
    for name, weight in loaded.model.state_dict().items():
        assert torch.equal(weight, again.model.state_dict()[name]), name


def test_a_gguf_model_answers_and_its_attention_is_read(packed: Path) -> None:
    loaded = TransformersModel.load(packed, "cpu", "float32")
    prompt = Prompt.from_chat([{"role": "user", "content": "open the notes", "label": "goal"}])
    answer = loaded.generate(prompt, max_new_tokens=4)[0]
    assert answer.spans is not None
    mass = answer.spans.of("goal")
    assert mass.shape == (len(answer.tokens), LAYERS, HEADS)
    assert (mass > 0).all()
    assert (mass < 1).all()


def test_a_folder_of_one_gguf_file_is_that_file_and_its_hash_identifies_it(whole: Path, packed: Path) -> None:
    assert resolve(whole.parent) == str(whole)
    assert weights_hash(resolve(whole.parent)) == weights_hash(str(whole))
    assert weights_hash(str(whole)) != weights_hash(str(packed))


def test_wrong_gguf_files_are_one_line(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").write_bytes(b"GGUF and then nothing of use")
    cases = [
        (str(tmp_path / "missing.gguf"), "no model file"),
        (str(tmp_path / "a.gguf"), "can't load model"),
    ]
    for name, reason in cases:
        with pytest.raises(ModelError) as error:
            TransformersModel.load(name, "cpu")
        assert reason in str(error.value)
        assert "\n" not in str(error.value)
    (tmp_path / "b.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match="holds 2 GGUF files; give one"):
        TransformersModel.load(tmp_path)
    with pytest.raises(ModelError, match="quantised already; leave out quantization"):
        TransformersModel.load(whole, "cpu", quantization="4bit")
    monkeypatch.setattr("homeostat.agent.models.gguf.find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"needs gguf; pip install 'homeostat\[gguf\]'"):
        load_weights(str(whole), "cpu", None)
