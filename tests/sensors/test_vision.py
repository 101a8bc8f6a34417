"""VisionHeads and VisualSinks: on arrays by hand, and on the embedded model against plain calls."""

import numpy as np
import pytest
import torch

from homeostat.agent import TransformersModel
from homeostat.agent.prompts import act_prompt
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError
from homeostat.sensors import Message, Part, Prompt, Readout, SensorContext, VisionHeads, VisualSinks, check_sensor
from homeostat.sensors.vision_heads import head_divergence, vision_heads, without
from homeostat.sensors.visual_sinks import image_centric, sink_dimensions, sink_values


@pytest.fixture(scope="module")
def nano():
    return TransformersModel.load("homeostat/nano")


@pytest.fixture(scope="module")
def prompt(nano):
    env = PhoneEnv(split="dev")
    task = env.reset_task("notes_add", seed=3)
    return act_prompt(nano.style, goal=task.goal, rules=("never pay",), history=(), observation=env.observe())


def outputs_by_hook(nano, prompt, tokens):
    """(T, L, H, D) what enters every output projection, at the rows that give the tokens."""
    seen = []
    layers = nano.model.model.language_model.layers
    hooks = [
        layer.self_attn.o_proj.register_forward_pre_hook(lambda _, args: seen.append(args[0][0].float()))
        for layer in layers
    ]
    inputs = dict(nano.renderer.render(prompt).inputs)
    inputs["input_ids"] = torch.cat([inputs["input_ids"], torch.tensor([tokens[:-1]])], 1)
    inputs.pop("attention_mask")
    if "pixel_values" in inputs:
        inputs["pixel_values"] = inputs["pixel_values"].to(nano.model.dtype)
    try:
        with torch.no_grad():
            nano.model(**inputs)
    finally:
        for hook in hooks:
            hook.remove()
    heads = nano.model.config.text_config.num_attention_heads
    states = torch.stack(seen)[:, -len(tokens) :]
    return states.view(*states.shape[:2], heads, -1).transpose(0, 1).numpy()


@pytest.mark.parametrize("span", ["screen", "goal", "rules"])
def test_divergence_is_that_of_the_heads_outputs_with_and_without(nano, prompt, span):
    (attempt,) = nano.generate(prompt, watch=VisionHeads.reads)
    tokens = list(attempt.tokens)
    one, other = (outputs_by_hook(nano, p, tokens) for p in (prompt, without(prompt, span)))
    expected = np.sqrt(((one - other) ** 2).sum(-1)).mean(0)
    forced = nano.read(without(prompt, span), tokens, VisionHeads.reads)
    np.testing.assert_allclose(head_divergence(attempt.spans, forced), expected, rtol=2e-3, atol=2e-4)
    reading = VisionHeads(span).read(attempt, SensorContext(goal="g", model=nano, prompt=prompt))
    assert reading.judged
    assert reading.detail["vhd"] == pytest.approx(expected.mean(), rel=2e-3)
    relative = (expected / np.sqrt((one**2).sum(-1)).mean(0)).mean()
    assert reading.value == pytest.approx(relative, rel=5e-3)


def test_a_span_that_is_not_there_is_not_judged(nano, prompt):
    (attempt,) = nano.generate(prompt, watch=VisionHeads.reads)
    context = SensorContext(goal="g", model=nano, prompt=prompt)
    assert "no span 'memo'" in VisionHeads("memo").read(attempt, context).reason
    assert not VisionHeads().read(attempt, SensorContext(goal="g", prompt=prompt)).judged
    (blind,) = nano.generate(prompt)
    assert "Readout(" in VisionHeads().read(blind, context).reason


def test_vision_heads_lie_above_the_median_and_are_no_outliers():
    divergence = np.array([[1.0, 2.0, 3.0, 50.0], [4.0, 4.1, 5.0, 5.0]])
    assert vision_heads(divergence, (3, 7)) == ((3, 2), (7, 2), (7, 3))
    kept = without(Prompt((Message("user", (Part("a", "x"),)), Message("user", (Part("b", "y"), Part("a", "z"))))), "a")
    assert kept == Prompt((Message("user", (Part("b", "y"),)),))


def test_phi_and_the_dimensions_it_looks_at():
    hidden = np.ones((6, 4, 8))
    hidden[2:4, 0, [1, 6]] = 90, -60  # the first token, in the middle layers
    hidden[0, 0, 3] = 500  # early: doesn't count
    hidden[:, 2, 6] = -70
    assert sink_dimensions(hidden) == (1, 6)
    values = sink_values(hidden, (1, 6))
    assert values[5, 2] == pytest.approx(70 / np.sqrt((70**2 + 7) / 8))
    assert values[5, 1] == pytest.approx(1.0)
    keys = np.array([[[[0.3, 0.1, 0.1]], [[0.1, 0.05, 0.01]], [[0.1, 0.4, 0.1]]]])  # one token, three layers, a head
    sinks = np.array([[True, False, False], [False] * 3, [True, False, False]])
    assert image_centric(keys, sinks)[0, :, 0].tolist() == [False, False, True]
    with pytest.raises(ConfigError, match="count=9 of 8 dimensions"):
        sink_dimensions(hidden, 9)


def test_the_share_on_visual_sinks_of_a_real_screen(nano, prompt):
    sensor = VisualSinks(tau=1.5, dimensions=(5, 70))
    (attempt,) = nano.generate(prompt, watch=sensor.reads)
    reading = sensor.read(attempt, SensorContext(goal="g", model=nano, prompt=prompt))
    hidden, keys = nano.hidden(prompt), attempt.spans.keys["screen"]
    slots = [s for a, b in nano.renderer.render(prompt).as_spans()["screen"] for s in range(a, b)]
    assert len(slots) == keys.shape[-1] == 144
    wasted = total = 0.0
    for layer in range(keys.shape[1]):
        for n, slot in enumerate(slots):
            x = hidden[layer, slot]
            weight = keys[:, layer, :, n].sum()
            total += weight
            wasted += weight * (max(abs(x[5]), abs(x[70])) / np.sqrt((x**2).mean()) > 1.5)
    assert 0 < wasted < total
    assert reading.value == pytest.approx(wasted / total, rel=1e-3)
    own = VisualSinks().read(attempt, SensorContext(goal="g", model=nano, prompt=prompt))
    assert own.judged
    assert not sensor.read(attempt, SensorContext(goal="g", prompt=prompt)).judged


class Fake:
    """Reads and hidden states of the right shapes for generated attempts, the same for the same prompt."""

    def read(self, prompt, tokens, readout):
        from homeostat.sensors.check import sample_attempts

        every = sample_attempts(frozenset({"attention"})).values()
        return next((a.spans for a in every if a.tokens == tuple(tokens)), None) or next(iter(every)).spans

    def hidden(self, prompt):
        return np.random.default_rng(0).normal(size=(3, 60, 16)).astype(np.float32)


@pytest.mark.parametrize("sensor", [VisionHeads(), VisionHeads("goal"), VisualSinks()], ids=lambda s: s.name)
def test_the_contract_is_kept(sensor):
    check_sensor(sensor, model=Fake())


def test_bad_settings_are_named():
    assert VisualSinks("frame-1").reads == Readout(keys=frozenset({"frame-1"}))
    for make, says in (
        (lambda: VisionHeads(threshold=-1), "threshold=-1"),
        (lambda: VisualSinks(tau=0), "tau=0"),
        (lambda: VisualSinks(threshold=2), "threshold=2"),
    ):
        with pytest.raises(ConfigError, match=says):
            make()
