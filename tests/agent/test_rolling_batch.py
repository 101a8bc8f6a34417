"""Rows that enter and leave a batch: their answers and readings are those that they have alone."""

from __future__ import annotations

import inspect
import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from homeostat import TransformersModel
from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.rolling_batch import RollingBatch
from homeostat.agent.models.rows import Row
from homeostat.agent.models.shared_model import SharedModel
from homeostat.agent.models.side_by_side import answer_rows, rolls
from homeostat.errors import OutOfMemory, ProbeError
from homeostat.sensors import Attempt, Prompt, Readout
from homeostat.sensors.probe.row_recorders import RowRun

WORDS = [
    "open the settings",
    "nothing",
    "turn the screen on and click",
    "is it done so far?",
    "go home",
    "tap it twice",
]
_FIELDS = ("mass", "prompt_mass", "lengths", "visible", "sink", "sink_in_span", "recent", "entropy", "distance", "top")
_FIELDS += ("received", "outputs", "prompt_keys")
LONG = "open the settings and turn the screen on and click it and go home " * 12


@pytest.fixture
def model(tiny_qwen3: Any) -> TransformersModel:
    made: TransformersModel = tiny_qwen3()
    return made


def pool_for(model: TransformersModel, entries: int = 8) -> PrefixPool:
    return PrefixPool(model.model.config, entries)


def chat(*texts: str) -> Prompt:
    roles = ("user", "assistant")
    return Prompt.from_chat([{"role": roles[n % 2], "content": text} for n, text in enumerate(texts)])


def row(model: TransformersModel, prompt: Prompt, tokens: int = 8, **more: Any) -> Row:
    call = GenerationCall(max_new_tokens=tokens, **{k: more.pop(k) for k in ("watch", "seed") if k in more})
    return Row(prompt, call, rendered=model.renderer.render(prompt), **more)


def assert_equal(found: Attempt, alone: Attempt) -> None:
    assert (found.tokens, found.text, found.finish) == (alone.tokens, alone.text, alone.finish)
    np.testing.assert_allclose(found.logprobs, alone.logprobs, atol=1e-4)
    np.testing.assert_allclose(found.entropy, alone.entropy, atol=1e-4)
    np.testing.assert_allclose(found.margin, alone.margin, atol=1e-4)
    assert (found.spans is None) == (alone.spans is None)
    if found.spans is not None and alone.spans is not None:
        assert found.spans.labels == alone.spans.labels
        for name in _FIELDS:
            mine, other = getattr(found.spans, name), getattr(alone.spans, name)
            assert (mine is None) == (other is None), name
            if mine is not None:
                half = mine.dtype == np.float16
                np.testing.assert_allclose(mine, other, atol=1e-5, rtol=2e-3 if half else 1e-7, err_msg=name)


def played(model: TransformersModel, groups: Sequence[Sequence[Row]], pool: PrefixPool, slots: int) -> dict[int, Any]:
    """Lets one group in at each step at which there is place, whether or not the others have ended."""
    waiting, found = [list(group) for group in groups], {}

    def source(room: int, running: bool) -> list[Row]:
        if not waiting:
            return []
        new, rest = waiting[0][:room], waiting[0][room:]
        waiting[:1] = [rest] if rest else []
        return new

    def done(one: Row, answers: Any) -> None:
        found[id(one)] = answers[0] if isinstance(answers, list) else answers

    RollingBatch(model, pool, slots).run(source, done)
    return found


@pytest.mark.parametrize("slots", [2, 3, 8])
def test_rows_that_come_and_go_have_the_answers_that_they_have_alone(model: TransformersModel, slots: int) -> None:
    readout = Readout(
        window=5, statistics=frozenset(("entropy", "distance", "top", "received", "outputs", "prompt_keys"))
    )
    watches = [True, readout, False, True, readout, True, True]
    prompts = [*(chat(words) for words in WORDS), chat(LONG)]
    lengths = [3, 14, 9, 5, 20, 7, 6]
    rows = [
        row(model, prompt, tokens, watch=watch, owner=number)
        for number, (prompt, tokens, watch) in enumerate(zip(prompts, lengths, watches, strict=True))
    ]
    found = played(model, [rows[:2], rows[2:3], rows[3:6], rows[6:]], pool_for(model), slots)
    assert len(found) == len(rows)
    for one in rows:
        (alone,) = model.generate(one.prompt, max_new_tokens=one.call.max_new_tokens, watch=one.call.watch)
        assert_equal(found[id(one)], alone)


@pytest.mark.parametrize("slots", [2, 8])
def test_rows_that_end_at_their_first_token_leave_others_their_turn(model: TransformersModel, slots: int) -> None:
    rows = [row(model, chat(words), 1) for words in WORDS]
    found = played(model, [rows[:2], rows[2:5], rows[5:]], pool_for(model), slots)
    for one in rows:
        assert_equal(found[id(one)], model.generate(one.prompt, max_new_tokens=1)[0])


def test_a_frozen_head_is_given_contiguous_rows(model: TransformersModel) -> None:
    """From a view, torch would copy a frozen head's weights for every row: hundreds of times as slow."""
    rows = [row(model, chat(words)) for words in WORDS]
    free = answer_rows(model, rows, pool_for(model))
    seen: list[bool] = []
    head = model.model.get_output_embeddings()
    before = len(head._forward_pre_hooks)
    head.register_forward_hook(lambda module, args, output: seen.append(args[0].is_contiguous()))
    model.model.requires_grad_(False)
    frozen = answer_rows(model, rows, pool_for(model))
    assert len(seen) > 1
    assert all(seen)
    assert len(head._forward_pre_hooks) == before
    for (one,), (other,) in zip(free, frozen, strict=True):
        assert_equal(other, one)


def test_the_next_prompt_starts_from_the_last_one(model: TransformersModel) -> None:
    pool = pool_for(model)
    texts: list[list[str]] = [[LONG + words] for words in WORDS]
    for turn in range(3):
        rows = [row(model, chat(*said), 6, owner=number) for number, said in enumerate(texts)]
        before = [len(pool.longest(one.rendered, one.owner, 10_000)[0].tokens) if turn else 0 for one in rows]  # type: ignore[arg-type, union-attr]
        found = [answers[0] for answers in answer_rows(model, rows, pool)]
        for said, one, attempt, known in zip(texts, rows, found, before, strict=True):
            (alone,) = model.generate(one.prompt, max_new_tokens=6)
            assert_equal(attempt, alone)
            if turn:
                assert attempt.cached_tokens > 0.7 * known
            said += [attempt.text, "go on " * (turn + 2)]


def test_rows_of_one_batch_share_what_they_begin_with(model: TransformersModel) -> None:
    rows = [row(model, chat(LONG * 2 + words), 4) for words in WORDS]
    cached = [answers[0].cached_tokens for answers in answer_rows(model, rows, pool_for(model))]
    longest = min(len(one.rendered.ids) for one in rows)  # type: ignore[union-attr]
    assert min(cached) == 0
    assert sorted(cached)[1] > longest - 100


def test_a_pool_keeps_what_was_used_last(model: TransformersModel) -> None:
    pool = pool_for(model, 2)
    for number in range(4):
        answer_rows(model, [row(model, chat(WORDS[number] + LONG), 3, owner=number)], pool)
    assert len(pool) == 2
    assert pool.longest(model.renderer.render(chat(WORDS[3] + LONG)), "new", 1000)[1] > 100
    assert pool.longest(model.renderer.render(chat(WORDS[0] + LONG)), "new", 1000)[1] < 100


def test_where_memory_is_short_fewer_rows_run_at_a_time(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, sizes = model.model.forward, []

    def short(*args: Any, **kwargs: Any) -> Any:
        size = len(kwargs["input_ids"])
        if size > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(size)
        return forward(*args, **kwargs)

    alone = [model.generate(chat(words), max_new_tokens=9)[0] for words in WORDS]
    monkeypatch.setattr(model.model, "forward", short)
    short.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    found = answer_rows(model, [row(model, chat(words), 9) for words in WORDS], pool_for(model))
    for answers, one in zip(found, alone, strict=True):
        assert_equal(answers[0], one)
    assert max(sizes) <= 2


def test_a_row_that_does_not_fit_alone_is_named(model: TransformersModel, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*args: Any, position_ids: Any = None, **kwargs: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(model.model, "forward", short)
    with pytest.raises(OutOfMemory, match="tokens"):
        answer_rows(model, [row(model, chat(words), 9) for words in WORDS[:2]], pool_for(model))


def test_an_interrupted_batch_ends_all_its_rows(model: TransformersModel) -> None:
    seen: list[str] = []

    def on_text(text: str) -> None:
        seen.append(text)
        if len(seen) == 3:
            threading.Thread(target=model.interrupt).start()

    model.stops = frozenset()
    rows = [row(model, chat(WORDS[0]), 1500, on_text=on_text), row(model, chat(WORDS[1]), 1500)]
    first, second = (answers[0] for answers in answer_rows(model, rows, pool_for(model)))
    assert first.finish == second.finish == "length"
    assert len(first.tokens) < 1500
    assert answer_rows(model, [row(model, chat(WORDS[0]), 4)], pool_for(model))[0][0].tokens == first.tokens[:4]


def test_a_listener_that_fails_fails_its_own_row_only(model: TransformersModel) -> None:
    def broken(text: str) -> None:
        raise RuntimeError("a listener failed")

    rows = [row(model, chat(WORDS[0]), 9, on_text=broken), row(model, chat(WORDS[1]), 9)]
    found = played(model, [rows], pool_for(model), 4)
    assert str(found[id(rows[0])]) == "a listener failed"
    assert_equal(found[id(rows[1])], model.generate(chat(WORDS[1]), max_new_tokens=9)[0])
    with pytest.raises(RuntimeError, match="a listener failed"):
        answer_rows(model, rows, pool_for(model))


def test_attention_that_can_not_be_read_fails_its_own_row_only(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(model, chat(WORDS[n]), 6 + n) for n in range(3)]
    whole, told = RowRun.result, []

    def broken(self: RowRun, tokens: int) -> Any:
        told.append(tokens)
        if len(told) == 1:
            raise ProbeError("attention of layer 0 is not a number")
        return whole(self, tokens)

    monkeypatch.setattr(RowRun, "result", broken)
    found = played(model, [rows], pool_for(model), 4)
    failed = [one for one in rows if isinstance(found[id(one)], ProbeError)]
    assert len(failed) == 1
    for one in rows:
        if one is not failed[0]:
            assert_equal(found[id(one)], model.generate(one.prompt, max_new_tokens=one.call.max_new_tokens)[0])


def test_an_error_within_a_forward_pass_fails_its_rows_only(
    model: TransformersModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward, calls = model.model.forward, []

    def broken(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise RuntimeError("a layer failed")
        return forward(*args, **kwargs)

    broken.__signature__ = inspect.signature(forward)  # type: ignore[attr-defined]
    monkeypatch.setattr(model.model, "forward", broken)
    with pytest.raises(RuntimeError, match="a layer failed"):
        answer_rows(model, [row(model, chat(words), 9) for words in WORDS[:2]], pool_for(model))
    ((after,),) = answer_rows(model, [row(model, chat(WORDS[1]), 9)], pool_for(model))
    assert_equal(after, model.generate(chat(WORDS[1]), max_new_tokens=9)[0])


def test_an_interruption_between_two_steps_leaves_the_answers_so_far(model: TransformersModel) -> None:
    model.stops = frozenset()
    rows, found = [row(model, chat(WORDS[0]), 50), row(model, chat(WORDS[1]), 2)], {}

    def done(one: Row, answers: Any) -> None:  # called when the second has ended, within a step
        found[id(one)] = answers
        if one is rows[1]:
            model.interrupt()

    waiting = list(rows)

    def source(room: int, running: bool) -> list[Row]:
        new, waiting[:] = list(waiting), []
        return new

    RollingBatch(model, pool_for(model), 2).run(source, done)
    (first,) = found[id(rows[0])]
    assert first.finish == "length"
    assert first.tokens == model.generate(chat(WORDS[0]), max_new_tokens=2)[0].tokens


def test_a_model_with_a_memory_answers_call_by_call(chat_tools: Any, model: TransformersModel) -> None:
    sizes: list[int] = []
    thinning = TransformersModel(model.model, model.processor, memory=0.5)
    shared = SharedModel(thinning, on_batch=sizes.append)
    for words in WORDS[:2]:
        shared.generate(chat(LONG * 2, "ok", words), max_new_tokens=3)
    shared.close()
    assert thinning.memory is not None
    assert thinning.memory.held_tokens() > 0  # the calls went through the memory
    assert sizes == [1, 1]


def test_prompts_whose_keys_can_not_be_cut_are_answered_together(chat_tools: Any) -> None:
    from transformers import Gemma2Config, Gemma2ForCausalLM

    tokenizer = chat_tools.make_tokenizer()
    torch.manual_seed(0)
    config = Gemma2Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=8,
        sliding_window=16,
        initializer_range=0.3,
        max_position_embeddings=512,
    )
    model = TransformersModel(Gemma2ForCausalLM(config).eval(), tokenizer)
    pool = PrefixPool(config, 4)
    rows = [row(model, chat(words), 6) for words in WORDS[:3]]
    assert not rolls(model, [one.rendered for one in rows if one.rendered is not None], pool)
    for one, answers in zip(rows, answer_rows(model, rows, pool), strict=True):
        assert answers[0].tokens == model.generate(one.prompt, max_new_tokens=6)[0].tokens


def test_a_deadline_within_the_prompt_leaves_an_empty_answer(model: TransformersModel) -> None:
    one = Row(chat(LONG), GenerationCall(max_new_tokens=9, deadline=time.monotonic() - 1))
    ((found,),) = answer_rows(model, [one], pool_for(model))
    assert (found.text, found.tokens, found.finish) == ("", (), "length")
