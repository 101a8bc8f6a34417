"""Left padding, batches and caches: where a probe goes wrong silently if it goes wrong."""

import copy

import numpy as np
import pytest
import torch
from transformers import DynamicCache, StaticCache

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors import Spans, watch

SPANS = Spans({"goal": [(3, 9)], "screen": [(9, 16)], "rest": [(26, 33)]}, length=40)
FAMILIES = ("llama", "mistral", "gemma2", "gpt_oss", "gemma3", "llava")
EXACT = {"atol": 1e-5, "rtol": 0}


def padded(inputs, by):
    """The same prompt behind ``by`` slots of left padding."""
    out = dict(inputs)
    out["input_ids"] = torch.nn.functional.pad(inputs["input_ids"], (by, 0), value=0)
    out["attention_mask"] = torch.nn.functional.pad(inputs["attention_mask"], (by, 0), value=0)
    return out


def text_only(case, tokens=None):
    ids = case.inputs["input_ids"].clone()
    ids[ids >= 100] = 50
    ids = ids if tokens is None else tokens
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@pytest.mark.parametrize("family", FAMILIES)
def test_left_padded_batch(tiny, reference, family):
    case = tiny(family)
    long = text_only(case)
    short = padded(text_only(case, long["input_ids"][:, 13:]), 13)
    batch = {k: torch.cat([long[k], short[k]]) for k in long}
    spans = [SPANS, Spans({"goal": [(15, 20)], "tool": [(20, 22), (30, 40)]}, length=40)]
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    plain = case.model.generate(**batch, **how)
    with watch(case.model, rows="all") as probe:
        probe.start(spans)
        seen = case.model.generate(**batch, **how)
        got = probe.results()
    assert torch.equal(seen.sequences, plain.sequences)
    torch.testing.assert_close(torch.stack(seen.logits), torch.stack(plain.logits), atol=1e-5, rtol=1e-5)
    attention = reference.maps(case.model, **reference.whole(batch, seen.sequences))
    for b, pad in ((0, 0), (1, 13)):
        expected = reference.masses(attention[b], spans[b], 40)
        assert got[b].labels == (*spans[b].labels, "output")
        np.testing.assert_allclose(got[b].mass, expected[39:], **EXACT)
        np.testing.assert_allclose(got[b].prompt_mass[pad:], expected[pad:40], **EXACT)
        np.testing.assert_array_equal(got[b].prompt_mass[:pad], 0)  # padding looks at nothing
    assert got[1].lengths.tolist() == [5, 12, 5]
    assert (got[1].visible <= got[0].visible).all()
    if family == "llama":
        assert got[1].visible.tolist() == [27, 28, 29, 30, 31, 32]


@pytest.mark.parametrize("family", FAMILIES)
def test_padding_changes_nothing_but_the_slots(tiny, family):
    case = tiny(family)
    inputs = text_only(case)
    with watch(case.model) as probe:
        probe.start(SPANS)
        case.model.generate(**inputs, **case.generate)
        alone = probe.result()
        probe.start(SPANS.shift(6))
        case.model.generate(**padded(inputs, 6), **case.generate)
        behind = probe.result()
    np.testing.assert_allclose(behind.mass, alone.mass, **EXACT)
    np.testing.assert_allclose(behind.sink, alone.sink, **EXACT)
    np.testing.assert_array_equal(behind.visible, alone.visible)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("first", [39, 25, 8, 1])
def test_second_chunk_on_top_of_a_cache(tiny, reference, family, first):
    case = tiny(family)
    inputs = text_only(case)
    plain = case.model.generate(**inputs, **case.generate)
    cache = DynamicCache(config=case.model.config.get_text_config())
    with watch(case.model) as probe:
        with torch.no_grad():
            case.model(input_ids=inputs["input_ids"][:, :first], past_key_values=cache, use_cache=True)
        probe.start(SPANS)
        seen = case.model.generate(**inputs, **case.generate, past_key_values=cache)
        got = probe.result()
    assert torch.equal(seen, plain)
    attention = reference.maps(case.model, **reference.whole(inputs, seen))
    expected = reference.masses(attention[0], SPANS, 40)
    np.testing.assert_allclose(got.mass, expected[39:], **EXACT)
    rows = min(32, 40 - first)
    np.testing.assert_allclose(got.prompt_mass, expected[40 - rows : 40], **EXACT)


@pytest.mark.parametrize("family", FAMILIES)
def test_two_chunks_in_one_run(tiny, reference, family):
    case = tiny(family)
    ids = text_only(case)["input_ids"]
    cache = DynamicCache(config=case.model.config.get_text_config())
    with watch(case.model, rows="all") as probe, torch.no_grad():
        probe.start(SPANS)
        for a, b in ((0, 17), (17, 39), (39, 40)):
            case.model(input_ids=ids[:, a:b], past_key_values=cache, use_cache=True)
        got = probe.result()
    attention = reference.maps(case.model, input_ids=ids)
    expected = reference.masses(attention[0], SPANS, 40)
    np.testing.assert_allclose(got.prompt_mass, expected, **EXACT)
    np.testing.assert_allclose(got.mass, expected[39:], **EXACT)


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gemma3", "gpt_oss"])
@pytest.mark.parametrize("room", [46, 64])
def test_static_cache(tiny, family, room):
    case = tiny(family)
    with watch(case.model) as probe:
        probe.start(SPANS)
        plain = case.model.generate(**case.inputs, **case.generate)
        dynamic = probe.result()
        probe.start(SPANS)
        cache = StaticCache(config=case.model.config, max_cache_len=room)
        seen = case.model.generate(**case.inputs, **case.generate, past_key_values=cache)
        static = probe.result()
    assert torch.equal(seen, plain)
    np.testing.assert_allclose(static.mass, dynamic.mass, **EXACT)
    np.testing.assert_allclose(static.prompt_mass, dynamic.prompt_mass, **EXACT)
    np.testing.assert_allclose(static.sink, dynamic.sink, **EXACT)
    np.testing.assert_array_equal(static.visible, dynamic.visible)


def test_no_cache_at_all(tiny):
    case = tiny("llama")
    with watch(case.model) as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        cached = probe.result()
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate, use_cache=False)
        uncached = probe.result()
    np.testing.assert_allclose(uncached.mass, cached.mass, **EXACT)
    np.testing.assert_allclose(uncached.prompt_mass, cached.prompt_mass, **EXACT)


@pytest.mark.parametrize("family", ["llama", "gemma3", "llava"])
def test_samples_of_one_prompt_get_a_result_each(tiny, reference, family):
    case = tiny(family)
    inputs = text_only(case)
    how = {"do_sample": True, "temperature": 50.0, "num_return_sequences": 3, "min_new_tokens": 5, "max_new_tokens": 5}
    with watch(case.model) as probe:
        torch.manual_seed(3)
        probe.start(SPANS)
        sequences = case.model.generate(**inputs, **how)
        got = probe.results(tokens=[5, 2, 0])
    assert len({tuple(s) for s in sequences.tolist()}) == 3
    for b, count in enumerate([5, 2, 0]):
        alone = {"input_ids": sequences[b : b + 1, :-1]}
        expected = reference.masses(reference.maps(case.model, **alone)[0], SPANS, 40)
        np.testing.assert_allclose(got[b].mass, expected[39 : 39 + count], **EXACT)
        assert got[b].lengths[-1] == max(count - 1, 0)


def test_samples_that_share_one_prefill(tiny, reference):
    case = tiny("llama")
    ids = case.inputs["input_ids"]
    tokens = torch.tensor([[5, 6], [7, 8], [9, 10]])
    cache = DynamicCache(config=case.model.config)
    with watch(case.model) as probe, torch.no_grad():
        probe.start(SPANS)
        case.model(input_ids=ids, past_key_values=cache)
        cache.batch_repeat_interleave(3)
        for t in (0, 1):
            case.model(input_ids=tokens[:, t : t + 1], past_key_values=cache)
        got = probe.results()
    for b in range(3):
        full = torch.cat([ids, tokens[b : b + 1]], 1)
        expected = reference.masses(reference.maps(case.model, input_ids=full)[0], SPANS, 40)
        np.testing.assert_allclose(got[b].mass, expected[39:], **EXACT)
        assert got[b].sink.shape == (3, 3, 4)


def test_a_cache_cropped_to_a_shared_prefix(tiny, reference):
    case = tiny("llama")
    ids = case.inputs["input_ids"]
    cache = DynamicCache(config=case.model.config)
    with watch(case.model) as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate, past_key_values=cache)
        probe.result()
        cache.crop(22 - 45)
        other = ids.clone()
        other[:, 22:] = ids[:, 22:].flip(1)
        probe.start(SPANS)
        seen = case.model.generate(
            input_ids=other, attention_mask=torch.ones_like(other), **case.generate, past_key_values=cache
        )
        got = probe.result()
    expected = reference.masses(reference.maps(case.model, input_ids=seen[:, :-1])[0], SPANS, 40)
    np.testing.assert_allclose(got.mass, expected[39:], **EXACT)


def test_a_cache_exchanged_during_a_run_is_refused(tiny):
    case = tiny("llama")
    ids = case.inputs["input_ids"]
    with watch(case.model) as probe, torch.no_grad():
        probe.start(SPANS)
        cache = case.model(input_ids=ids, use_cache=True).past_key_values
        shorter = copy.deepcopy(cache)
        shorter.crop(-10)
        with pytest.raises(ProbeError, match="holds 30 slots, but this run has seen 40"):
            case.model(input_ids=ids[:, :1], past_key_values=shorter)


def test_a_batch_needs_results_and_a_span_set_that_fits(tiny):
    case = tiny("llama")
    ids = case.inputs["input_ids"].repeat(3, 1)
    with watch(case.model) as probe, torch.no_grad():
        probe.start(SPANS)
        case.model(input_ids=ids)
        with pytest.raises(ProbeError, match="3 rows; call results"):
            probe.result()
        probe.start([SPANS, SPANS])
        with pytest.raises(ProbeError, match="2 prompts do not divide a batch of 3 rows"):
            case.model(input_ids=ids)
        probe.start(SPANS)
        case.model(input_ids=ids)
        with pytest.raises(ConfigError, match="2 counts for a batch of 3"):
            probe.results(tokens=[1, 1])
