"""One model for many callers: batches with a setting for each row, cancelled calls, and calls that fail alone."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch

from homeostat import TransformersModel
from homeostat.agent.models.generation import GenerationCall
from homeostat.agent.models.prefix_pool import PrefixPool
from homeostat.agent.models.rows import Row
from homeostat.agent.models.shared_model import SharedModel, Wishes
from homeostat.agent.models.side_by_side import answer_rows
from homeostat.errors import CallInterrupted, ModelError, PromptTooLong
from homeostat.sensors import Prompt
from homeostat.testing import ScriptedModel

WORDS = ["open the settings", "nothing", "turn the screen on and click", "is it done so far?"]


@pytest.fixture(scope="module")
def model(tiny_qwen3: Any) -> TransformersModel:
    made: TransformersModel = tiny_qwen3(positions=512)
    return made


@pytest.fixture(params=["static", "rolling"])
def pool(request: pytest.FixtureRequest, model: TransformersModel) -> PrefixPool | None:
    """Where rows start from. Without it all go on to the end of the last one; with it each leaves at its end."""
    return PrefixPool(model.model.config, 8) if request.param == "rolling" else None


def prompt(text: str) -> Prompt:
    return Prompt.from_chat([{"role": "user", "content": text}])


def text_of(model: TransformersModel, tokens: Any) -> str:
    return str(model.renderer.tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))


def test_rows_of_a_batch_equal_calls_one_by_one(model: TransformersModel, pool: PrefixPool | None) -> None:
    calls = [GenerationCall(max_new_tokens=n) for n in (4, 9, 14, 20)]
    found = answer_rows(model, [Row(prompt(w), call) for w, call in zip(WORDS, calls, strict=True)], pool)
    for words, call, (row,) in zip(WORDS, calls, found, strict=True):
        (alone,) = model.generate(prompt(words), max_new_tokens=call.max_new_tokens)
        assert row.tokens == alone.tokens
        assert row.finish == alone.finish
        assert row.spans is not None
        assert alone.spans is not None
        np.testing.assert_allclose(row.spans.mass, alone.spans.mass, atol=1e-5)
        np.testing.assert_allclose(row.logprobs, alone.logprobs, atol=1e-4)


def test_a_row_ends_at_its_stop_text_and_tells_its_text(model: TransformersModel, pool: PrefixPool | None) -> None:
    (whole,) = model.generate(prompt(WORDS[0]), max_new_tokens=30)
    stop = whole.text[8:11]
    cut = whole.text[: whole.text.index(stop)]
    told: list[str] = []
    rows = [
        Row(prompt(WORDS[0]), GenerationCall(max_new_tokens=30), stop=(stop, "never"), on_text=told.append),
        Row(prompt(WORDS[1]), GenerationCall(max_new_tokens=12)),
    ]
    (row,), (other,) = answer_rows(model, rows, pool)
    assert (row.text, row.finish) == (cut, "stop")
    assert "".join(told) == cut
    assert len(row.tokens) < 30
    assert other.tokens == model.generate(prompt(WORDS[1]), max_new_tokens=12)[0].tokens


def test_the_text_is_told_piece_by_piece(model: TransformersModel, pool: PrefixPool | None) -> None:
    told: list[str] = []
    row = Row(prompt(WORDS[2]), GenerationCall(max_new_tokens=25), on_text=told.append)
    ((found,),) = answer_rows(model, [row], pool)
    assert "".join(told) == found.text
    assert len(told) > 5


def test_a_cancelled_row_ends_and_the_others_go_on(model: TransformersModel, pool: PrefixPool | None) -> None:
    seen: list[str] = []
    rows = [
        Row(prompt(WORDS[0]), GenerationCall(max_new_tokens=40), on_text=seen.append, cancelled=lambda: len(seen) >= 3),
        Row(prompt(WORDS[1]), GenerationCall(max_new_tokens=20)),
    ]
    (gone,), (other,) = answer_rows(model, rows, pool)
    assert len(gone.tokens) < 20
    assert other.tokens == model.generate(prompt(WORDS[1]), max_new_tokens=20)[0].tokens


def test_a_seed_gives_the_same_answer_in_any_company(model: TransformersModel, pool: PrefixPool | None) -> None:
    def row(words: str, seed: int) -> Row:
        return Row(prompt(words), GenerationCall(temperature=1.0, max_new_tokens=12, seed=seed), top_p=0.9)

    ((alone,),) = answer_rows(model, [row(WORDS[0], 3)], pool)
    found = answer_rows(model, [row(WORDS[2], 5), row(WORDS[0], 3), row(WORDS[0], 4)], pool)
    assert found[1][0].tokens == alone.tokens
    assert found[2][0].tokens != alone.tokens


def test_the_nucleus_keeps_the_likeliest_tokens(model: TransformersModel, pool: PrefixPool | None) -> None:
    calls = [GenerationCall(temperature=1.0, max_new_tokens=1, seed=seed) for seed in range(300)]
    rendered = model.renderer.render(prompt(WORDS[0]))
    with torch.inference_mode():
        shares = model.model(**rendered.inputs).logits[0, -1].softmax(-1)
    ordered, order = shares.sort(descending=True)
    kept = int((ordered.cumsum(0) < 0.5).sum()) + 1
    nucleus = set(order[:kept].tolist())
    few = answer_rows(model, [Row(prompt(WORDS[0]), c, top_p=0.5) for c in calls], pool)
    drawn = [found[0].tokens[0] for found in few]
    assert set(drawn) <= nucleus
    assert len(set(drawn)) > 1
    free = {found[0].tokens[0] for found in answer_rows(model, [Row(prompt(WORDS[0]), c) for c in calls], pool)}
    assert not free <= nucleus
    shared = len(drawn) * (ordered[0] / ordered[:kept].sum()).item()
    assert abs(drawn.count(order[0].item()) - shared) < 4 * shared**0.5


def test_calls_of_many_threads_are_answered_together(model: TransformersModel) -> None:
    sizes: list[int] = []
    shared = SharedModel(model, rows=4, on_batch=sizes.append)
    begin = threading.Barrier(4)

    def ask(words: str) -> tuple[int, ...]:
        with shared.caller() as mine:
            begin.wait()
            return mine.generate(prompt(words), max_new_tokens=10)[0].tokens

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(ask, WORDS))
    shared.close()
    assert found == [model.generate(prompt(words), max_new_tokens=10)[0].tokens for words in WORDS]
    assert sum(sizes) == 4
    assert len(sizes) < 4


def test_a_prompt_that_does_not_fit_fails_alone(model: TransformersModel) -> None:
    shared = SharedModel(model)
    begin = threading.Barrier(2)

    def ask(words: str) -> Any:
        with shared.caller() as mine:
            begin.wait()
            return mine.generate(prompt(words), max_new_tokens=10)[0]

    with ThreadPoolExecutor(2) as pool:
        good, bad = pool.submit(ask, WORDS[0]), pool.submit(ask, "open " * 600)
        assert good.result().text
        with pytest.raises(PromptTooLong):
            bad.result()
    with pytest.raises(PromptTooLong):
        shared.generate(prompt("on"), max_new_tokens=600)
    with shared.caller(Wishes(shortens=True)) as mine:
        assert len(mine.generate(prompt("on"), max_new_tokens=600)[0].tokens) < 512
    shared.close()


def test_a_schema_holds_the_answers_of_its_caller(model: TransformersModel) -> None:
    import json

    shared = SharedModel(model)
    schema = {"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]}
    schema["additionalProperties"] = False
    with shared.caller(Wishes(schema=schema)) as mine:
        assert isinstance(json.loads(mine.generate(prompt("on?"), max_new_tokens=100)[0].text)["on"], bool)
    scores = shared.score(prompt(WORDS[0]), [3, 4])
    np.testing.assert_allclose(scores, model.score(prompt(WORDS[0]), [3, 4]), atol=1e-5)
    shared.close()


def test_a_cancelled_call_ends_while_it_waits_or_runs() -> None:
    running, ends = threading.Event(), threading.Event()

    def on_call(number: int) -> None:
        running.set()
        ends.wait(10)

    shared = SharedModel(ScriptedModel(["one", "two"], on_call))
    first, second = shared.caller(), shared.caller()
    with ThreadPoolExecutor(2) as pool:
        runs = pool.submit(first.generate, prompt("a"))
        running.wait(10)
        waits = pool.submit(second.generate, prompt("b"))
        while not shared.waiting:
            time.sleep(0.001)
        second.interrupt()
        first.interrupt()
        ends.set()
        for call in (runs, waits):
            with pytest.raises(CallInterrupted, match="cancelled"):
                call.result(10)
    assert len(shared.inner.prompts) == 1  # type: ignore[attr-defined]
    shared.close()


def test_a_closed_model_refuses_what_waits_and_what_comes() -> None:
    running, ends = threading.Event(), threading.Event()

    def on_call(number: int) -> None:
        running.set()
        ends.wait(10)

    shared = SharedModel(ScriptedModel(["one"], on_call))
    with ThreadPoolExecutor(2) as pool:
        runs = pool.submit(shared.generate, prompt("a"))
        running.wait(10)
        waits = pool.submit(shared.generate, prompt("b"))
        while not shared.waiting:
            time.sleep(0.001)
        shared.close(0.01)
        ends.set()
        for call in (runs, waits):
            with pytest.raises(CallInterrupted, match="closed"):
                call.result(10)
    with pytest.raises(CallInterrupted, match="closed"):
        shared.generate(prompt("c"))


def test_a_call_whose_time_is_over_before_its_turn_is_told_so() -> None:
    shared = SharedModel(ScriptedModel(["one"]))
    with pytest.raises(CallInterrupted, match="before its turn"):
        shared.generate(prompt("a"), deadline=time.monotonic() - 1)
    assert shared.generate(prompt("a"))[0].text == "one"
    shared.close()


def test_an_error_of_the_model_reaches_its_caller_alone() -> None:
    def on_call(number: int) -> None:
        if number == 1:
            raise ModelError("no weights")

    shared = SharedModel(ScriptedModel(["one"], on_call))
    with pytest.raises(ModelError, match="no weights"):
        shared.generate(prompt("a"))
    assert shared.generate(prompt("a"))[0].text == "one"
    shared.close()


def test_a_scripted_answer_is_cut_at_a_stop_text() -> None:
    told: list[str] = []
    shared = SharedModel(ScriptedModel(["one two three"]))
    with shared.caller(Wishes(stop=("three", "two"), on_text=told.append)) as mine:
        (found,) = mine.generate(prompt("a"))
    assert (found.text, told, found.finish) == ("one ", ["one "], "stop")
    shared.close()
