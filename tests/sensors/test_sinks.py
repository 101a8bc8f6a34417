"""Attention sinks: found as defined, and taken out of the spans they lie in."""

import itertools

import numpy as np
import pytest
import torch
from transformers import DynamicCache

from homeostat.sensors import Spans, watch

SPANS = Spans({"system": [(0, 3)], "goal": [(3, 9)], "screen": [(9, 16)], "rest": [(16, 40)]}, length=40)


def sinks_of(attention, rows, threshold):
    """Slots whose mean weight over the prompt's last rows (that see them), heads and layers exceeds the threshold."""
    last = attention[:, :, 40 - rows : 40, :40]  # (L, H, rows, K)
    could = (last > 0).sum((0, 1, 2))
    mean = last.sum((0, 1, 2)) / np.maximum(could, 1)
    mean[40 - rows // 2 :] = 0
    return np.flatnonzero(mean > threshold)


def expected(attention, slots, spans):
    """(T, L, H) weight on the sinks, and (T, L, H, S) the part of it in each span."""
    rows = attention[:, :, 39:]
    inside = [rows[..., [k for k in slots if any(a <= k < b for a, b in spans[label])]].sum(-1) for label in spans] + [
        np.zeros_like(rows[..., 0])
    ]
    return rows[..., slots].sum(-1).transpose(2, 0, 1), np.stack(inside, -1).transpose(2, 0, 1, 3)


@pytest.mark.parametrize("family", ["llama", "gpt2", "mistral", "gemma2", "gpt_oss", "gemma3", "llava"])
@pytest.mark.parametrize(("rows", "threshold"), [(32, 0.12), (8, 0.08), (1, 0.1)])
def test_sinks_are_those_of_the_definition(tiny, reference, family, rows, threshold):
    case = tiny(family)
    with watch(case.model, rows=rows, sink_threshold=threshold) as probe:
        probe.start(SPANS)
        sequences = case.model.generate(**case.inputs, **case.generate)
        got = probe.result()
    attention = reference.maps(case.model, **reference.whole(case.inputs, sequences))[0]
    slots = sinks_of(attention, rows, threshold)
    total, inside = expected(attention, slots, SPANS)
    np.testing.assert_allclose(got.sink, total, atol=1e-5)
    np.testing.assert_allclose(got.sink_in_span, inside, atol=1e-5)


def test_some_case_above_has_sinks(tiny, reference):
    case = tiny("llama")
    attention = reference.maps(case.model, **case.inputs)[0]
    assert len(sinks_of(attention, 32, 0.08)) >= 1


def test_a_real_sink_is_found_at_the_default_threshold(tiny, reference):
    """Queries that all point at the first token's key make it what a trained model's first token is."""
    case = tiny("gpt2")
    model = case.model
    with torch.no_grad():
        model.transformer.wpe.weight[0] = 0
        model.transformer.wpe.weight[0, 0] = 60.0
        for block in model.transformer.h:
            block.ln_1.weight.fill_(1)
            block.attn.c_attn.weight[:, :128] *= 0.05
            for head in range(4):
                block.attn.c_attn.bias[head * 16] = 4.0  # every query
                block.attn.c_attn.weight[0, 64 + head * 16] = 3.0  # the key of what has the first dimension
    try:
        with watch(model) as probe:
            probe.start(SPANS)
            sequences = model.generate(**case.inputs, **case.generate)
            got = probe.result()
        attention = reference.maps(model, **reference.whole(case.inputs, sequences))[0]
    finally:
        tiny.forget("gpt2")
    assert sinks_of(attention, 32, 0.3).tolist() == [0]
    np.testing.assert_allclose(got.sink, attention[:, :, 39:, 0].transpose(2, 0, 1), atol=1e-5)
    np.testing.assert_allclose(got.sink_in_span[..., 0], got.sink, atol=1e-6)
    assert got.sink.mean() > 0.3


@pytest.mark.parametrize("family", ["llama", "gpt_oss", "gemma3"])
@pytest.mark.parametrize("cuts", [(17, 39), (39,), (5, 11, 30), (36,)])
def test_sinks_do_not_depend_on_how_the_prompt_comes_in(tiny, reference, family, cuts):
    case = tiny(family)
    ids = case.inputs["input_ids"]
    cache = DynamicCache(config=case.model.config)
    with watch(case.model, rows=12, sink_threshold=0.08) as probe, torch.no_grad():
        probe.start(SPANS)
        for a, b in itertools.pairwise((0, *cuts)):
            case.model(input_ids=ids[:, a:b], past_key_values=cache)
        cache.batch_repeat_interleave(2)  # two samples of one prompt part before its last piece
        case.model(input_ids=ids[:, cuts[-1] :].repeat(2, 1), past_key_values=cache)
        case.model(input_ids=torch.tensor([[5], [6]]), past_key_values=cache)
        got = probe.results()
    for row, token in zip(got, (5, 6), strict=True):
        full = torch.cat([ids, torch.tensor([[token]])], 1)
        attention = reference.maps(case.model, input_ids=full)[0]
        total, inside = expected(attention, sinks_of(attention, 12, 0.08), SPANS)
        np.testing.assert_allclose(row.sink, total, atol=1e-5)
        np.testing.assert_allclose(row.sink_in_span, inside, atol=1e-5)
        np.testing.assert_allclose(row.prompt_mass, reference.masses(attention, SPANS, 40)[28:40], atol=1e-5)


def test_padding_is_never_a_sink(tiny):
    case = tiny("llama")
    ids = case.inputs["input_ids"]
    inputs = {
        "input_ids": torch.nn.functional.pad(ids, (24, 0)),
        "attention_mask": torch.nn.functional.pad(torch.ones_like(ids), (24, 0)),
    }
    with watch(case.model, rows="all", sink_threshold=0.02) as probe:
        probe.start(Spans({"padding": [(0, 24)], "prompt": [(24, 64)]}, length=64))
        case.model.generate(**inputs, **case.generate)
        got = probe.result()
    assert (got.of("padding") == 0).all()
    assert (got.sink_in_span[..., 0] == 0).all()
    assert got.sink.max() > 0


def test_sinks_can_be_left_out(tiny):
    case = tiny("llama")
    with watch(case.model, sinks=False) as probe, torch.no_grad():
        probe.start(SPANS)
        case.model(**case.inputs)
        got = probe.result()
    assert got.sink is None
    assert got.sink_in_span is None
