"""Steering against eager attention with log-bias added to its mask, and by the formula."""

from contextlib import contextmanager
from math import log

import numpy as np
import pytest
import torch

from homeostat.errors import ConfigError
from homeostat.sensors import Actuator, Readout, Spans, watch

SPANS = Spans({"system": [(0, 3), (20, 25)], "goal": [(3, 9)], "screen": [(9, 16)], "rest": [(26, 33)]}, length=40)
FAMILIES = (
    "llama",
    "gpt2",
    "mistral",
    "gemma2",
    "gemma3",
    "llava",
    "qwen2_5_vl",
    "qwen3_vl",
    "phi3",
    "gpt_neox",
    "idefics3",
)
RULES = (Actuator("goal", gain=5.0), Actuator("rest", gain=0.2), Actuator(((1, 2), (17, 19)), gain=2.0))


def member(ranges, keys):
    out = torch.zeros(keys)
    for start, stop in ranges:
        out[start:stop] = 1
    return out


@contextmanager
def eager(model, bias):
    """The model with eager attention, ``bias`` (layer) -> (H or 1, Q, K) added to every attention mask."""
    former = {id(m.config): (m.config, m.config._attn_implementation) for m in model.modules() if hasattr(m, "config")}
    model.set_attn_implementation("eager")
    hooks = []

    def add(module, args, kwargs):
        queries = (args[0] if args else kwargs["hidden_states"]).shape[1]
        mask = kwargs["attention_mask"]
        if mask is not None and mask.dtype == torch.bool:
            mask = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, torch.finfo(torch.float32).min)
        kwargs["attention_mask"] = mask + bias(module.layer_idx)[None, :, :queries, : mask.shape[-1]]
        return args, kwargs

    for module in model.modules():
        if isinstance(getattr(module, "layer_idx", None), int) and getattr(module, "is_causal", False):
            hooks.append(module.register_forward_pre_hook(add, with_kwargs=True))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for config, name in former.values():
            config._attn_implementation_internal = name


def reference_logits(model, call, bias):
    with eager(model, bias), torch.no_grad():
        out = model(**call, output_attentions=True)
    return out.logits[0], torch.stack(out.attentions, 1)[0].numpy()


@pytest.mark.parametrize("family", FAMILIES)
def test_gains_are_log_biases_of_eager_attention_in_prefill_and_decoding(tiny, reference, family):
    case = tiny(family)
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    plain = case.model.generate(**case.inputs, **how)
    with watch(case.model, rows="all") as probe:
        probe.start(SPANS, steer=RULES)
        seen = case.model.generate(**case.inputs, **how)
        got = probe.result()
    call = reference.whole(case.inputs, seen.sequences)
    keys = call["input_ids"].shape[1]
    bias = log(5) * member(SPANS["goal"], keys) + log(0.2) * member(SPANS["rest"], keys)
    bias = bias + log(2) * member([(1, 2), (17, 19)], keys)
    logits, maps = reference_logits(case.model, call, lambda _: bias[None, None].expand(1, keys, keys))
    np.testing.assert_allclose(torch.cat(seen.logits).numpy(), logits[39:].numpy(), atol=2e-5)
    np.testing.assert_allclose(got.mass, reference.masses(maps, SPANS, 40)[39:], atol=1e-5)
    np.testing.assert_allclose(got.prompt_mass, reference.masses(maps, SPANS, 40)[:40], atol=1e-5)
    moved = max(float((a - b).abs().max()) for a, b in zip(seen.logits[:1], plain.logits[:1], strict=True))
    assert moved > 1e-2  # the rules do something


@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3_vl"])
def test_rules_for_some_heads_of_some_layers_on_output_rows_alone(tiny, reference, family):
    case = tiny(family)
    heads = frozenset({(0, 1), (1, 0), (1, 3)})
    rule = Actuator("goal", gain=8.0, heads=heads, rows="output")
    with watch(case.model, rows="all") as probe, torch.no_grad():
        probe.start(SPANS, steer=[rule])
        sequences = case.model.generate(**case.inputs, **case.generate)
        probe.result()
        call = reference.whole(case.inputs, sequences)
        probe.start(SPANS, steer=[rule])
        forced = case.model(**call).logits[0]
        got = probe.result()
    keys = call["input_ids"].shape[1]

    def bias(layer):
        out = torch.zeros(4, keys, keys)
        for index, head in heads:
            if index == layer:
                out[head, 39:] = log(8) * member(SPANS["goal"], keys)
        return out

    logits, maps = reference_logits(case.model, call, bias)
    np.testing.assert_allclose(forced.numpy(), logits.numpy(), atol=2e-5)
    np.testing.assert_allclose(got.mass, reference.masses(maps, SPANS, 40)[39:], atol=1e-5)


@pytest.mark.parametrize("family", ["llama", "gemma2", "mistral"])
def test_a_target_is_reached_where_the_span_can_be_seen(tiny, family):
    case = tiny(family)
    with watch(case.model, rows="all") as probe:
        probe.start(SPANS)
        case.model.generate(**case.inputs, **case.generate)
        plain = probe.result()
        probe.start(SPANS, steer=[Actuator("rest", target=0.35)])
        case.model.generate(**case.inputs, **case.generate)
        got = probe.result()
    rows = np.concatenate([got.prompt_mass[33:], got.mass[1:]])
    before = np.concatenate([plain.prompt_mass[33:], plain.mass[1:]])
    place = got.labels.index("rest")
    some = (before[..., place] > 1e-3) & (before[..., place] < 0.999)
    some &= (rows[..., place] > 0) & (rows.sum(-1) > rows[..., place] + 1e-3)
    assert some.sum() > 20
    np.testing.assert_allclose(rows[..., place][some], 0.35, atol=1e-4)
    assert not got.prompt_mass[:26, ..., place].any()  # rows before the span don't see it


def test_a_target_is_the_gain_of_its_log_odds_and_leaves_the_rest_in_proportion(tiny):
    """One layer: what is steered there does not depend on what was steered before."""
    case = tiny("llama")
    readout = Readout(keys=frozenset(SPANS.labels))
    with watch(case.model, layers=[0], readout=readout) as probe, torch.no_grad():
        probe.start(SPANS)
        case.model(**case.inputs)
        plain = probe.result()
        probe.start(SPANS, steer=[Actuator("goal", target=0.3, heads={(0, 2)}, rows="output")])
        case.model(**case.inputs)
        got = probe.result()
    goal = got.labels.index("goal")
    m = plain.mass[0, 0, 2, goal]
    gain = 0.3 / 0.7 * (1 - m) / m
    norm = 1 + (gain - 1) * m
    np.testing.assert_allclose(got.mass[0, 0, 2, goal], 0.3, atol=1e-5)
    np.testing.assert_allclose(got.keys["goal"][0, 0, 2], plain.keys["goal"][0, 0, 2] * gain / norm, atol=1e-5)
    np.testing.assert_allclose(got.keys["rest"][0, 0, 2], plain.keys["rest"][0, 0, 2] / norm, atol=1e-5)
    np.testing.assert_allclose(got.mass[0, 0, [0, 1, 3]], plain.mass[0, 0, [0, 1, 3]], atol=1e-6)


def test_raise_only_leaves_what_has_enough(tiny):
    case = tiny("llama")
    with watch(case.model, layers=[0]) as probe, torch.no_grad():
        probe.start(SPANS)
        case.model(**case.inputs)
        plain = probe.result().of("goal")[0, 0]
        target = float(np.median(plain))
        probe.start(SPANS, steer=[Actuator("goal", target=target, raise_only=True)])
        case.model(**case.inputs)
        got = probe.result().of("goal")[0, 0]
    np.testing.assert_allclose(got, np.maximum(plain, target), atol=1e-5)


def test_emphasis_equals_scaling_everything_else_down(tiny):
    """PASTA's 0.01 on the others is a gain of 100: a softmax knows ratios only."""
    case = tiny("llama")
    others = ((0, 3), (9, 40))
    logits = []
    with watch(case.model) as probe, torch.no_grad():
        for rule in (Actuator("goal", gain=100.0), Actuator(others, gain=0.01)):
            probe.start(SPANS, steer=[rule])
            logits.append(case.model(**case.inputs).logits)
            probe.result()
    torch.testing.assert_close(logits[0], logits[1], atol=2e-5, rtol=1e-5)


def test_a_label_covers_its_parts_as_it_does_for_sensors(tiny):
    """A conversation has one span for each tool, perhaps in the other order than the prompt shows the results."""
    case = tiny("llama")
    parts = Spans({"goal": [(3, 9)], "tool.b": [(20, 25)], "tool.a": [(9, 12), (26, 30)], "tools": [(0, 3)]}, length=40)
    logits = []
    with watch(case.model) as probe, torch.no_grad():
        for rule in (Actuator("tool", gain=7.0), Actuator(((9, 12), (20, 25), (26, 30)), gain=7.0)):
            probe.start(parts, steer=[rule])
            logits.append(case.model(**case.inputs).logits)
            probe.result()
        with pytest.raises(ConfigError, match="no span 'to' in this prompt"):
            probe.start(parts, steer=[Actuator("to", gain=7.0)])
        outside = [Actuator("tool", gain=2.0, reach="outside"), Actuator("goal", gain=2.0, after="tool")]
        probe.start(parts, steer=outside)
        case.model(**case.inputs)
        probe.result()
    assert torch.equal(*logits)
    with watch(case.model) as probe, torch.no_grad():
        probe.start(parts)
        assert not torch.equal(case.model(**case.inputs).logits, logits[0])
        probe.result()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_steers_by_the_whole_logarithm(tiny, dtype):
    """The gain is carried in three parts, so the bias is as exact as in float32."""
    from homeostat.sensors.steering.binding import Steering

    bound = Steering([Actuator("goal", gain=37.3)], [SPANS], [0]).bind(
        0, torch.zeros(1, 4, 40, 16, dtype=dtype), torch.zeros(1, 2, 40, 16, dtype=dtype), 40
    )
    query, key, value = bound.widen(*(torch.zeros(1, n, 40, 16, dtype=dtype) for n in (4, 2, 2)), 0.25)
    assert query.shape[-1] == key.shape[-1] == value.shape[-1] == 24
    scores = query[:, :2].float() @ key.float().mT * 0.25
    np.testing.assert_allclose(scores[0, 0, :, 3:9], log(37.3), rtol=1e-5)
    assert not scores[0, 0, :, 9:].any()


def test_a_batch_with_left_padding_is_steered_at_its_own_slots(tiny):
    case = tiny("llama")
    pad = 5
    ids = torch.nn.functional.pad(case.inputs["input_ids"], (pad, 0))
    mask = torch.nn.functional.pad(case.inputs["attention_mask"], (pad, 0))
    other = torch.randint(3, 99, (1, 45), generator=torch.Generator().manual_seed(3))
    inputs = {"input_ids": torch.cat([ids, other]), "attention_mask": torch.cat([mask, torch.ones_like(other)])}
    long = Spans({"goal": [(10, 14)], "rest": [(20, 30)]}, length=45)
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    rules = [Actuator("goal", gain=6.0), Actuator("rest", gain=0.5)]
    with watch(case.model) as probe:
        probe.start([SPANS.shift(pad), long], steer=rules)
        both = torch.stack(case.model.generate(**inputs, **how).logits)
        probe.results()
        probe.start(SPANS, steer=rules)
        alone = torch.stack(case.model.generate(**case.inputs, **how).logits)
        probe.result()
        probe.start(long, steer=rules)
        second = torch.stack(case.model.generate(other, attention_mask=torch.ones_like(other), **how).logits)
        probe.result()
    torch.testing.assert_close(both[:, :1], alone, atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(both[:, 1:], second, atol=2e-5, rtol=1e-4)


def test_steering_ends_with_its_run_and_every_kth_token_is_steered_as_all_are(tiny):
    case = tiny("llama")
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    plain = torch.stack(case.model.generate(**case.inputs, **how).logits)
    found = []
    for every in (1, 3):
        with watch(case.model, every=every) as probe:
            probe.start(SPANS, steer=RULES)
            found.append(torch.stack(case.model.generate(**case.inputs, **how).logits))
            probe.result()
            after = torch.stack(case.model.generate(**case.inputs, **how).logits)
        torch.testing.assert_close(after, plain, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: Actuator("goal"), "none of them: a rule has exactly one of"),
        (lambda: Actuator("goal", gain=2.0, target=0.5), r"gain=2.0, target=0.5"),
        (lambda: Actuator("goal", gain=0.0), "gain=0.0 has no logarithm"),
        (lambda: Actuator("goal", target=1.0), "target=1.0 is not a mass"),
        (lambda: Actuator("goal", gain=2.0, rows="some"), "rows='some'"),
        (lambda: Actuator("goal", gain=2.0, heads=()), r"heads=\(\) steers nothing"),
        (lambda: Actuator("", gain=2.0), "span='' steers nothing"),
    ],
)
def test_rules_that_cannot_be_are_named(make, says):
    with pytest.raises(ConfigError, match=says):
        make()


@pytest.mark.parametrize(
    ("rule", "spans", "says"),
    [
        (Actuator("memo", gain=2.0), SPANS, "no span 'memo' in this prompt; spans: system, goal"),
        (Actuator("goal", gain=2.0, heads={(7, 0)}), SPANS, r"head \(7, 0\) is not probed"),
        (Actuator("goal", gain=2.0, rows="output"), Spans({"goal": [(3, 9)]}), "pass Spans its length"),
    ],
)
def test_rules_must_fit_the_prompt_and_the_model(tiny, rule, spans, says):
    with watch(tiny("llama").model) as probe, pytest.raises(ConfigError, match=says):
        probe.start(spans, steer=[rule])


def test_a_head_that_the_layer_lacks_is_named(tiny):
    case = tiny("llama")
    with watch(case.model) as probe, torch.no_grad():
        probe.start(SPANS, steer=[Actuator("goal", gain=2.0, heads={(1, 9)})])
        with pytest.raises(ConfigError, match=r"head \(1, 9\) does not exist: layer 1 has 4 heads"):
            case.model(**case.inputs)
