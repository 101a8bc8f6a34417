"""Attention with an output gate, heads of 256 channels, and models loaded for FlashAttention, against eager maps."""

import numpy as np
import pytest
import torch
from transformers import (
    AfmoeConfig,
    AfmoeForCausalLM,
    AttentionInterface,
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LagunaConfig,
    LagunaForCausalLM,
    Lfm3Config,
    Lfm3ForCausalLM,
    Qwen3_5ForCausalLM,
    Qwen3_5TextConfig,
    Qwen3NextConfig,
    Qwen3NextForCausalLM,
)

from homeostat.errors import ProbeError
from homeostat.sensors import Actuator, Spans, watch

SPANS = Spans({"system": [(0, 3), (20, 25)], "goal": [(3, 9)], "screen": [(9, 16)], "rest": [(26, 33)]}, length=40)
EXACT = {"atol": 1e-5, "rtol": 0}
HOW = {"do_sample": False, "min_new_tokens": 6, "max_new_tokens": 6, "output_logits": True,
       "return_dict_in_generate": True}  # fmt: skip
SIZES = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 16, "vocab_size": 120, "max_position_embeddings": 512, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 32}
LINEAR = {
    "linear_conv_kernel_dim": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8, "linear_num_key_heads": 2,
    "linear_num_value_heads": 4, "layer_types": ["linear_attention", "full_attention"] * 2,
}  # fmt: skip


def qwen3_next():
    sizes = SIZES | LINEAR | EXPERTS | {"head_dim": 256, "shared_expert_intermediate_size": 32}
    return Qwen3NextForCausalLM(Qwen3NextConfig(**sizes))


def qwen3_5():
    return Qwen3_5ForCausalLM(Qwen3_5TextConfig(**SIZES | LINEAR))


def afmoe():
    sizes = SIZES | EXPERTS | {"num_shared_experts": 1, "sliding_window": 12, "global_attn_every_n_layers": 2}
    return AfmoeForCausalLM(AfmoeConfig(**sizes))


def laguna():
    layers = ["sliding_attention", "full_attention"] * 2
    sizes = SIZES | EXPERTS | {"shared_expert_intermediate_size": 32, "sliding_window": 12, "layer_types": layers}
    return LagunaForCausalLM(LagunaConfig(**sizes))


def lfm3():
    layers = ["conv", "full_attention", "conv", "sliding_attention"]
    return Lfm3ForCausalLM(Lfm3Config(**SIZES | {"sliding_window": 12, "layer_types": layers}))


def gemma():
    return GemmaForCausalLM(GemmaConfig(**SIZES | {"head_dim": 256}))


def gemma2():
    config = Gemma2Config(**SIZES | {"head_dim": 256, "sliding_window": 12, "attn_logit_softcapping": 2.0})
    return Gemma2ForCausalLM(config)


def gemma3():
    layers = ["sliding_attention", "full_attention"] * 2
    return Gemma3ForCausalLM(Gemma3TextConfig(**SIZES | {"head_dim": 256, "sliding_window": 12, "layer_types": layers}))


GATED = {qwen3_next: [1, 3], qwen3_5: [1, 3], afmoe: "all", laguna: "all", lfm3: [1, 3]}
WIDE = {gemma: "all", gemma2: "all", gemma3: "all", qwen3_next: [1, 3]}
SHARP = ("q_proj.weight", "k_proj.weight", "embed_tokens", "self_attn.gate_proj", "g_proj")
MODELS = {}


def made(make):
    if make not in MODELS:
        torch.manual_seed(0)
        MODELS[make] = model = make().eval().float()
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if any(part in name for part in SHARP):
                    weight.normal_(0, 0.12 if make in WIDE else 0.35)  # longer vectors have larger products
    return MODELS[make]


def prompt():
    return {"input_ids": torch.randint(3, 99, (1, 40), generator=torch.Generator().manual_seed(0))}


def eager(model, ids):
    """(L, H, Q, K) maps of the softmax attention layers."""
    former = {id(m.config): (m.config, m.config._attn_implementation) for m in model.modules() if hasattr(m, "config")}
    model.set_attn_implementation("eager")
    try:
        with torch.no_grad():
            out = model(ids, output_attentions=True)
    finally:
        for config, name in former.values():
            config._attn_implementation_internal = name
    return torch.stack([a for a in out.attentions if a is not None], 1)[0].float()


@pytest.mark.parametrize("make", GATED, ids=lambda make: make.__name__)
def test_gated_attention_is_exact(make, reference):
    model, layers = made(make), GATED[make]
    plain = model.generate(**prompt(), **HOW)
    with watch(model, layers=layers, rows="all") as probe:
        probe.start(SPANS)
        seen = model.generate(**prompt(), **HOW)
        got = probe.result()
        probe.start(SPANS)
        model.generate(**prompt(), **HOW, prefill_chunk_size=16)
        chunks = probe.result()
    assert torch.equal(seen.sequences, plain.sequences)
    torch.testing.assert_close(torch.stack(seen.logits), torch.stack(plain.logits), atol=1e-5, rtol=1e-5)
    expected = reference.masses(eager(model, seen.sequences[:, :-1]).numpy(), SPANS, 40)
    np.testing.assert_allclose(got.mass, expected[39:], **EXACT)
    np.testing.assert_allclose(got.prompt_mass, expected[:40], **EXACT)
    np.testing.assert_allclose(chunks.mass, expected[39:], **EXACT)
    assert expected[39:, ..., :4].std() > 0.02


@pytest.mark.parametrize("make", [qwen3_next, qwen3_5, lfm3], ids=lambda make: make.__name__)
def test_the_layers_of_a_gated_hybrid_are_named(make):
    with pytest.raises(ProbeError, match=r"pass layers=\[1, 3\]"), watch(made(make)):
        pass


@pytest.mark.parametrize("rule", [Actuator("goal", gain=6.0), Actuator("goal", target=0.5)], ids=["gain", "target"])
@pytest.mark.parametrize("make", list(dict.fromkeys([*WIDE, *GATED])), ids=lambda make: make.__name__)
def test_steering_of_gates_and_wide_heads_follows_its_formula(make, rule, reference):
    """The first steered layer sees unsteered inputs, so its maps are those of the formula on eager attention's."""
    model = made(make)
    layers = (WIDE | GATED)[make]
    first = 0 if layers == "all" else layers[0]
    with watch(model, layers=layers, rows="all", sinks=False) as probe, torch.no_grad():
        probe.start(SPANS, steer=[rule])
        steered = model(**prompt()).logits
        got = probe.result()
    maps = eager(model, prompt()["input_ids"])[0]  # (H, Q, K)
    inside = maps[..., 3:9].sum(-1)
    if rule.gain is not None:
        moved = rule.gain * inside / (1 + (rule.gain - 1) * inside)
    else:
        moved = torch.where((inside > 0) & (inside < 1 - 1e-6), torch.tensor(rule.target), inside)
    at = got.layers.index(first)
    np.testing.assert_allclose(got.prompt_mass[:, at, :, 1], moved.T.numpy(), **EXACT)
    # One row at a time takes the other path, which has all weights: the outputs are the same.
    with watch(model, layers=layers, sinks=False) as probe, torch.no_grad():
        probe.start(SPANS, steer=[rule])
        cache, ids, rows = None, prompt()["input_ids"], []
        for k in range(40):
            out = model(input_ids=ids[:, k : k + 1], past_key_values=cache, use_cache=True)
            cache = out.past_key_values
            rows.append(out.logits)
    torch.testing.assert_close(torch.cat(rows, 1), steered, atol=1e-4, rtol=1e-3)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU: its fused kernels limit the size of a head")
@pytest.mark.parametrize("make", [gemma, gemma2, gemma3], ids=lambda make: make.__name__)
def test_wide_heads_are_steered_on_a_gpu(make):
    model = made(make)
    rule = Actuator("goal", gain=6.0)
    masses = []
    for device, dtype in (("cpu", torch.float32), ("cuda", torch.float32), ("cuda", torch.bfloat16)):
        model.to(device, dtype)
        with watch(model, rows="all") as probe, torch.no_grad():
            probe.start(SPANS, steer=[rule])
            model(prompt()["input_ids"].to(device))
            masses.append(probe.result().prompt_mass)
    model.to("cpu", torch.float32)
    MODELS.pop(make)
    np.testing.assert_allclose(masses[1], masses[0], atol=1e-4)
    assert abs(masses[2] - masses[0]).mean() < 0.02


def flash(module, query, key, value, attention_mask, dropout=0.0, scaling=None, sliding_window=None, **kwargs):
    """FlashAttention's contract in plain torch: a mask of (B, K) padding or none, causal from the last key."""
    heads, queries, keys = query.shape[1], query.shape[2], key.shape[2]
    key, value = (t.repeat_interleave(heads // t.shape[1], 1) for t in (key, value))
    row = torch.arange(keys - queries, keys)[:, None]
    seen = (torch.arange(keys) <= row)[None, None]
    if sliding_window:
        seen = seen & (torch.arange(keys) > row - sliding_window)
    if attention_mask is not None:
        assert attention_mask.ndim == 2
        seen = seen & attention_mask[:, None, None, -keys:].bool()
    scores = (query @ key.transpose(-1, -2) * scaling).masked_fill(~seen, torch.finfo(query.dtype).min)
    return (scores.softmax(-1) @ value).transpose(1, 2).contiguous(), None


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3", "gemma3"])
def test_a_model_loaded_for_flash_attention_is_read(tiny, reference, monkeypatch, family, padded):
    """The CPU has no FlashAttention; a function with its contract stands in for it while the model runs by itself."""
    case = tiny(family)
    model, by = case.model, 7 if padded else 0
    monkeypatch.setitem(AttentionInterface._global_mapping, "flash_attention_2", flash)
    inputs = {k: torch.nn.functional.pad(v, (by, 0)) for k, v in case.inputs.items()}
    spans = SPANS.shift(by)
    former = model.config._attn_implementation
    model.config._attn_implementation_internal = "flash_attention_2"
    try:
        plain = model.generate(**inputs, **HOW)
        with watch(model, rows="all") as probe:
            probe.start(spans)
            seen = model.generate(**inputs, **HOW)
            got = probe.result()
        assert model.config._attn_implementation == "flash_attention_2"
    finally:
        model.config._attn_implementation_internal = former
    assert torch.equal(seen.sequences, plain.sequences)
    torch.testing.assert_close(torch.stack(seen.logits), torch.stack(plain.logits), atol=1e-5, rtol=1e-5)
    whole = reference.whole(inputs, seen.sequences)
    expected = reference.masses(reference.maps(model, **whole)[0], spans, 40 + by)
    np.testing.assert_allclose(got.mass, expected[39 + by :], **EXACT)
