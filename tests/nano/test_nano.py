"""The shipped executor: its folder, its processor, the probe on its real weights, and the tasks that it solves."""

import json

import numpy as np
import pytest
import torch

from homeostat import actions as a
from homeostat.agent import Agent, TransformersModel, nano_path
from homeostat.agent.prompts import act_prompt
from homeostat.envs.harness import load_suite
from homeostat.envs.mobile_use import parse_action
from homeostat.envs.phone import PhoneEnv
from homeostat.sensors import Spans, watch


@pytest.fixture(scope="module")
def nano():
    return TransformersModel.load("homeostat/nano")


def test_the_folder_is_stock_small_and_bf16():
    from safetensors import safe_open
    from transformers import AutoModelForImageTextToText, AutoProcessor

    folder = nano_path()
    assert sum(f.stat().st_size for f in folder.iterdir()) <= 20 * 2**20
    with safe_open(folder / "model.safetensors", "pt") as file:
        assert {file.get_slice(k).get_dtype() for k in file.keys()} == {"BF16"}  # noqa: SIM118 - no mapping
    model = AutoModelForImageTextToText.from_pretrained(folder)
    assert 3e6 <= sum(p.numel() for p in model.parameters()) <= 10e6
    assert type(model).__module__.startswith("transformers.")
    assert type(AutoProcessor.from_pretrained(folder)).__module__.startswith("transformers.")
    assert "auto_map" not in json.loads((folder / "config.json").read_text())


def test_probe_masses_equal_eager_attention_on_its_weights(nano):
    env = PhoneEnv(split="dev")
    task = env.reset_task("notes_add", seed=1)
    prompt = act_prompt(
        nano.style, goal=task.goal, rules=("never delete anything",), history=("open notes",), observation=env.observe()
    )
    rendered = nano.renderer.render(prompt)
    inputs, length = dict(rendered.inputs), len(rendered.ids)
    model = nano.model.float()
    spans = {label: list(ranges) for label, ranges in rendered.spans.items()}
    assert {"system", "rules", "screen", "goal", "history"} <= set(spans)
    with torch.no_grad(), watch(model, sinks=False) as probe:
        probe.start(Spans(spans, length=length))
        model(**inputs, logits_to_keep=1)
        read = probe.result()
    model.set_attn_implementation({"text_config": "eager", "vision_config": "sdpa"})
    with torch.no_grad():
        maps = model(**inputs, output_attentions=True).attentions
    model.set_attn_implementation("sdpa")
    for label, ranges in spans.items():
        expected = np.stack([sum(m[0, :, -1, i:j].sum(-1) for i, j in ranges).numpy() for m in maps])
        np.testing.assert_allclose(read.of(label)[0], expected, atol=1e-5)


def test_it_reads_pixels_and_writes_tool_calls(nano):
    env = PhoneEnv(split="dev", adverts=0)
    task = env.reset_task("settings_bright", seed=2)
    prompt = act_prompt(nano.style, goal=task.goal, rules=(), history=(), observation=env.observe())
    assert not any(p.label == "elements" for m in prompt.messages for p in m.parts)
    (attempt,) = nano.generate(prompt)
    grid = nano.style.grid(env.observe())
    assert parse_action(attempt.text, grid) == a.Open(app="settings")


def test_it_solves_nearly_all_dev_tasks(nano):
    """Guards against broken weights or a broken loop. The measured figure is in docs/evidence.md."""
    cases = load_suite("atomic-whole", split="dev", episodes=15, seed=5).cases()
    env, agent = PhoneEnv(split="dev", apps="all"), Agent(nano)
    solved = [bool(agent.run(env.reset_task(c.task, seed=c.seed), env).success) for c in cases]
    assert sum(solved) >= 12


def test_a_labelled_chat_is_rendered_watched_and_read(nano):
    from homeostat.agent.models.loading import load_weights, resolve
    from homeostat.errors import ConfigError

    model, processor = load_weights(resolve("homeostat/nano"), None, None)
    screen = np.random.default_rng(0).integers(0, 255, (256, 144, 3), dtype=np.uint8)
    content = [
        {"type": "image", "image": screen, "label": "screen"},
        {"type": "text", "text": "goal: open notes", "label": "goal"},
    ]
    with watch(model, processor) as probe:
        inputs = probe.prepare([{"role": "user", "content": content}])
        out = model.generate(**inputs, max_new_tokens=4, do_sample=False)
        mass = probe.result()
    length = inputs["input_ids"].shape[1]
    assert len(mass.mass) == out.shape[1] - length
    assert mass.prompt == length
    assert set(mass.labels) == {"screen", "goal", "output"}
    assert mass.lengths[mass.labels.index("screen")] == 144
    with watch(model) as probe, pytest.raises(ConfigError, match="processor=None renders nothing"):
        probe.prepare([{"role": "user", "content": "x"}])
