"""``TransformersModel``: cache reuse changes nothing, token statistics, the probe, sampling, deadlines, loading."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import homeostat.nano
from homeostat.agent import VERBOSE, Model, TransformersModel, nano_path
from homeostat.agent.prompts import act_prompt
from homeostat.errors import ModelError, UnknownName
from homeostat.observation import Observation
from homeostat.sensors.chat.messages import Message, Part, Prompt

STYLE = VERBOSE.model_copy(update={"system": "You operate a phone."})


def prompt(history: list[str], reminder: str = "", seed: int = 0, goal: str = "open the settings") -> Prompt:
    image = np.random.default_rng(seed).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    seen = Observation(image, (), "home")
    return act_prompt(STYLE, goal=goal, rules=["never"], history=history, observation=seen, reminder=reminder)


EPISODE = [
    prompt([]),
    prompt([]),
    prompt([], "the settings"),
    prompt(["a"], seed=1),
    prompt(["a", "b"], seed=2),
    prompt(["a", "b"], seed=3),
    prompt(["a", "b"], "x", seed=3),
    prompt([], goal="close it", seed=3),
]


def same(one: Any, other: Any) -> None:
    assert one.tokens == other.tokens
    for name in ("logprobs", "entropy", "margin"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=2e-5)


def test_reuse_changes_nothing_and_saves_prefill(llava: Any) -> None:
    reusing, fresh = TransformersModel(*llava, style=STYLE), TransformersModel(*llava, style=STYLE, reuse=False)
    cached = []
    for p in EPISODE:
        one = reusing.generate(p, max_new_tokens=8, watch=False)[0]
        same(one, fresh.generate(p, max_new_tokens=8, watch=False)[0])
        cached.append((one.cached_tokens, one.prompt_tokens))
    shapes = [reusing.renderer.render(p) for p in EPISODE]
    screens = [r.spans["screen"][0] for r in shapes]
    assert cached[0][0] == 0
    assert cached[1][0] == cached[1][1] - 1
    assert screens[2][1] <= cached[2][0] < cached[2][1]
    assert cached[3][0] <= shapes[3].spans["history"][0][1]
    assert cached[5][0] == screens[5][0]  # same words, another screenshot: cut in front of it
    assert cached[6][0] >= screens[6][1]  # the same screenshot is not looked at again


def test_the_cut_never_falls_inside_an_image(llava: Any, tools: Any) -> None:
    images = [np.full((32, 32, 3), v, np.uint8) for v in (10, 200)]

    def two(first: Any, second: Any) -> Prompt:
        parts = (Part("screen", image=first), Part("goal", "then"), Part("user", image=second), Part("history", "go"))
        return Prompt((Message("user", parts),))

    reusing, fresh = TransformersModel(*llava), TransformersModel(*llava, reuse=False)
    for p in (two(*images), two(images[0], images[0]), two(images[1], images[0]), two(images[1], images[0])):
        one = reusing.generate(p, max_new_tokens=4, watch=False)[0]
        same(one, fresh.generate(p, max_new_tokens=4, watch=False)[0])
        runs = reusing.renderer.render(p).images
        assert not any(run.start < one.cached_tokens < run.stop for run in runs)


def text_model(tools: Any, kind: str) -> tuple[Any, Any]:
    import transformers

    tokenizer = tools.make_tokenizer()
    torch.manual_seed(0)
    sizes = {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "initializer_range": 0.3,
        "pad_token_id": 0,
        "bos_token_id": 4,
        "eos_token_id": 2,
    }
    if kind == "Mistral":
        sizes["sliding_window"] = 8
    config = getattr(transformers, f"{kind}Config")(**sizes)
    return getattr(transformers, f"{kind}ForCausalLM")(config).eval(), tokenizer


@pytest.mark.parametrize(("kind", "reuses"), [("Llama", True), ("Mistral", False)])
def test_a_sliding_window_falls_back_to_a_fresh_prefill(tools: Any, kind: str, reuses: bool) -> None:
    pair = text_model(tools, kind)
    reusing, fresh = TransformersModel(*pair), TransformersModel(*pair, reuse=False)
    for goal in ("open the settings now", "open the settings later", "open"):
        p = Prompt(
            (Message("system", (Part("system", "rules and more rules"),)), Message("user", (Part("goal", goal),)))
        )
        one = reusing.generate(p, max_new_tokens=12, watch=False)[0]
        same(one, fresh.generate(p, max_new_tokens=12, watch=False)[0])
    assert (one.cached_tokens > 0) == reuses


def test_token_statistics_are_the_softmax_of_the_logits(llava: Any) -> None:
    model = TransformersModel(*llava, style=STYLE)
    attempt = model.generate(EPISODE[0], max_new_tokens=6, watch=False)[0]
    inputs = dict(model.renderer.render(EPISODE[0]).inputs)
    count = inputs["input_ids"].shape[1]
    ids = torch.cat([inputs["input_ids"], torch.tensor([attempt.tokens])], dim=1)
    with torch.no_grad():
        logits = llava[0](
            input_ids=ids, attention_mask=torch.ones_like(ids), pixel_values=inputs["pixel_values"]
        ).logits
    p = torch.softmax(logits[0, count - 1 : -1].double(), -1)
    rows = torch.arange(len(attempt.tokens))
    np.testing.assert_allclose(attempt.logprobs, p[rows, list(attempt.tokens)].log(), atol=2e-5)
    np.testing.assert_allclose(attempt.entropy, torch.special.entr(p).sum(-1), atol=2e-5)
    best = p.topk(2).values
    np.testing.assert_allclose(attempt.margin, best[:, 0] - best[:, 1], atol=2e-5)
    assert list(attempt.tokens) == p.argmax(-1).tolist()


def test_the_probe_reads_masses_and_changes_nothing(llava: Any) -> None:
    watched, plain = TransformersModel(*llava, style=STYLE), TransformersModel(*llava, style=STYLE)
    for p in EPISODE[:4]:
        one, other = watched.generate(p, max_new_tokens=5)[0], plain.generate(p, max_new_tokens=5, watch=False)[0]
        same(one, other)
        assert other.spans is None
        spans = one.spans
        assert spans.mass.shape == (5, 3, 4, len(spans.labels))
        rendered = watched.renderer.render(p)
        inputs = dict(rendered.inputs)
        ids = torch.cat([inputs["input_ids"], torch.tensor([one.tokens[:-1]])], dim=1)
        llava[0].set_attn_implementation("eager")
        try:
            with torch.no_grad():
                maps = llava[0](
                    input_ids=ids,
                    attention_mask=torch.ones_like(ids),
                    pixel_values=inputs["pixel_values"],
                    output_attentions=True,
                ).attentions
        finally:
            llava[0].set_attn_implementation("sdpa")
        weights = torch.stack(maps)[:, 0, :, len(rendered.ids) - 1 :]  # (L, H, T, K)
        for label, ranges in rendered.spans.items():
            expected = sum(weights[..., a:b].sum(-1) for a, b in ranges).permute(2, 0, 1)
            np.testing.assert_allclose(spans.of(label), expected, atol=1e-5)


LONG = "remember the settings, never anything else, and never delete what is there"


def same_masses(one: Any, other: Any) -> None:
    assert one.labels == other.labels
    for name in ("mass", "prompt_mass", "visible", "lengths", "sink", "sink_in_span"):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), atol=1e-5)


def test_readings_do_not_depend_on_what_was_cached(llava: Any) -> None:
    reusing, fresh = TransformersModel(*llava, style=STYLE), TransformersModel(*llava, style=STYLE, reuse=False)
    cached = []
    for p in [*EPISODE, prompt([], LONG), prompt([], LONG)]:
        one = reusing.generate(p, max_new_tokens=4)[0]
        same_masses(one.spans, fresh.generate(p, max_new_tokens=4)[0].spans)
        cached.append(one.cached_tokens)
    assert cached[1] > 0
    assert cached[-1] == one.prompt_tokens - 32


@pytest.mark.parametrize("watch", [False, True])
def test_samples_from_one_prefill_are_those_of_n_prefills(llava: Any, watch: bool) -> None:
    p, fresh = (prompt([], LONG), 32) if watch else (EPISODE[0], 1)
    settings = {"n": 3, "temperature": 1.0, "max_new_tokens": 6, "seed": 11, "watch": watch}
    one = TransformersModel(*llava, style=STYLE)
    calls: list[int] = []
    handle = llava[0].model.language_model.register_forward_pre_hook(
        lambda m, a, k: calls.append(k["inputs_embeds"].shape[0] * k["inputs_embeds"].shape[1]), with_kwargs=True
    )
    try:
        shared = one.generate(p, **settings)
    finally:
        handle.remove()
    assert calls[0] == shared[0].prompt_tokens - fresh  # all but the prompt's end ran once, for one row
    assert calls[1] == 3 * fresh
    apart = TransformersModel(*llava, style=STYLE, reuse=False).generate(p, **settings)
    for a, b in zip(shared, apart, strict=True):
        same(a, b)
        if watch:
            same_masses(a.spans, b.spans)
    assert len({a.tokens for a in shared}) == 3
    assert [a.tokens for a in one.generate(p, **settings)] == [a.tokens for a in shared]
    assert one.generate(p, **{**settings, "seed": 12})[0].tokens != shared[0].tokens


def test_rows_that_end_early_are_cut(llava: Any) -> None:
    model = TransformersModel(*llava, style=STYLE)
    free = model.generate(EPISODE[0], n=4, temperature=1.5, max_new_tokens=8, seed=1)
    model.stops = frozenset({free[0].tokens[2]})
    cut = model.generate(EPISODE[0], n=4, temperature=1.5, max_new_tokens=8, seed=1)
    assert cut[0].tokens == free[0].tokens[:3]
    assert cut[0].finish == "stop"
    for attempt in cut:
        assert len(attempt.tokens) == len(attempt.logprobs) == len(attempt.spans.mass) == len(attempt.spans.visible)


def test_greedy_answers_are_one_answer(llava: Any) -> None:
    first, second = TransformersModel(*llava, style=STYLE).generate(EPISODE[0], n=2, max_new_tokens=3, watch=False)
    assert first == second
    assert first.finish == "length"


def test_a_deadline_ends_the_call(llava: Any) -> None:
    model = TransformersModel(*llava, style=STYLE)
    attempt = model.generate(EPISODE[0], max_new_tokens=400, deadline=time.monotonic(), watch=False)[0]
    assert (attempt.text, attempt.tokens) == ("", ())
    assert attempt.finish == "length"
    after = model.generate(EPISODE[0], max_new_tokens=4, watch=False)[0]
    same(after, TransformersModel(*llava, style=STYLE).generate(EPISODE[0], max_new_tokens=4, watch=False)[0])


def test_an_error_leaves_no_torn_cache(llava: Any) -> None:
    model = TransformersModel(*llava, style=STYLE)
    model.generate(EPISODE[0], max_new_tokens=4, watch=False)

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("out of memory")

    handle = llava[0].model.language_model.layers[1].register_forward_pre_hook(fail)
    try:
        with pytest.raises(RuntimeError, match="out of memory"):
            model.generate(EPISODE[2], max_new_tokens=4, watch=False)
    finally:
        handle.remove()
    fresh = TransformersModel(*llava, style=STYLE, reuse=False)
    same(
        model.generate(EPISODE[2], max_new_tokens=4, watch=False)[0],
        fresh.generate(EPISODE[2], max_new_tokens=4, watch=False)[0],
    )


@pytest.mark.parametrize("bad", [{"n": 0}, {"max_new_tokens": 0}, {"temperature": -1.0}])
def test_settings_out_of_range_are_refused(llava: Any, bad: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="out of range"):
        TransformersModel(*llava).generate(EPISODE[0], **bad)


def test_a_folder_loads_by_the_auto_classes(llava: Any, tmp_path: Path) -> None:
    model, processor = llava
    model.save_pretrained(tmp_path)
    processor.save_pretrained(tmp_path)
    loaded = TransformersModel.load(tmp_path, device="cpu")
    assert isinstance(loaded, Model)
    assert loaded.style == VERBOSE
    assert type(loaded.model) is type(model)
    same(
        loaded.generate(EPISODE[0], max_new_tokens=4, watch=False)[0],
        TransformersModel(*llava).generate(EPISODE[0], max_new_tokens=4, watch=False)[0],
    )
    assert next(TransformersModel.load(tmp_path, "cpu", "bfloat16").model.parameters()).dtype == torch.bfloat16
    style = STYLE.model_copy(update={"coordinates": "thousandths"})
    (tmp_path / "homeostat.json").write_text(style.model_dump_json())
    assert TransformersModel.load(tmp_path, device="cpu").style == style
    (tmp_path / "homeostat.json").write_text(json.dumps({"system": "x", "planner_system": "y", "coordinates": "miles"}))
    with pytest.raises(ModelError, match=r"homeostat\.json' is no prompt style: coordinates"):
        TransformersModel.load(tmp_path, device="cpu")
    with pytest.raises(ModelError, match="unknown dtype 'float99'"):
        TransformersModel.load(tmp_path, dtype="float99")


def test_a_text_model_loads_too(tools: Any, tmp_path: Path) -> None:
    model, tokenizer = text_model(tools, "Llama")
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = TransformersModel.load(tmp_path, device="cpu")
    p = Prompt((Message("user", (Part("goal", "open the settings"),)),))
    attempt = loaded.generate(p, max_new_tokens=4)[0]
    assert attempt.spans.labels[0] == "goal"
    same(attempt, TransformersModel(model, tokenizer).generate(p, max_new_tokens=4)[0])


def test_what_can_not_be_loaded_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import HfApi

    def offline(*args: Any, **kwargs: Any) -> None:
        raise ConnectionError("no route")

    monkeypatch.setattr(HfApi, "model_info", offline)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text('{"model_type": "toaster"}')
    for name, why in {
        str(tmp_path / "nowhere"): "no model folder",
        "./nowhere": "no model folder",
        "nowhere": "no model folder",
        str(tmp_path / "empty"): "holds no config.json",
        str(tmp_path / "broken"): "can't load model",
        str(tmp_path / "odd"): "can't load model",
        "some-org/some-model": "can't be reached",
    }.items():
        with pytest.raises(ModelError, match=why) as caught:
            TransformersModel.load(name)
        assert repr(name) in str(caught.value)
        assert "\n" not in str(caught.value)
    with pytest.raises(UnknownName, match="did you mean 'homeostat/nano'"):
        TransformersModel.load("homeostat/nana")


def test_a_missing_nano_says_how_to_train_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(homeostat.nano, "_WEIGHTS", tmp_path)
    with pytest.raises(ModelError, match="train it: homeostat clone"):
        nano_path()


def test_a_processor_of_another_image_length_is_named(llava: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model, processor = llava
    monkeypatch.setattr(processor, "num_additional_image_tokens", 3)
    with pytest.raises(ModelError, match=r"'mine': .*match.*processor is another model's") as caught:
        TransformersModel(model, processor, style=STYLE, name="mine").generate(prompt([]))
    assert "\n" not in str(caught.value)
