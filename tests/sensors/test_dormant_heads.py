"""Dormant heads, against eager attention of models whose heads were put to sleep by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from homeostat.errors import ConfigError
from homeostat.sensors import Attempt, DormantHeads, SensorContext, SpanMass, Spans, check_sensor, watch
from homeostat.sensors.dormant_heads import dormant, relative_outputs, value_drain

CONTEXT = SensorContext(goal="g")
SPANS = Spans({"goal": [(3, 9)], "screen": [(9, 16)]}, length=40)


def attempt(spans):
    return Attempt("words", tokens=tuple(range(len(spans.mass))), spans=spans)


def test_heads_that_were_put_to_sleep_are_found(tiny, reference):
    """Two heads of every layer are given queries that all point at the first token, and a value of zero there."""
    case = tiny("gpt2")
    model = case.model
    with torch.no_grad():
        model.transformer.wpe.weight[0] = 0
        model.transformer.wpe.weight[0, 0] = 60.0
        for block in model.transformer.h:
            block.ln_1.weight.fill_(1)
            block.attn.c_attn.weight[:, :128] *= 0.05
            for head in (0, 2, 3):
                block.attn.c_attn.bias[head * 16] = 30.0  # every query
                block.attn.c_attn.weight[0, 64 + head * 16] = 3.0  # the key of what has the first dimension
            block.attn.c_attn.weight[0, 128:] = 0  # the first token's value
    outputs = []
    hooks = [b.attn.c_proj.register_forward_pre_hook(lambda m, a: outputs.append(a[0][0])) for b in model.transformer.h]
    try:
        with watch(model, readout=DormantHeads.reads) as probe:
            probe.start(SPANS)
            sequences = model.generate(**case.inputs, **case.generate)
            got = probe.result()
        outputs.clear()
        attention = reference.maps(model, **reference.whole(case.inputs, sequences))[0]  # (L, H, Q, K)
    finally:
        for hook in hooks:
            hook.remove()
        tiny.forget("gpt2")
    reading = DormantHeads().read(attempt(got), CONTEXT)
    mass = attention[:, :, 39:, 0].mean(-1)
    asleep = mass >= 0.9
    assert asleep[:, [0, 2, 3]].all()
    assert not asleep[:, 1].any()
    assert reading.value == pytest.approx(asleep.mean())
    assert reading.detail["dormant"] == 9
    assert reading.detail["sink"] == pytest.approx(mass.mean(), abs=1e-4)
    norms = np.stack([o[39:].unflatten(-1, (4, 16)).norm(dim=-1).mean(0).detach().numpy() for o in outputs])
    relative = norms / norms.mean(-1, keepdims=True)
    np.testing.assert_allclose(relative_outputs(got.outputs), relative, rtol=1e-3)
    assert reading.detail["output"] == pytest.approx(relative[asleep].mean(), rel=1e-3)
    assert reading.by_layer == {0: 0.75, 1: 0.75, 2: 0.75}


def test_shares_thresholds_and_what_cannot_be_judged():
    sink = np.array([[[0.95, 0.2, 0.89]], [[0.9, 0.99, 0.9]]], np.float32)  # (2, 1, 3): means 0.925, 0.595, 0.895
    assert dormant(sink).tolist() == [[True, False, False]]
    assert dormant(sink, 0.5).tolist() == [[True, True, True]]
    spans = SpanMass(("output",), (7,), np.zeros((2, 1, 3, 1)), np.zeros((0, 1, 3, 1)), np.zeros(1, int),
                     np.arange(2), sink=sink)  # fmt: skip
    reading = DormantHeads(threshold=0.3).read(attempt(spans), CONTEXT)
    assert (reading.value, reading.alarm, reading.by_layer) == (pytest.approx(1 / 3), True, {7: pytest.approx(1 / 3)})
    assert "output" not in reading.detail
    assert not DormantHeads().read(attempt(spans), CONTEXT).alarm
    assert not DormantHeads().read(Attempt(""), CONTEXT).judged
    check_sensor(DormantHeads())
    with pytest.raises(ConfigError, match="mass=0"):
        DormantHeads(mass=0)


def test_value_drain_is_a_ratio_of_mean_norms():
    values = np.zeros((1, 2, 4, 3))
    values[0, 0, :, 0] = 1, 4, 6, 8
    values[0, 1, :, 1] = 2, -2, 2, 2
    np.testing.assert_allclose(value_drain(values, np.array([0])), [[1 / 6, 1.0]])
    with pytest.raises(ConfigError, match="0 of 4 tokens are sinks"):
        value_drain(values, np.array([], int))
