"""What watch() leaves behind, whose state is whose, and what is refused."""

import pytest
import torch
from transformers import (
    BloomConfig,
    BloomForCausalLM,
    Gemma3nForCausalLM,
    Gemma3nTextConfig,
    Gemma4ForCausalLM,
    Gemma4TextConfig,
    Lfm2Config,
    Lfm2ForCausalLM,
    LlamaConfig,
    MambaConfig,
    MambaForCausalLM,
    MllamaForCausalLM,
    T5Config,
    T5ForConditionalGeneration,
)
from transformers.models.mllama.configuration_mllama import MllamaTextConfig

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors import Spans, watch

SPANS = Spans({"goal": [(3, 9)], "rest": [(26, 33)]}, length=40)
SMALL = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "vocab_size": 32,
}


def implementations(model):
    return [m.config._attn_implementation for m in model.modules() if hasattr(m, "config")]


def fail_under_watch(model):
    with watch(model) as probe:
        probe.start(SPANS)
        raise RuntimeError("on purpose")


@pytest.mark.parametrize("family", ["llava", "qwen2_5_vl", "gemma3_image", "gemma2"])
@pytest.mark.parametrize("former", ["eager", "as built"])
def test_the_former_attention_comes_back(tiny, family, former):
    model = tiny(family).model
    built = implementations(model)
    configs = [m.config for m in model.modules() if hasattr(m, "config")]
    try:
        if former == "eager":
            model.set_attn_implementation("eager")
        before = implementations(model)
        with watch(model):
            during = implementations(model)
            assert "homeostat_probe" in during
            if hasattr(model.config, "vision_config"):
                assert model.config.vision_config._attn_implementation != "homeostat_probe"
        assert implementations(model) == before
        with pytest.raises(RuntimeError, match="on purpose"):
            fail_under_watch(model)
        assert implementations(model) == before
        assert model.generation_config.disable_compile is None
        assert not any(m._forward_pre_hooks for m in model.modules())
    finally:
        for config, name in zip(configs, built, strict=True):
            config._attn_implementation_internal = name


def test_two_models_keep_their_own_state(tiny):
    one, other = tiny("llama"), tiny("llava")
    with watch(one.model) as a, watch(other.model, layers=[0]) as b:
        a.start(SPANS)
        b.start(SPANS)
        with torch.no_grad():
            one.model(**one.inputs)
            other.model(**other.inputs)
        first, second = a.result(), b.result()
    assert first.layers == (0, 1, 2)
    assert second.layers == (0,)


def test_a_model_is_watched_once_at_a_time(tiny):
    model = tiny("llama").model
    with watch(model):
        with pytest.raises(ProbeError, match="'LlamaForCausalLM' is already watched"), watch(model):
            pass
        assert model.config._attn_implementation == "homeostat_probe"
    with watch(model, layers=[0]):
        pass


def test_a_probe_is_used_in_a_with_block(tiny):
    case = tiny("llama")
    watching = watch(case.model)
    for name in ("prepare", "start", "result", "results", "show", "view"):
        with pytest.raises(ProbeError, match=f"'{name}' needs an attached probe; write: with watch"):
            getattr(watching, name)
    assert not hasattr(watching, "no_such_method")
    assert not hasattr(watching, "_repr_html_")
    with watching as probe:
        assert probe.layers


def test_a_run_must_be_started_run_and_read_once(tiny):
    case = tiny("llama")
    with watch(case.model) as probe, torch.no_grad():
        with pytest.raises(ProbeError, match=r"call model\.generate.*or call start"):
            probe.result()
        probe.start(SPANS)
        with pytest.raises(ProbeError, match=r"no forward ran since prepare\(\) or start"):
            probe.result()
        case.model(**case.inputs)  # outside of a run: not read
        with pytest.raises(ProbeError, match=r"result\(\) reads a run once"):
            probe.result()
        probe.start(SPANS)
        case.model(**case.inputs)
        probe.start(SPANS)  # drops the unfinished run
        case.model(**case.inputs)
        assert len(probe.result().mass) == 1
        with pytest.raises(ConfigError, match="holds no prompt"):
            probe.start([])


def test_spans_must_fit_the_prompt(tiny):
    case = tiny("llama")
    with watch(case.model) as probe, torch.no_grad():
        probe.start(Spans({"goal": [(30, 41)]}))
        case.model(**case.inputs)
        with pytest.raises(ProbeError, match="ends at slot 41, after the prompt's 40"):
            probe.result()
        probe.start(Spans({"goal": [(30, 40)]}, length=60))
        case.model(**case.inputs)
        with pytest.raises(ProbeError, match="ran on only 40 of the prompt's 60 slots"):
            probe.result()


def test_training_with_dropout_is_not_disturbed(tiny):
    case = tiny("llama")
    model = case.model
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    try:
        model.train()
        torch.manual_seed(0)
        plain = model(**case.inputs, labels=case.inputs["input_ids"]).loss
        with watch(model) as probe:
            probe.start(SPANS)
            torch.manual_seed(0)
            seen = model(**case.inputs, labels=case.inputs["input_ids"]).loss
            probe.result()
        assert torch.equal(seen, plain)
        seen.backward()
    finally:
        tiny.forget("llama")


def test_a_compiled_forward_is_read_too(tiny):
    case = tiny("llama")
    with watch(case.model) as probe, torch.no_grad():
        probe.start(SPANS)
        case.model(**case.inputs)
        plain = probe.result()
        compiled = torch.compile(case.model, backend="eager")
        probe.start(SPANS)
        compiled(**case.inputs)
        got = probe.result()
    torch.testing.assert_close(torch.from_numpy(got.mass), torch.from_numpy(plain.mass))


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ({"rows": 0}, "rows=0"),
        ({"rows": "few"}, "rows='few'"),
        ({"sink_threshold": 1.5}, "sink_threshold=1.5"),
        ({"layers": []}, r"layers=\[\]"),
        ({"layers": "middle"}, "layers='middle'"),
        ({"layers": [1, 7]}, r"layer 7 of 'LlamaForCausalLM'.*\[0, 1, 2\]"),
    ],
)
def test_bad_settings_are_named(tiny, setting, says):
    with pytest.raises(ConfigError, match=says), watch(tiny("llama").model, **setting):
        pass


def bloom():
    return BloomForCausalLM(BloomConfig(hidden_size=32, n_layer=2, n_head=2, vocab_size=32))


def mamba():
    return MambaForCausalLM(MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=32, state_size=4))


def t5():
    return T5ForConditionalGeneration(T5Config(d_model=32, d_kv=8, d_ff=32, num_layers=1, num_heads=2, vocab_size=32))


def lfm2():
    config = Lfm2Config(
        **SMALL, num_hidden_layers=3, layer_types=["conv", "full_attention", "conv"], pad_token_id=0, eos_token_id=2
    )
    return Lfm2ForCausalLM(config)


def mllama():
    config = MllamaTextConfig(**SMALL, num_hidden_layers=2, cross_attention_layers=[1], pad_token_id=0)
    return MllamaForCausalLM(config)


def gemma3n():
    config = Gemma3nTextConfig(
        **SMALL, num_hidden_layers=4, num_kv_shared_layers=2, layer_types=["full_attention"] * 4, head_dim=16,
        hidden_size_per_layer_input=8, vocab_size_per_layer_input=32, laurel_rank=4,
        activation_sparsity_pattern=[0.0] * 4,
    )  # fmt: skip
    return Gemma3nForCausalLM(config)


def gemma4():
    config = Gemma4TextConfig(
        **SMALL, num_hidden_layers=2, layer_types=["full_attention"] * 2, head_dim=16, hidden_size_per_layer_input=8,
        vocab_size_per_layer_input=32,
    )  # fmt: skip
    return Gemma4ForCausalLM(config)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (bloom, "'BloomForCausalLM'.*no attention layer"),
        (mamba, "'MambaForCausalLM'.*no attention layer"),
        (t5, "'T5ForConditionalGeneration' is an encoder-decoder"),
        (lfm2, r"'Lfm2ForCausalLM' has 3 layers.*only \[1\].*conv"),
        (mllama, "cross-attention"),
        (gemma3n, "layer 2 of 'Gemma3nForCausalLM'.*reuses another layer's keys"),
        (gemma4, "'Gemma4ForCausalLM'.*special case for the attention named 'sdpa'"),
        (lambda: torch.nn.Linear(2, 2), "'Linear' is not a transformers model"),
    ],
)
def test_what_cannot_be_read_exactly_is_refused_by_name(make, says):
    with pytest.raises(ProbeError, match=says) as caught, watch(make()):
        pass
    assert "\n" not in str(caught.value)


def test_the_attention_layers_of_a_hybrid_can_be_named():
    torch.manual_seed(0)
    model = lfm2().eval()
    ids = torch.randint(3, 32, (1, 40))
    how = {"do_sample": False, "min_new_tokens": 4, "max_new_tokens": 4}
    plain = model.generate(ids, **how)
    with watch(model, layers=[1]) as probe:
        probe.start(SPANS)
        seen = model.generate(ids, **how)
        got = probe.result()
    assert torch.equal(seen, plain)
    model.set_attn_implementation("eager")
    with torch.no_grad():
        maps = [a for a in model(seen[:, :-1], output_attentions=True).attentions if a is not None]
    expected = maps[0][0, :, 39:, 3:9].sum(-1).T
    torch.testing.assert_close(torch.from_numpy(got.of("goal")[:, 0]), expected, atol=1e-5, rtol=0)


def test_unused_llama_config_is_untouched(tiny):
    with watch(tiny("llama").model):
        assert LlamaConfig()._attn_implementation != "homeostat_probe"
