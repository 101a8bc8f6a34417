"""A thinned cache against eager attention with a mask, and what a memory does from call to call."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM, Qwen3Config, Qwen3ForCausalLM

from homeostat import TransformersModel
from homeostat.agent.models.generation import PROBED_ROWS
from homeostat.agent.memory import POLICIES, SpanMemory
from homeostat.errors import ConfigError, ModelError, UnknownName
from homeostat.sensors import Actuator, Prompt

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
    memory = SpanMemory(budget=0.5, recall=NEVER, piece=16, reserve=0.0)
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
