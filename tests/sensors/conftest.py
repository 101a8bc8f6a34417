"""Tiny random models of the architectures that the probe is exact on, and eager attention to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AutoModelForImageTextToText,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3Config,
    Gemma3ForCausalLM,
    Gemma3ForConditionalGeneration,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    GptOssConfig,
    GptOssForCausalLM,
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
    SiglipVisionConfig,
)

SIZES = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 120,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
IMAGE = 100


SHARP = ("q_proj.weight", "k_proj.weight", "qkv_proj.weight", "query_key_value.weight", "c_attn.weight", "embed_tokens",
         "embed_in", "wte")  # fmt: skip


@dataclass
class Tiny:
    """A model, its inputs for one prompt, and whether torch's fused kernel can run it at all."""

    model: Any
    inputs: dict[str, Any]
    fused: bool = True
    generate: dict[str, Any] = field(
        default_factory=lambda: {"do_sample": False, "min_new_tokens": 6, "max_new_tokens": 6}
    )


def build(make: Callable[[], Any]) -> Any:
    """A model with seeded weights, sharpened so that attention is far from uniform."""
    torch.manual_seed(0)
    model = make().eval().float()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "vision" in name or "visual" in name:
                continue
            if any(part in name for part in SHARP):
                weight.normal_(0, 0.35)
    return model


def ids(length: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(3, 99, (1, length), generator=torch.Generator().manual_seed(seed))


def text(length: int = 40) -> dict[str, Any]:
    tokens = ids(length)
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def with_image(length: int, at: int, count: int) -> dict[str, Any]:
    inputs = text(length)
    inputs["input_ids"][:, at : at + count] = IMAGE
    return inputs


def llama() -> Tiny:
    return Tiny(build(lambda: LlamaForCausalLM(LlamaConfig(**SIZES))), text())


def gpt2() -> Tiny:
    config = GPT2Config(
        n_embd=64, n_layer=3, n_head=4, vocab_size=120, n_positions=256, pad_token_id=0, bos_token_id=1, eos_token_id=2
    )
    return Tiny(build(lambda: GPT2LMHeadModel(config)), text())


def mistral() -> Tiny:
    return Tiny(build(lambda: MistralForCausalLM(MistralConfig(**SIZES, sliding_window=12))), text())


def gemma2() -> Tiny:
    config = Gemma2Config(**SIZES, sliding_window=12, attn_logit_softcapping=2.0, query_pre_attn_scalar=24)
    return Tiny(build(lambda: Gemma2ForCausalLM(config)), text(), fused=False)


def gpt_oss() -> Tiny:
    sizes = SIZES | {"num_local_experts": 4, "num_experts_per_tok": 2}
    config = GptOssConfig(
        **sizes, sliding_window=12, layer_types=["sliding_attention", "full_attention", "sliding_attention"]
    )

    def make() -> Any:
        model = GptOssForCausalLM(config)
        with torch.no_grad():
            for layer in model.model.layers:
                layer.self_attn.sinks.normal_(1.0, 1.0)
        return model

    return Tiny(build(make), text(), fused=False)


def qwen2() -> Tiny:
    return Tiny(build(lambda: Qwen2ForCausalLM(Qwen2Config(**SIZES))), text())


def qwen3() -> Tiny:
    return Tiny(build(lambda: Qwen3ForCausalLM(Qwen3Config(**SIZES))), text())


def phi3() -> Tiny:
    sizes = {k: v for k, v in SIZES.items() if k != "head_dim"}
    return Tiny(build(lambda: Phi3ForCausalLM(Phi3Config(**sizes, sliding_window=12))), text())


def gpt_neox() -> Tiny:
    """Rotary positions on a part of each head, and a layer whose attention and feed-forward run side by side."""
    sizes = {k: v for k, v in SIZES.items() if k not in ("head_dim", "num_key_value_heads")}
    return Tiny(build(lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**sizes, rotary_pct=0.5))), text())


GEMMA3 = SIZES | {
    "num_hidden_layers": 4,
    "sliding_window": 12,
    "query_pre_attn_scalar": 24,
    "layer_types": ["sliding_attention", "full_attention", "sliding_attention", "full_attention"],
}


def gemma3() -> Tiny:
    return Tiny(build(lambda: Gemma3ForCausalLM(Gemma3TextConfig(**GEMMA3))), text())


def gemma3_image() -> Tiny:
    vision = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    config = Gemma3Config(
        text_config=GEMMA3,
        vision_config=vision,
        mm_tokens_per_image=4,
        image_token_index=IMAGE,
        boi_token_index=101,
        eoi_token_index=102,
    )
    inputs = with_image(40, 10, 4)
    inputs["pixel_values"] = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    inputs["token_type_ids"] = (inputs["input_ids"] == IMAGE).long()
    return Tiny(build(lambda: Gemma3ForConditionalGeneration(config)), inputs)


def llava() -> Tiny:
    """A SigLIP tower and a Qwen3 text model: the embedded model's architecture."""
    vision = SiglipVisionConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=32,
        patch_size=8,
        vision_use_head=False,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=Qwen3Config(**SIZES),
        image_token_id=IMAGE,
        image_token_index=IMAGE,
        image_seq_length=16,
        vision_feature_select_strategy="full",
        vision_feature_layer=-1,
    )
    inputs = with_image(40, 8, 16)
    inputs["pixel_values"] = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Tiny(build(lambda: AutoModelForImageTextToText.from_config(config)), inputs)


def idefics3() -> Tiny:
    """Two tiles of one image, four tokens each."""
    vision = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 32, "patch_size": 8}  # fmt: skip
    config = Idefics3Config(
        text_config={"model_type": "llama", **SIZES}, vision_config=vision, image_token_id=IMAGE, scale_factor=2,
        pad_token_id=0,
    )  # fmt: skip
    inputs = with_image(40, 8, 8)
    inputs["pixel_values"] = torch.randn(1, 2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    return Tiny(build(lambda: Idefics3ForConditionalGeneration(config)), inputs)


def qwen2_5_vl() -> Tiny:
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 64, "window_size": 16,
        "fullatt_block_indexes": [1],
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    config = Qwen2_5_VLConfig(
        text_config=SIZES | {"rope_parameters": rope}, vision_config=vision, image_token_id=IMAGE, video_token_id=101,
        vision_start_token_id=102, vision_end_token_id=103,
    )  # fmt: skip
    return Tiny(build(lambda: Qwen2_5_VLForConditionalGeneration(config)), _qwen_image(4))


def qwen3_vl() -> Tiny:
    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "patch_size": 4,
        "spatial_merge_size": 2, "temporal_patch_size": 2, "out_hidden_size": 64, "num_position_embeddings": 16,
        "deepstack_visual_indexes": [0, 1],
    }  # fmt: skip
    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "mrope_interleaved": True, "rope_theta": 10000.0}
    config = Qwen3VLConfig(
        text_config=SIZES | {"rope_parameters": rope}, vision_config=vision, image_token_id=IMAGE, video_token_id=101,
        vision_start_token_id=102, vision_end_token_id=103,
    )  # fmt: skip
    return Tiny(build(lambda: Qwen3VLForConditionalGeneration(config)), _qwen_image(4))


def _qwen_image(patch: int) -> dict[str, Any]:
    inputs = with_image(40, 10, 4)  # 4 × 4 patches, merged 2 × 2
    inputs["input_ids"][:, 9], inputs["input_ids"][:, 14] = 102, 103
    inputs["image_grid_thw"] = torch.tensor([[1, 4, 4]])
    inputs["pixel_values"] = torch.randn(16, 3 * 2 * patch * patch, generator=torch.Generator().manual_seed(1))
    inputs["mm_token_type_ids"] = (inputs["input_ids"] == IMAGE).int()
    return inputs


FAMILIES = {
    f.__name__: f
    for f in (
        llama,
        gpt2,
        mistral,
        gemma2,
        gpt_oss,
        gemma3,
        gemma3_image,
        llava,
        qwen2_5_vl,
        qwen3_vl,
        qwen2,
        qwen3,
        phi3,
        gpt_neox,
        idefics3,
    )
}


class Models:
    """``tiny("llama")``: built once a session, unless told to forget it."""

    def __init__(self) -> None:
        self._made: dict[str, Tiny] = {}

    def __call__(self, name: str) -> Tiny:
        if name not in self._made:
            self._made[name] = FAMILIES[name]()
        return self._made[name]

    def forget(self, name: str) -> None:
        del self._made[name]


@pytest.fixture(scope="session")
def tiny() -> Models:
    return Models()


@pytest.fixture(scope="session")
def reference() -> type[Reference]:
    return Reference


class Reference:
    """What the probe is compared with: eager attention's own maps, summed the plain way."""

    @staticmethod
    def maps(model: Any, **call: Any) -> np.ndarray:
        """(B, L, H, Q, K) attention maps of one eager call."""
        return eager_maps(model, **call)

    @staticmethod
    def masses(rows: np.ndarray, spans: Any, start: int) -> np.ndarray:
        """(rows, L, H, S): sums over (L, H, rows, K) attention maps, "output" from slot ``start`` on."""
        parts = [sum(rows[..., a:b].sum(-1) for a, b in spans[label]) for label in spans]
        return np.stack([*parts, rows[..., start:].sum(-1)], -1).transpose(2, 0, 1, 3)

    @staticmethod
    def whole(inputs: dict[str, Any], sequences: torch.Tensor) -> dict[str, Any]:
        """The inputs of one call on all tokens but the last."""
        tokens = sequences[:, :-1]
        extra = tokens.shape[1] - inputs["input_ids"].shape[1]
        mask = torch.nn.functional.pad(inputs["attention_mask"], (0, extra), value=1)
        call = inputs | {"input_ids": tokens, "attention_mask": mask}
        for name in ("token_type_ids", "mm_token_type_ids"):
            if name in call:
                call[name] = torch.nn.functional.pad(call[name], (0, extra))
        return call


def eager_maps(model: Any, **call: Any) -> np.ndarray:
    former = {id(m.config): (m.config, m.config._attn_implementation) for m in model.modules() if hasattr(m, "config")}
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            out = model(**call, output_attentions=True)
    finally:
        for config, name in former.values():
            config._attn_implementation_internal = name
    return torch.stack(out.attentions, 1).float().numpy()
