"""A prompt of another length than the spans' is refused; every way to pass the same prompt gives the same masses."""

import importlib.util

import numpy as np
import pytest
import torch
from transformers import DynamicCache, StaticCache

from homeostat.errors import ProbeError
from homeostat.sensors import Actuator, Spans, watch
from homeostat.sensors.attempts import Readout

RANGES = {"goal": [(3, 9)], "screen": [(9, 16)], "rest": [(26, 33)]}
SPANS = Spans(RANGES, length=40)
EXACT = {"atol": 1e-5, "rtol": 0}


def prompt(length):
    tokens = torch.randint(3, 99, (1, length), generator=torch.Generator().manual_seed(length))
    return {"input_ids": tokens, "attention_mask": torch.ones_like(tokens)}


def same(got, wanted):
    np.testing.assert_allclose(got.mass, wanted.mass, **EXACT)
    np.testing.assert_allclose(got.prompt_mass, wanted.prompt_mass, **EXACT)
    np.testing.assert_array_equal(got.lengths, wanted.lengths)
    np.testing.assert_array_equal(got.visible, wanted.visible)


@pytest.mark.parametrize("length", [39, 41, 60])
@pytest.mark.parametrize("new", [1, 6])
def test_a_generated_prompt_of_another_length_is_refused(tiny, length, new):
    case = tiny("llama")
    ran = []
    hook = case.model.register_forward_pre_hook(lambda *_: ran.append(1))
    try:
        with watch(case.model) as probe:
            probe.start(SPANS)
            with pytest.raises(ProbeError, match=rf"a prompt of {length} tokens.*a prompt of 40") as caught:
                case.model.generate(**prompt(length), do_sample=False, max_new_tokens=new, min_new_tokens=new)
            assert "\n" not in str(caught.value)
            assert not ran  # it costs no forward
            probe.start(SPANS)  # the probe is as good as before
            case.model.generate(**case.inputs, **case.generate)
            assert len(probe.result().mass) == 6
    finally:
        hook.remove()
    assert "generate" not in vars(case.model)


def test_padding_that_the_spans_do_not_know_is_refused(tiny):
    case = tiny("llama")
    inputs = {k: torch.nn.functional.pad(v, (5, 0)) for k, v in case.inputs.items()}
    with watch(case.model) as probe:
        probe.start(SPANS)
        with pytest.raises(ProbeError, match=r"a prompt of 45 tokens.*a prompt of 40"):
            case.model.generate(**inputs, **case.generate)


@pytest.mark.parametrize("how", ["positional", "embeddings", "cache", "rest of a cache", "static cache"])
def test_each_way_to_pass_a_prompt_is_counted(tiny, how):
    case = tiny("llama")
    model, ids, mask = case.model, case.inputs["input_ids"], case.inputs["attention_mask"]

    def generate(ids, mask):
        if how == "positional":
            return model.generate(ids, **case.generate)
        if how == "embeddings":
            return model.generate(inputs_embeds=model.get_input_embeddings()(ids), **case.generate)
        if how == "static cache":
            cache = StaticCache(config=model.config, max_cache_len=80)
            return model.generate(input_ids=ids, attention_mask=mask, past_key_values=cache, **case.generate)
        cache = DynamicCache(config=model.config)
        with torch.no_grad():
            model(input_ids=ids[:, :20], past_key_values=cache)
        new = ids[:, 20:] if how == "rest of a cache" else ids
        return model.generate(input_ids=new, attention_mask=mask, past_key_values=cache, **case.generate)

    with watch(model, rows=16) as probe:
        probe.start(SPANS)
        model.generate(**case.inputs, **case.generate)
        wanted = probe.result()
        probe.start(SPANS)
        generate(ids, mask)
        same(probe.result(), wanted)
        probe.start(SPANS)
        longer = prompt(47)
        with pytest.raises(ProbeError, match=r"a prompt of 47 tokens.*a prompt of 40"):
            generate(longer["input_ids"], longer["attention_mask"])


def test_a_run_may_go_on_behind_its_prompt(tiny):
    case = tiny("llama")
    cache = DynamicCache(config=case.model.config)
    how = {"do_sample": False, "past_key_values": cache}
    with watch(case.model) as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        wanted = probe.result()
        probe.start(SPANS)
        first = case.model.generate(**case.inputs, **how, max_new_tokens=2, min_new_tokens=2)
        case.model.generate(first, attention_mask=torch.ones_like(first), **how, max_new_tokens=4, min_new_tokens=4)
        same(probe.result(), wanted)


def test_spans_beyond_a_prompt_of_unknown_length_are_refused_before_it_runs(tiny):
    case = tiny("llama")
    with watch(case.model) as probe:
        probe.start(Spans({"goal": [(30, 41)]}))
        with pytest.raises(ProbeError, match="ends at slot 41, after the prompt's 40"):
            case.model.generate(**case.inputs, **case.generate)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral", "gemma2", "gemma3", "gpt_oss", "qwen3"])
@pytest.mark.parametrize("size", [1, 13, 39, 64])
def test_chunks_of_a_prompt_read_like_the_whole(tiny, reference, family, size):
    case = tiny(family)
    readout = Readout(keys=frozenset({"goal"}), statistics=frozenset({"entropy", "received"}))
    with watch(case.model, rows="all", readout=readout) as probe:
        probe.start(SPANS)
        plain = case.model.generate(**case.inputs, **case.generate)
        wanted = probe.result()
        for spans in (SPANS, Spans(RANGES)):  # without a length, the prompt is the one that generate gets
            probe.start(spans)
            seen = case.model.generate(**case.inputs, **case.generate, prefill_chunk_size=size)
            got = probe.result()
            assert torch.equal(seen, plain)
            same(got, wanted)
            for name in ("entropy", "received", "sink", "sink_in_span"):
                np.testing.assert_allclose(getattr(got, name), getattr(wanted, name), **EXACT)
            np.testing.assert_allclose(got.keys["goal"], wanted.keys["goal"], **EXACT)
    expected = reference.masses(reference.maps(case.model, **reference.whole(case.inputs, plain))[0], SPANS, 40)
    np.testing.assert_allclose(got.mass, expected[39:], **EXACT)


@pytest.mark.parametrize("rule", [Actuator("goal", gain=4.0), Actuator("goal", target=0.4, rows="output")])
def test_chunks_of_a_prompt_are_steered_like_the_whole(tiny, rule):
    case = tiny("mistral")
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    with watch(case.model) as probe:
        probe.start(SPANS, steer=[rule])
        plain = case.model.generate(**case.inputs, **how)
        wanted = probe.result()
        probe.start(SPANS, steer=[rule])
        seen = case.model.generate(**case.inputs, **how, prefill_chunk_size=16)
        same(probe.result(), wanted)
    torch.testing.assert_close(torch.stack(seen.logits), torch.stack(plain.logits), atol=1e-4, rtol=1e-4)


def test_candidates_in_the_first_forward_are_refused(tiny):
    case = tiny("llama")
    inputs = {"input_ids": torch.arange(3, 13).repeat(4)[None]}  # repetitive: prompt lookup finds candidates at once
    with watch(case.model) as probe:
        probe.start(SPANS)
        with pytest.raises(ProbeError, match=r"4[1-9] tokens at once for a prompt of 40"):
            case.model.generate(**inputs, do_sample=False, max_new_tokens=6, prompt_lookup_num_tokens=3)


@pytest.mark.filterwarnings("ignore")  # peft warns of its own calls
def test_learned_prompt_tokens_are_refused():
    if importlib.util.find_spec("peft") is None:
        pytest.skip("peft is not installed; it learns prompt tokens")
    from peft import LoraConfig, PromptTuningConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2, vocab_size=100, pad_token_id=0
    )
    adapted = get_peft_model(LlamaForCausalLM(config), LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]))
    how = {"do_sample": False, "max_new_tokens": 4, "min_new_tokens": 4}
    with watch(adapted) as probe:
        probe.start(SPANS)
        adapted.generate(**prompt(40), **how)
        assert len(probe.result().mass) == 4
        probe.start(SPANS)
        with pytest.raises(ProbeError, match=r"a prompt of 44 tokens.*a prompt of 40"):
            adapted.generate(**prompt(44), **how)
    learned = PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=5)
    tuned = get_peft_model(LlamaForCausalLM(config), learned)
    with watch(tuned) as probe:
        probe.start(SPANS)
        with pytest.raises(ProbeError, match="45 tokens at once for a prompt of 40"):
            tuned.generate(**prompt(40), **how)
