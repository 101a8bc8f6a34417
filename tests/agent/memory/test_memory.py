"""A thinned cache against eager attention with a mask, and what a memory does from call to call."""

from __future__ import annotations

import importlib.util
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM

from homeostat import AgentSpec, TransformersModel
from homeostat.agent.memory import POLICIES, SpanMemory
from homeostat.agent.models.generation import PROBED_ROWS
from homeostat.errors import ConfigError, ModelError, UnknownName
from homeostat.sensors import Actuator, EvictedMass, Progress, Prompt, SensorContext, check_sensor

WORDS = ["open the settings", "turn the screen on and click it", "done so far: nothing", "user assistant system rules"]
NEVER = 0.999  # no estimate exceeds it, so nothing is brought back


def built(chat_tools: Any, layers: int = 3, memory: Any = None, seed: int = 0) -> TransformersModel:
    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(seed)
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        initializer_range=0.3,
        max_position_embeddings=2048,
    )
    return TransformersModel(Qwen3ForCausalLM(config).eval(), tokenizer, memory=memory)


def chat(turns: int) -> Prompt:
    """System, goal, and so many pairs of an answer and a tool's result."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "be brief. " * 3},
        {"role": "user", "content": "open the screen", "label": "goal"},
    ]
    for n in range(turns):
        messages.append({"role": "assistant", "content": f"{n} {WORDS[n % 4]}", "label": "history"})
        messages.append({"role": "user", "content": f"{WORDS[(n + 1) % 4]} {n} " * 6, "label": f"tool.t{n % 3}"})
    return Prompt.from_chat(messages)


def hidden_slots(model: TransformersModel) -> list[int]:
    assert model.memory is not None
    return [s for one in model.memory.summaries for s in range(one.segment.start, one.segment.stop)]


def masked(model: TransformersModel, ids: list[int], gone: torch.Tensor, after: int) -> tuple[Any, np.ndarray]:
    """Logits (N, V) and maps (L, H, N, N) of eager attention whose rows from ``after`` on don't see some keys."""
    inner = model.model
    count = len(ids)
    see = torch.ones(count, count, dtype=torch.bool).tril().expand(4, -1, -1).clone()
    rows = torch.arange(count)[:, None] >= after
    see &= ~(rows & gone[..., None, :]) if gone.ndim == 2 else ~(rows & gone)
    mask = torch.zeros(see.shape).masked_fill(~see, float("-inf"))[None]
    former = inner.config._attn_implementation
    inner.set_attn_implementation("eager")
    try:
        with torch.inference_mode():
            out = inner(input_ids=torch.tensor([ids]), attention_mask=mask, output_attentions=True)
    finally:
        inner.set_attn_implementation(former)
    return out.logits[0], np.stack([a[0].numpy() for a in out.attentions])


def shared_with(one: Any, other: Any) -> int:
    """The first row of a second call that ran after the first one's eviction."""
    before = [*one.prompt_ids, *one.tokens]
    same = next((k for k, (a, b) in enumerate(zip(before, other.prompt_ids, strict=False)) if a != b), len(before))
    return min(same, len(other.prompt_ids) - PROBED_ROWS)


def episode(model: TransformersModel, turns: int, **settings: Any) -> list[Any]:
    return [model.generate(chat(n), max_new_tokens=4, **settings)[0] for n in range(1, turns + 1)]


def test_the_whole_budget_changes_nothing(chat_tools: Any) -> None:
    plain, whole = (episode(built(chat_tools, memory=memory), 5) for memory in (None, 1))
    for one, other in zip(plain, whole, strict=True):
        assert one.tokens == other.tokens
        assert one.logprobs == other.logprobs
        assert one.cached_tokens == other.cached_tokens
        assert one.spans is not None
        assert np.array_equal(one.spans.mass, other.spans.mass)


def test_thinned_logits_and_masses_are_those_of_masked_attention(chat_tools: Any) -> None:
    memory = SpanMemory(policy="label_mass", budget=0.5, recall=NEVER, piece=16, reserve=0.0)
    model = built(chat_tools, memory=memory)
    (first,) = model.generate(chat(6), max_new_tokens=4)
    gone = hidden_slots(model)
    assert len(gone) > 50
    (last,) = model.generate(chat(7), max_new_tokens=5)
    assert last.cached_tokens > max(gone)
    ids = [*last.prompt_ids, *last.tokens]
    hidden = torch.zeros(len(ids), dtype=torch.bool)
    hidden[gone] = True
    logits, maps = masked(model, ids, hidden, after=shared_with(first, last))
    start = len(last.prompt_ids) - 1
    wanted = torch.log_softmax(logits[start:-1], -1).gather(-1, torch.tensor(last.tokens)[:, None])[:, 0]
    assert np.allclose(last.logprobs, wanted.numpy(), atol=1e-4)
    spans = model.renderer.render(chat(7)).as_spans()
    assert last.spans is not None
    for label in spans:
        mass = sum(maps[:, :, start:-1, a:b].sum(-1) for a, b in spans[label])
        assert np.allclose(last.spans.of(label), mass.transpose(2, 0, 1), atol=1e-4), label
        held = sum(1 for a, b in spans[label] for s in range(a, b) if s not in gone)
        assert last.spans.lengths[last.spans.labels.index(label)] == held
    seen = (maps[0, 0, start:-1] > 0).sum(-1)
    assert np.array_equal(last.spans.visible, seen)


def test_bringing_a_span_back_restores_it(chat_tools: Any) -> None:
    """In one layer a key depends on its own token only, so a span that is read again equals the evicted one."""
    forgets = built(
        chat_tools, layers=1, memory=SpanMemory(policy="label_mass", budget=0.6, piece=16, recall=NEVER, reserve=0.2)
    )
    plain = built(chat_tools, layers=1)
    forgets.generate(chat(6), max_new_tokens=4)
    assert forgets.memory is not None
    gone = forgets.memory.summaries
    labels = {one.segment.label for one in gone}
    assert labels
    room = forgets.memory.memory.tokens(len(forgets.renderer.render(chat(7)).ids))
    forgets.memory.bring_back(labels)
    (back,) = forgets.generate(chat(7), max_new_tokens=5)
    recalled = forgets.memory.recalled
    assert 0 < sum(one.segment.tokens for one in recalled) <= room
    left = [one for one in gone if one not in recalled]
    hidden = torch.zeros(len(back.prompt_ids) + 5, dtype=torch.bool)
    for one in left:
        hidden[one.segment.start : one.segment.stop] = True
    ids = [*back.prompt_ids, *back.tokens]
    logits, _ = masked(plain, ids, hidden, after=back.cached_tokens)
    at = len(back.prompt_ids) - 1
    wanted = torch.log_softmax(logits[at:-1], -1).gather(-1, torch.tensor(back.tokens)[:, None])[:, 0]
    assert np.allclose(back.logprobs, wanted.numpy(), atol=1e-4)


def test_spans_come_back_where_the_pinned_ones_take_the_budget(chat_tools: Any) -> None:
    memory = SpanMemory(policy="label_mass", budget=120.0, piece=16, reserve=0.5, pinned=("system", "history"))
    model = built(chat_tools, layers=1, memory=memory)
    model.generate(chat(6), max_new_tokens=4)
    assert model.memory is not None
    held = model.memory.held_tokens()
    assert held > 120  # the pinned spans alone exceed the budget
    model.generate(chat(7), max_new_tokens=4)
    assert 0 < sum(one.segment.tokens for one in model.memory.recalled) <= 60


def test_the_estimate_is_the_mass_that_evicted_keys_would_get(chat_tools: Any) -> None:
    """The index holds the keys of the only layer, so the estimate is no estimate any more."""
    memory = SpanMemory(policy="label_mass", budget=0.7, piece=16, recall=NEVER, reserve=0.0)
    model = built(chat_tools, layers=1, memory=memory.model_copy(update={"budget": 250.0}))
    model.generate(chat(6), max_new_tokens=2)
    assert model.memory is not None
    gone = list(model.memory.summaries)
    (last,) = model.generate(chat(7), max_new_tokens=2)
    assert last.spans is not None
    assert last.spans.evicted
    _, maps = masked(model, list(last.prompt_ids), torch.zeros(len(last.prompt_ids), dtype=torch.bool), after=0)
    rows = maps[:, :, -PROBED_ROWS:]
    for label in {one.segment.label for one in gone}:
        mass = sum(
            rows[..., one.segment.start : one.segment.stop].sum(-1).mean() for one in gone if one.segment.label == label
        )
        still = [one for one in model.memory.summaries if one.segment.label == label]
        if len(still) == sum(one.segment.label == label for one in gone):  # nothing more was evicted since
            assert last.spans.evicted[label] == pytest.approx(float(mass), abs=1e-4)


def skip_without_kvpress() -> None:
    """Its import is left to the package, which undoes what it does to transformers' attention functions."""
    missing = [
        name for name in ("kvpress", "fire", "cachetools", "termcolor") if importlib.util.find_spec(name) is None
    ]
    if missing:
        pytest.skip(f"{missing[0]} is not installed (pip install --no-deps kvpress==0.5.5 fire cachetools termcolor)")


SCORERS = ["kvpress:KnormPress", "kvpress:ExpectedAttentionPress"]


@pytest.mark.parametrize("policy", [*sorted(set(POLICIES) - {"label_mass"}), *SCORERS])
def test_heads_with_keys_of_their_own_are_read_rightly(chat_tools: Any, policy: str) -> None:
    if policy in SCORERS:
        skip_without_kvpress()
    memory = SpanMemory(budget=0.4, policy=policy, pinned=("system",))
    model = built(chat_tools, layers=1, memory=memory)
    (first,) = model.generate(chat(6), max_new_tokens=2)
    assert model.memory is not None
    fork = model.memory.fork()
    (last,) = model.generate(chat(7), max_new_tokens=4)
    held = fork.start(model.renderer.render(chat(7))).cache.key_slots(0)
    ids = [*last.prompt_ids, *last.tokens]
    gone = torch.ones(4, len(ids), dtype=torch.bool)
    after = shared_with(first, last)
    gone[:, after:] = False
    for head in range(4):
        slots = held if held.ndim == 1 else held[head // 2]
        gone[head, slots] = False
    assert int(gone.sum(-1).min()) == int(gone.sum(-1).max()) > 100
    logits, maps = masked(model, ids, gone, after=after)
    at = len(last.prompt_ids) - 1
    wanted = torch.log_softmax(logits[at:-1], -1).gather(-1, torch.tensor(last.tokens)[:, None])[:, 0]
    assert np.allclose(last.logprobs, wanted.numpy(), atol=1e-4)
    spans = model.renderer.render(chat(7)).as_spans()
    assert last.spans is not None
    for label in spans:
        mass = sum(maps[:, :, at:-1, a:b].sum(-1) for a, b in spans[label])
        assert np.allclose(last.spans.of(label), mass.transpose(2, 0, 1), atol=1e-4), label


def biased(chat_tools: Any, memory: SpanMemory) -> TransformersModel:
    """A Qwen2, whose queries and keys have biases."""
    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(1)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        initializer_range=0.3,
    )
    model = Qwen2ForCausalLM(config).eval()
    for layer in model.model.layers:
        for part in (layer.self_attn.q_proj, layer.self_attn.k_proj):
            torch.nn.init.normal_(part.bias, std=2.0)
    return TransformersModel(model, tokenizer, memory=memory)


@pytest.mark.parametrize("make", [built, biased])
def test_expected_attention_keeps_what_kvpress_keeps(chat_tools: Any, make: Any) -> None:
    skip_without_kvpress()
    kept = []
    for policy in ("expected", "kvpress:ExpectedAttentionPress"):
        model = make(chat_tools, memory=SpanMemory(budget=0.4, policy=policy, pinned=(), newest=False))
        model.generate(chat(6), max_new_tokens=1)
        assert model.memory is not None
        cache = model.memory.fork().start(model.renderer.render(chat(6)), 0).cache
        kept.append([cache.key_slots(layer) for layer in range(3)])
    for one, other in zip(*kept, strict=True):
        shared = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(one, other, strict=True))
        assert shared >= one.numel() - 4  # rounding may exchange keys of nearly the same score


def test_evicted_spans_cost_what_their_later_readers_remember(chat_tools: Any) -> None:
    """A prompt that is read without the evicted spans, at the same positions, gives other logits.

    The keys behind an evicted span were computed while it was there. In one layer keys depend on nothing in front of
    them, and the two ways agree; in three layers they differ.
    """
    far = {}
    for layers in (1, 3):
        model = built(
            chat_tools, layers=layers, memory=SpanMemory(policy="label_mass", budget=0.5, recall=NEVER, piece=16)
        )
        model.generate(chat(6), max_new_tokens=2)
        gone = set(hidden_slots(model))
        (last,) = model.generate(chat(7), max_new_tokens=1)
        ids = [*last.prompt_ids]
        slots = [s for s in range(len(ids)) if s not in gone]
        with torch.inference_mode():
            out = model.model(input_ids=torch.tensor([[ids[s] for s in slots]]), position_ids=torch.tensor([slots]))
        read = torch.log_softmax(out.logits[0, -1], -1)
        far[layers] = abs(float(read[last.tokens[0]]) - last.logprobs[0])
    assert far[1] < 1e-4
    assert far[3] > 1e-3


def test_pins_stay_and_budgets_hold(chat_tools: Any) -> None:
    memory = SpanMemory(policy="label_mass", budget=0.4, recall=NEVER, piece=16)
    model = built(chat_tools, memory=memory)
    for turns in range(1, 9):
        prompt = chat(turns)
        model.generate(prompt, max_new_tokens=3)
        assert model.memory is not None
        rendered = model.renderer.render(prompt)
        newest = rendered.spans[f"tool.t{(turns - 1) % 3}"][-1]
        gone = set(hidden_slots(model))
        for label in ("system", "goal"):
            assert not gone & {s for a, b in rendered.spans[label] for s in range(a, b)}
        assert not gone & set(range(*newest))
        if turns > 4:
            assert model.memory.held_tokens() <= memory.tokens(len(rendered.ids) + 3)


def test_most_mass_limits_what_is_evicted(chat_tools: Any) -> None:
    mass = {}
    for most in (None, 0.1):
        model = built(
            chat_tools, memory=SpanMemory(policy="label_mass", budget=0.3, recall=NEVER, piece=16, most_mass=most)
        )
        model.generate(chat(6), max_new_tokens=2)
        assert model.memory is not None
        mass[most] = sum(one.mass for one in model.memory.summaries)
    assert mass[0.1] <= 0.1 < mass[None]


def test_a_refresh_reads_everything_again(chat_tools: Any) -> None:
    model = built(chat_tools, memory=SpanMemory(budget=0.4, policy="recycled", pinned=(), refresh=3))
    assert [one.cached_tokens > 0 for one in episode(model, 6)] == [False, True, False, True, True, False]


def test_a_changed_prefix_is_read_again(chat_tools: Any) -> None:
    model, plain = (
        built(chat_tools, memory=SpanMemory(policy="label_mass", budget=0.4, recall=NEVER)),
        built(chat_tools),
    )
    model.generate(chat(6), max_new_tokens=2)
    other = Prompt.from_chat([{"role": "user", "content": "something else"}])
    (one,), (wanted,) = model.generate(other, max_new_tokens=4), plain.generate(other, max_new_tokens=4)
    assert one.tokens == wanted.tokens
    assert np.allclose(one.logprobs, wanted.logprobs, atol=1e-5)


def test_steered_and_sampled_calls(chat_tools: Any) -> None:
    model, plain = (
        built(chat_tools, memory=SpanMemory(policy="label_mass", budget=0.4, recall=NEVER)),
        built(chat_tools),
    )
    model.generate(chat(6), max_new_tokens=2)
    steer = [Actuator("goal", gain=3.0)]
    (one,), (wanted,) = (m.generate(chat(7), max_new_tokens=4, steer=steer) for m in (model, plain))
    assert one.tokens == wanted.tokens  # a steered call reads the whole prompt
    drawn = model.generate(chat(7), n=3, temperature=1.0, seed=1, max_new_tokens=4)
    assert len(drawn) == 3
    assert all(row.cached_tokens > 0 and row.spans is not None for row in drawn)
    assert model.generate(chat(7), max_new_tokens=4)[0].cached_tokens > 0  # sampling leaves the memory as it was


def test_what_is_refused(chat_tools: Any) -> None:
    tokenizer = chat_tools.make_tokenizer()
    config = MistralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        sliding_window=16,
    )
    with pytest.raises(ModelError, match="sliding window"):
        TransformersModel(MistralForCausalLM(config).eval(), tokenizer, memory=0.5)
    with pytest.raises(ConfigError, match=r"-1.*share"):
        built(chat_tools, memory=-1)
    with pytest.raises(UnknownName, match="did you mean 'label_mass'"):
        built(chat_tools, memory=SpanMemory(policy="label_mas"))
    model = built(chat_tools)
    with pytest.raises(ConfigError, match="reuse"):
        TransformersModel(model.model, tokenizer, memory=0.5, reuse=False)
    with pytest.raises(ConfigError, match="layers"):
        TransformersModel(model.model, tokenizer, memory=0.5, layers=[0])


def test_the_reading_names_what_is_evicted(chat_tools: Any) -> None:
    model, plain = (
        built(chat_tools, memory=SpanMemory(policy="label_mass", budget=0.4, recall=NEVER, piece=16)),
        built(chat_tools),
    )
    attempt, other = episode(model, 7)[-1], episode(plain, 1)[-1]
    reading = EvictedMass(0.0).read(attempt, SensorContext(goal=""))
    assert reading.alarm
    assert reading.value == pytest.approx(sum(attempt.spans.evicted.values()))
    assert reading.span in attempt.spans.evicted
    assert not EvictedMass(0.0).read(other, SensorContext(goal="")).judged
    context = SensorContext(goal="", subtasks=(False,), subtask_apps=("",))
    assert Progress().read(attempt, context).detail["evicted"] == pytest.approx(reading.value)
    assert "evicted" not in Progress().read(other, context).detail
    check_sensor(EvictedMass())


def test_an_agents_file_sets_the_memory(tmp_path: Any) -> None:
    file = tmp_path / "agent.yaml"
    file.write_text("memory: {budget: 0.3, policy: h2o}\n")
    assert AgentSpec.load(file).memory == SpanMemory(budget=0.3, policy="h2o")
    file.write_text("memory: 0.25\n")
    assert AgentSpec.load(file).memory == 0.25
    file.write_text("memory: -3\n")
    with pytest.raises(ConfigError, match="memory"):
        AgentSpec.load(file)
