"""The probe against eager attention's own maps, on every architecture that it is said to be exact on."""

import numpy as np
import pytest
import torch

from homeostat.sensors import Spans, watch

FAMILIES = (
    "llama",
    "gpt2",
    "mistral",
    "gemma2",
    "gpt_oss",
    "gemma3",
    "gemma3_image",
    "llava",
    "qwen2_5_vl",
    "qwen3_vl",
    "qwen2",
    "qwen3",
    "phi3",
    "gpt_neox",
    "idefics3",
)
SPANS = Spans({"system": [(0, 3), (20, 25)], "goal": [(3, 9)], "screen": [(9, 16)], "rest": [(26, 33)]}, length=40)
TOLERANCE = 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_generation_is_unchanged_and_every_mass_is_exact(tiny, reference, family):
    case = tiny(family)
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    plain = case.model.generate(**case.inputs, **how)
    with watch(case.model, rows="all") as probe:
        probe.start(SPANS)
        seen = case.model.generate(**case.inputs, **how)
        got = probe.result()
    assert torch.equal(seen.sequences, plain.sequences)
    torch.testing.assert_close(torch.stack(seen.logits), torch.stack(plain.logits), atol=1e-5, rtol=1e-5)

    attention = reference.maps(case.model, **reference.whole(case.inputs, seen.sequences))
    expected = reference.masses(attention[0], SPANS, 40)
    assert got.labels == ("system", "goal", "screen", "rest", "output")
    assert got.mass.shape == (6, len(got.layers), 4, 5)
    assert got.mass.dtype == np.float32
    np.testing.assert_allclose(got.mass, expected[39:], atol=TOLERANCE)
    np.testing.assert_allclose(got.prompt_mass, expected[:40], atol=TOLERANCE)
    assert got.lengths.tolist() == [8, 6, 7, 7, 5]
    assert expected[39:, ..., :4].std() > 0.02  # the comparison would mean little on uniform attention
    rows = attention[0].astype(bool).any((0, 1)).sum(-1)
    np.testing.assert_array_equal(got.visible, rows[39:])


@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2", "gpt_oss", "gemma3_image", "llava", "qwen2_5_vl"])
def test_logits_of_one_forward_are_those_of_the_unwatched_model(tiny, family):
    case = tiny(family)
    with torch.no_grad():
        plain = case.model(**case.inputs).logits
        with watch(case.model, layers=[1]) as probe:
            idle = case.model(**case.inputs).logits
            probe.start(SPANS)
            seen = case.model(**case.inputs).logits
            got = probe.result()
    torch.testing.assert_close(idle, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(seen, plain, atol=1e-5, rtol=1e-5)
    assert got.layers == (1,)
    assert got.mass.shape[:2] == (1, 1)


@pytest.mark.parametrize("family", ["llama", "gpt_oss", "gemma3", "qwen3_vl", "llava"])
def test_teacher_forced_tokens_read_as_generated_ones(tiny, reference, family):
    case = tiny(family)
    with watch(case.model, sinks=False) as probe:
        probe.start(SPANS)
        sequences = case.model.generate(**case.inputs, **case.generate)
        generated = probe.result()
        probe.start(SPANS)
        with torch.no_grad():
            case.model(**reference.whole(case.inputs, sequences))
        forced = probe.result()
    np.testing.assert_allclose(forced.mass, generated.mass, atol=TOLERANCE)
    np.testing.assert_array_equal(forced.visible, generated.visible)
    np.testing.assert_array_equal(forced.lengths, generated.lengths)


def test_without_a_length_the_prompt_ends_at_the_first_single_token(tiny):
    case = tiny("llama")
    bare = Spans({label: SPANS[label] for label in SPANS})
    with watch(case.model) as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        known = probe.result()
        probe.start(bare)
        case.model.generate(**case.inputs, **case.generate)
        found = probe.result()
    np.testing.assert_array_equal(found.mass, known.mass)
    np.testing.assert_array_equal(found.sink, known.sink)


def test_chosen_layers_and_rows(tiny):
    case = tiny("llama")
    with watch(case.model, rows="all") as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        every = probe.result()
    with watch(case.model, layers=[2, 0], rows=3) as probe:
        assert probe.layers == (0, 2)
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        some = probe.result()
    assert some.prompt_mass.shape == (3, 2, 4, 5)
    np.testing.assert_allclose(some.mass, every.mass[:, [0, 2]], atol=TOLERANCE)
    np.testing.assert_allclose(some.prompt_mass, every.prompt_mass[-3:, [0, 2]], atol=TOLERANCE)


def test_rows_are_worked_off_in_chunks(tiny, monkeypatch):
    case = tiny("mistral")
    with watch(case.model, rows="all") as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        whole_rows = probe.result()
        monkeypatch.setattr("homeostat.sensors.probe.explicit_attention.CHUNK", 4 * 40 * 7)
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        chunked = probe.result()
    np.testing.assert_allclose(chunked.mass, whole_rows.mass, atol=1e-6)
    np.testing.assert_allclose(chunked.prompt_mass, whole_rows.prompt_mass, atol=1e-6)
    np.testing.assert_allclose(chunked.sink, whole_rows.sink, atol=1e-6)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_half_precision_stays_close(tiny, reference, family):
    case = tiny(family)
    model = case.model.bfloat16()
    try:
        with watch(model, rows="all") as probe:
            probe.start(SPANS)
            sequences = model.generate(**case.inputs, **case.generate)
            got = probe.result()
        attention = reference.maps(model, **reference.whole(case.inputs, sequences))
    finally:
        # Weights rounded to bfloat16 are not the float32 ones: the next test builds its own.
        tiny.forget(family)
    assert abs(got.mass - reference.masses(attention[0], SPANS, 40)[39:]).mean() < 0.02
