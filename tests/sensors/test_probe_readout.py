"""What a Readout asks for, against eager attention's own maps; every k-th token; beams; NaN."""

import numpy as np
import pytest
import torch

from homeostat.errors import ConfigError, ProbeError
from homeostat.sensors import Readout, Spans, watch

SPANS = Spans({"system": [(0, 3), (20, 25)], "goal": [(3, 9)], "screen": [(9, 16)], "rest": [(26, 33)]}, length=40)
EVERYTHING = Readout(
    keys=frozenset({"goal", "system"}),
    window=12,
    statistics=frozenset({"entropy", "distance", "top", "received", "outputs", "prompt_keys"}),
)
FAMILIES = ("llama", "gpt2", "mistral", "gemma2", "gemma3", "llava", "qwen2_5_vl", "phi3", "gpt_neox")


def read(case, readout=EVERYTHING, spans=SPANS, **how):
    with watch(case.model, rows="all", readout=readout, **how) as probe:
        probe.start(spans)
        sequences = case.model.generate(**case.inputs, **case.generate)
        return sequences, probe.result()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_readout_is_that_of_the_eager_maps(tiny, reference, family):
    case = tiny(family)
    sequences, got = read(case)
    maps = reference.maps(case.model, **reference.whole(case.inputs, sequences))[0]  # (L, H, Q, K)
    rows = maps[:, :, 39:].transpose(2, 0, 1, 3)  # (T, L, H, K)
    tokens, keys = len(rows), rows.shape[-1]
    near = {"atol": 2e-5, "rtol": 1e-4}
    np.testing.assert_allclose(got.keys["goal"], rows[..., 3:9], **near)
    np.testing.assert_allclose(got.keys["system"], rows[..., [0, 1, 2, 20, 21, 22, 23, 24]], **near)
    assert got.prompt_keys.dtype == np.float16
    np.testing.assert_allclose(got.prompt_keys, rows[..., :40], atol=2e-5, rtol=2e-3)  # half precision
    slot = 39 + np.arange(tokens)
    log = np.log(np.where(rows > 0, rows, 1))
    np.testing.assert_allclose(got.entropy, -(rows * log).sum(-1), **near)
    back = slot[:, None] - np.arange(keys)
    np.testing.assert_allclose(got.distance, (rows * back[:, None, None]).sum(-1), atol=1e-3)
    picked = np.take_along_axis(rows, got.top[..., None], -1)[..., 0]
    np.testing.assert_allclose(picked, rows.max(-1), **near)
    recent = np.stack([rows[t][..., slot[t] - np.arange(12)] for t in range(tokens)])
    np.testing.assert_allclose(got.recent, recent, **near)
    seen = np.tril(np.ones((40, 40), bool))
    if family in ("llama", "gpt2"):
        received = np.where(seen, maps[:, :, :40, :40], np.nan)
        np.testing.assert_allclose(got.received, np.nanmean(received, 2), **near)
    assert got.prompt == 40
    assert got.index is None
    assert got.position.tolist() == list(range(tokens))


def test_a_key_behind_a_sliding_window_has_no_weight_and_is_not_received(tiny, reference):
    case = tiny("mistral")
    sequences, got = read(case)
    assert not got.keys["goal"].any()  # slots 3 to 8 lie more than twelve behind
    maps = reference.maps(case.model, **reference.whole(case.inputs, sequences))[0][:, :, :40, :40]
    row, key = np.indices((40, 40))
    visible = (key <= row) & (key > row - 12)
    expected = (maps * visible).sum(2) / visible.sum(0)
    np.testing.assert_allclose(got.received, expected, atol=2e-5)


@pytest.mark.parametrize("family", ["llama", "gemma2", "llava"])
def test_outputs_are_the_heads_before_the_output_projection(tiny, family):
    case = tiny(family)
    seen = []
    text = case.model.get_decoder() if family != "llava" else case.model.model.language_model
    hooks = [
        layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0][0, -1].clone()))
        for layer in text.layers
    ]
    try:
        _, got = read(case)
    finally:
        for hook in hooks:
            hook.remove()
    layers = len(got.layers)
    expected = torch.stack(seen[: len(got.mass) * layers]).view(len(got.mass), layers, 4, 16)
    np.testing.assert_allclose(got.outputs, expected.numpy(), atol=1e-5)


@pytest.mark.parametrize("every", [2, 3, 6])
@pytest.mark.parametrize("family", ["llama", "mistral", "gemma2"])
def test_every_kth_token_reads_as_among_all(tiny, family, every):
    case = tiny(family)
    whole_tokens, whole = read(case)
    tokens, some = read(case, every=every)
    assert torch.equal(tokens, whole_tokens)
    at = np.arange(0, 6, every)
    assert some.position.tolist() == at.tolist()
    assert some.lengths.tolist() == whole.lengths.tolist()
    for name in ("mass", "visible", "sink", "entropy", "recent", "outputs"):
        np.testing.assert_allclose(getattr(some, name), getattr(whole, name)[at], atol=1e-5)
    np.testing.assert_allclose(some.keys["goal"], whole.keys["goal"][at], atol=1e-5)
    np.testing.assert_allclose(some.prompt_mass, whole.prompt_mass, atol=1e-5)


def test_rows_that_end_early_are_cut_with_their_readouts(tiny):
    case = tiny("llama")
    _, whole = read(case)
    with watch(case.model, rows="all", readout=EVERYTHING, every=2) as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        cut = probe.result(tokens=3)
    assert cut.position.tolist() == [0, 2]
    assert cut.lengths[-1] == 2
    np.testing.assert_allclose(cut.entropy, whole.entropy[[0, 2]], atol=1e-5)
    np.testing.assert_allclose(cut.keys["goal"], whole.keys["goal"][[0, 2]], atol=1e-5)


def test_prompts_of_a_batch_keep_keys_of_their_own_spans(tiny):
    case = tiny("llama")
    short = Spans({"goal": [(3, 5)], "rest": [(26, 33)]}, length=40)
    inputs = {k: v.repeat(2, 1) for k, v in case.inputs.items()}
    with watch(case.model, readout=Readout(keys=frozenset({"goal"}))) as probe:
        probe.start([SPANS, short])
        case.model.generate(**inputs, **case.generate)
        first, second = probe.results()
    assert first.keys["goal"].shape[-1] == 6
    np.testing.assert_allclose(second.keys["goal"], first.keys["goal"][..., :2], atol=1e-6)


def test_a_beam_search_is_read_along_each_beam(tiny, reference):
    case = tiny("llama")
    how = {"num_beams": 3, "num_return_sequences": 2, "do_sample": False, "min_new_tokens": 6, "max_new_tokens": 6}
    with watch(case.model, rows="all", sinks=False, readout=EVERYTHING) as probe:
        probe.start(SPANS)
        out = case.model.generate(**case.inputs, **how, return_dict_in_generate=True)
        found = probe.results(beams=out.beam_indices.tolist())
    assert len(found) == 2
    assert len(set(out.beam_indices[0].tolist()) | set(out.beam_indices[1].tolist())) > 1
    for one, sequence in zip(found, out.sequences, strict=True):
        maps = reference.maps(case.model, **reference.whole(case.inputs, sequence[None]))[0]
        np.testing.assert_allclose(one.mass, reference.masses(maps, SPANS, 40)[39:], atol=1e-5)
        np.testing.assert_allclose(one.keys["goal"], maps[:, :, 39:, 3:9].transpose(2, 0, 1, 3), atol=1e-5)


def test_nan_in_the_cache_is_named(tiny):
    case = tiny("llama")
    with torch.no_grad(), watch(case.model) as probe:
        probe.start(SPANS)
        out = case.model(**case.inputs, use_cache=True)
        out.past_key_values.layers[1].keys[0, 0, 5] = float("nan")
        case.model(torch.tensor([[7]]), past_key_values=out.past_key_values)
        with pytest.raises(ProbeError, match=r"layer 1 is not a number.*NaN"):
            probe.result()


@pytest.mark.parametrize(
    ("readout", "how", "says"),
    [
        (Readout(), {"every": 0}, "every=0"),
        (Readout(keys=frozenset({"output"})), {}, r"keys='output'.*window"),
    ],
)
def test_bad_settings_are_named(tiny, readout, how, says):
    with pytest.raises(ConfigError, match=says), watch(tiny("llama").model, readout=readout, **how):
        pass


def test_readouts_add_up():
    one = Readout(keys=frozenset({"a"}), window=3)
    assert one | Readout(keys=frozenset({"b"}), window=2, statistics=frozenset({"top"})) == Readout(
        keys=frozenset({"a", "b"}), window=3, statistics=frozenset({"top"})
    )
    with pytest.raises(ConfigError, match="'colour' is unknown"):
        Readout(statistics=frozenset({"colour"}))
    with pytest.raises(ConfigError, match="window=-1"):
        Readout(window=-1)
