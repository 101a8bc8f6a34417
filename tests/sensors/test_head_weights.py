"""A weight for each head, against eager attention with log weights in its mask, and against scaled head outputs."""

from math import log

import numpy as np
import pytest
import torch

from homeostat.errors import ConfigError
from homeostat.sensors import HeadWeights, Spans, watch

SPANS = Spans({"system": [(0, 3)], "goal": [(3, 9)], "rest": [(20, 25), (26, 33)]}, length=40)
WEIGHTS = HeadWeights({(0, 0): 0.25, (0, 1): 3.0, (0, 3): 1.7, (1, 1): 0.6, (1, 2): 3.0, (1, 3): 1.0})


def eager(model, call, bias):
    """The logits (K, V) and maps (L, H, K, K) of eager attention with ``bias(layer)`` (H, K, K) in its masks."""
    former = {id(m.config): (m.config, m.config._attn_implementation) for m in model.modules() if hasattr(m, "config")}
    model.set_attn_implementation("eager")

    def add(module, args, kwargs):
        mask = kwargs["attention_mask"]
        kwargs["attention_mask"] = mask + bias(module.layer_idx)[None].to(mask)
        return args, kwargs

    found = [m for m in model.modules() if isinstance(getattr(m, "layer_idx", None), int) and hasattr(m, "is_causal")]
    hooks = [module.register_forward_pre_hook(add, with_kwargs=True) for module in found]
    try:
        with torch.no_grad():
            out = model(**call, output_attentions=True)
    finally:
        for hook in hooks:
            hook.remove()
        for config, name in former.values():
            config._attn_implementation_internal = name
    return out.logits[0].numpy(), torch.cat(out.attentions).numpy()


@pytest.mark.parametrize("family", ["llama", "gemma2", "qwen3"])
@pytest.mark.parametrize("rows", ["all", "output"])
def test_each_head_is_steered_by_its_own_weight(tiny, reference, family, rows):
    case = tiny(family)
    how = case.generate | {"output_logits": True, "return_dict_in_generate": True}
    plain = case.model.generate(**case.inputs, **how)
    with watch(case.model, rows="all") as probe:
        probe.start(SPANS, steer=WEIGHTS.actuators("rest", rows))
        seen = case.model.generate(**case.inputs, **how)
        got = probe.result()
    call = reference.whole(case.inputs, seen.sequences)
    keys = call["input_ids"].shape[1]

    def bias(layer):
        out = torch.zeros(4, keys, keys)
        for (index, head), weight in WEIGHTS.weights.items():
            for start, stop in SPANS["rest"] if index == layer else ():
                out[head, 39 if rows == "output" else 0 :, start:stop] = log(weight)
        return out

    logits, maps = eager(case.model, call, bias)
    np.testing.assert_allclose(torch.cat(seen.logits).numpy(), logits[39:], atol=2e-5)
    np.testing.assert_allclose(got.mass, reference.masses(maps, SPANS, 40)[39:], atol=1e-5)
    np.testing.assert_allclose(got.prompt_mass, reference.masses(maps, SPANS, 40)[:40], atol=1e-5)
    assert float((seen.logits[0] - plain.logits[0]).abs().max()) > 1e-3  # the weights do something


def test_a_mass_follows_the_formula_and_a_weight_of_zero_leaves_none(tiny):
    """One layer: what is steered there does not depend on what was steered before."""
    case = tiny("llama")
    weights = HeadWeights({(0, 0): 0.0, (0, 1): 5.0, (0, 2): 0.2})
    with watch(case.model, layers=[0]) as probe, torch.no_grad():
        probe.start(SPANS)
        case.model(**case.inputs)
        m = probe.result().of("goal")[0, 0]
        probe.start(SPANS, steer=weights.actuators("goal"))
        case.model(**case.inputs)
        got = probe.result().of("goal")[0, 0]
    w = np.array([0.0, 5.0, 0.2, 1.0])
    np.testing.assert_allclose(got, w * m / (1 + (w - 1) * m), atol=1e-5)


def test_without_a_span_the_outputs_are_weighted_as_in_moh(tiny):
    case = tiny("llama")
    size = case.model.config.head_dim
    with watch(case.model) as probe, torch.no_grad():
        probe.start(SPANS, steer=WEIGHTS.actuators(None))
        got = case.model(**case.inputs).logits
        probe.result()
    hooks = []
    for layer, block in enumerate(case.model.model.layers):
        scale = torch.ones(4)
        for (index, head), weight in WEIGHTS.weights.items():
            if index == layer:
                scale[head] = weight
        factors = scale.repeat_interleave(size)
        hooks.append(block.self_attn.o_proj.register_forward_pre_hook(lambda m, args, by=factors: (args[0] * by,)))
    try:
        with torch.no_grad():
            wanted = case.model(**case.inputs).logits
    finally:
        for hook in hooks:
            hook.remove()
    torch.testing.assert_close(got, wanted, atol=2e-5, rtol=1e-5)


def test_weights_come_from_the_effects_of_each_head_alone():
    effects = {(0, 0): 0.2, (0, 1): -0.1, (1, 0): 0.01, (1, 1): 0.0}
    weights = HeadWeights.from_effects(effects, dict.fromkeys(effects, 0.05), most=4.0)
    assert weights.weights == pytest.approx({(0, 0): 4.0, (0, 1): 0.5, (1, 0): 1.0, (1, 1): 1.0})
    assert HeadWeights.from_effects(effects).weights[1, 0] == pytest.approx(3 ** (1 / 20))
    assert set(HeadWeights.from_effects({(0, 0): 0.0}).weights.values()) == {1.0}
    assert HeadWeights.from_rows(weights.rows()) == weights
    assert [r.gain for r in weights.actuators("goal")] == pytest.approx([0.5, 4.0])  # a weight of 1 needs no rule


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: HeadWeights({}), "steer nothing"),
        (lambda: HeadWeights({(0, 1): -0.5}), r"weight -0.5 of head \(0, 1\)"),
        (lambda: HeadWeights({(0, 1): float("nan")}), "weight nan"),
        (lambda: HeadWeights({(0, -1): 1.0}), r"head \(0, -1\) does not exist"),
        (lambda: HeadWeights.from_rows([(0, 1, 2.0), (0, 1, 3.0)]), r"head \(0, 1\) has two weights"),
        (lambda: HeadWeights.from_effects({(0, 0): 1.0}, most=1.0), "most=1.0 is not above 1"),
        (lambda: HeadWeights.from_effects({}), "steer nothing"),
    ],
)
def test_weights_that_cannot_be_are_named(make, says):
    with pytest.raises(ConfigError, match=says):
        make()
