"""``VLLMModel`` answers as ``TransformersModel`` does, and ends in typed errors where its engine dies or hangs.

One engine serves all tests of this file. The last one kills it.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("vllm")

from homeostat import Agent, TransformersModel
from homeostat.agent.models.generation import Wishes
from homeostat.agent.models.protocol import BatchingItself, Interruptible, Measuring, Model, ParsingAnswers
from homeostat.agent.models.shared_model import SharedModel
from homeostat.agent.serving import Service
from homeostat.agent.serving.schema import ChatRequest
from homeostat.agent.vllm.engine_options import read_options
from homeostat.agent.vllm.model import VLLMModel
from homeostat.controllers import Remind
from homeostat.envs.phone import PhoneEnv
from homeostat.errors import ConfigError, ModelError, PromptTooLong
from homeostat.sensors import Actuator, Attempt, AttentionDrift, Confidence, Readout
from homeostat.sensors.chat.messages import Prompt

pytestmark = pytest.mark.filterwarnings("default")  # vLLM's own warnings are not ours to mend
CLOSE = 1e-5
"""How far masses may be from TransformersModel's probe."""
QUESTIONS = (
    "What is the capital of France?",
    "Name three colours.",
    "Tell me about the sea in one sentence.",
    "Count to five.",
    "Who wrote Hamlet?",
    "What is two and two?",
)
LONG = "Here is a list of things: " + ", ".join(f"thing number {n}" for n in range(120)) + ". Which one is the last?"
STORY = "Write a very long story about the sea, with many chapters."


@pytest.fixture(scope="module")
def model(folder: Path) -> Iterator[VLLMModel]:
    found = VLLMModel.load(folder, "float32", enforce_eager=True, max_model_len=2048)
    yield found
    found.close()


@pytest.fixture(scope="module")
def plain(folder: Path) -> TransformersModel:
    return TransformersModel.load(folder, dtype="float32", device="cpu")


def asked(question: str) -> Prompt:
    return Prompt.from_chat(
        [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": question}]
    )


def check_equal(found: Attempt, wanted: Attempt) -> None:
    for name in ("tokens", "text", "finish", "prompt_ids", "pieces", "prompt_tokens", "batch"):
        assert getattr(found, name) == getattr(wanted, name), name
    np.testing.assert_allclose(found.logprobs, wanted.logprobs, atol=1e-4)
    np.testing.assert_allclose(found.margin, wanted.margin, atol=1e-4)
    np.testing.assert_allclose(found.entropy, wanted.entropy, atol=1e-3)
    mine, theirs = found.spans, wanted.spans
    assert mine is not None
    assert theirs is not None
    assert (mine.labels, mine.layers, mine.prompt, mine.spans) == (
        theirs.labels,
        theirs.layers,
        theirs.prompt,
        theirs.spans,
    )
    np.testing.assert_array_equal(mine.lengths, theirs.lengths)
    np.testing.assert_array_equal(mine.visible, theirs.visible)
    np.testing.assert_allclose(mine.mass, theirs.mass, atol=CLOSE)
    rows = len(mine.prompt_mass)
    assert 1 <= rows <= len(theirs.prompt_mass)
    np.testing.assert_allclose(mine.prompt_mass, theirs.prompt_mass[-rows:], atol=CLOSE)


def test_it_is_a_model(model: VLLMModel, plain: TransformersModel) -> None:
    for kind in (Model, Interruptible, Measuring, ParsingAnswers, BatchingItself):
        assert isinstance(model, kind), kind
    assert model.capabilities == plain.capabilities - {"model"}
    assert model.stops == plain.stops
    assert model.style == plain.style
    assert model.context == 2048
    assert (model.engine.layers, model.engine.heads) == (
        plain.model.config.num_hidden_layers,
        plain.model.config.num_attention_heads,
    )


@pytest.mark.parametrize("question", QUESTIONS[:3])
def test_greedy_answers_are_those_of_transformers(model: VLLMModel, plain: TransformersModel, question: str) -> None:
    found, wanted = (one.generate(asked(question), max_new_tokens=24) for one in (model, plain))
    assert len(found) == 1
    check_equal(found[0], wanted[0])


def test_threads_are_answered_together_and_each_as_alone(model: VLLMModel, plain: TransformersModel) -> None:
    found: dict[str, Attempt] = {}

    def ask(question: str) -> None:
        found[question] = model.generate(asked(question), max_new_tokens=20)[0]

    threads = [threading.Thread(target=ask, args=(question,)) for question in QUESTIONS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for question in QUESTIONS:
        check_equal(found[question], plain.generate(asked(question), max_new_tokens=20)[0])
    assert all(rank["open"] == rank["waiting"] == 0 for rank in model.engine.status())


def test_a_prefix_from_the_cache_changes_nothing(model: VLLMModel, plain: TransformersModel) -> None:
    first, second = (model.generate(asked(LONG), max_new_tokens=8)[0] for _ in range(2))
    wanted = plain.generate(asked(LONG), max_new_tokens=8)[0]
    assert first.cached_tokens < second.cached_tokens < second.prompt_tokens
    check_equal(first, wanted)
    check_equal(second, wanted)


def test_samples_share_a_prefill_and_a_seed_repeats_them(model: VLLMModel) -> None:
    first, second = (
        model.generate(asked(QUESTIONS[2]), n=3, temperature=1.0, seed=5, max_new_tokens=12) for _ in range(2)
    )
    assert [one.tokens for one in first] == [one.tokens for one in second]
    assert len({one.tokens for one in first}) > 1
    for one in first:
        assert one.batch == 3
        assert one.spans is not None
        assert len(one.spans.mass) == len(one.tokens) == len(one.logprobs) == len(one.margin)
    other = model.generate(asked(QUESTIONS[2]), n=3, temperature=1.0, seed=6, max_new_tokens=12)
    assert [one.tokens for one in other] != [one.tokens for one in first]


def test_sampled_log_probabilities_are_of_the_distribution_that_is_drawn_from(
    model: VLLMModel, plain: TransformersModel
) -> None:
    heat = 0.6
    found = model.generate(asked(QUESTIONS[1]), temperature=heat, seed=1, max_new_tokens=10)[0]
    scores = plain.score(asked(QUESTIONS[1]), found.tokens).astype(np.float64) / heat
    scores -= np.log(np.exp(scores).sum(-1, keepdims=True))
    np.testing.assert_allclose(found.logprobs, scores[np.arange(len(found.tokens)), list(found.tokens)], atol=1e-3)
    best = np.sort(np.exp(scores), axis=-1)
    np.testing.assert_allclose(found.margin, best[:, -1] - best[:, -2], atol=1e-3)


def test_greedy_samples_are_one_answer(model: VLLMModel) -> None:
    found = model.generate(asked(QUESTIONS[0]), n=3, max_new_tokens=6)
    assert len(found) == 3
    assert found[0] is found[1] is found[2]


def test_answers_are_held_to_a_schema(model: VLLMModel, plain: TransformersModel) -> None:
    schema = {"type": "object", "properties": {"city": {"enum": ["Paris", "Rome"]}}, "required": ["city"]}
    found, wanted = (one.generate(asked(QUESTIONS[0]), max_new_tokens=24, schema=schema) for one in (model, plain))
    assert set(json.loads(found[0].text)) >= {"city"}
    check_equal(found[0], wanted[0])
    with pytest.raises(ModelError, match="can't constrain decoding: Invalid type") as error:
        model.generate(asked("hello"), schema={"type": "nonsense"})
    assert "\n" not in str(error.value)


def test_attention_is_steered_as_in_transformers(model: VLLMModel, plain: TransformersModel) -> None:
    rules = (Actuator(span="system", gain=8.0),)
    found, wanted = (one.generate(asked(QUESTIONS[1]), max_new_tokens=10, steer=rules)[0] for one in (model, plain))
    check_equal(found, wanted)
    free = model.generate(asked(QUESTIONS[1]), max_new_tokens=10)[0]
    assert found.spans is not None
    assert free.spans is not None
    assert found.spans.of("system").mean() > 1.5 * free.spans.of("system").mean()
    unread = model.generate(asked(QUESTIONS[1]), max_new_tokens=10, steer=rules, watch=False)[0]
    assert unread.tokens == found.tokens
    assert unread.spans is None


def test_a_deadline_and_an_interrupt_keep_what_there_is(model: VLLMModel) -> None:
    begun = time.monotonic()
    model.generate(asked(STORY), max_new_tokens=8)
    while_writing = 1 + 2 * (time.monotonic() - begun)  # a slow machine has not written a token after a second
    cut = model.generate(asked(STORY), max_new_tokens=1500, deadline=time.monotonic() + while_writing)[0]
    assert cut.finish == "length"
    assert 0 < len(cut.tokens) < 1500
    assert cut.spans is not None
    assert len(cut.spans.mass) == len(cut.tokens) == len(cut.logprobs)
    assert cut.text
    passed = model.generate(asked(STORY), max_new_tokens=1500, deadline=begun)[0]
    assert (passed.text, passed.tokens, passed.finish, passed.spans) == ("", (), "length", None)
    timer = threading.Timer(while_writing, model.interrupt)
    timer.start()
    assert 0 < len(model.generate(asked(STORY), max_new_tokens=1500)[0].tokens) < 1500
    assert model.generate(asked(QUESTIONS[0]), max_new_tokens=8)[0].text
    assert all(rank["open"] == rank["waiting"] == 0 for rank in model.engine.status())


def test_a_shared_model_passes_calls_on(model: VLLMModel) -> None:
    pieces: list[str] = []
    batches: list[int] = []
    shared = SharedModel(model, on_batch=batches.append)
    whole = model.generate(asked(QUESTIONS[2]), max_new_tokens=16)[0].text
    stop = whole.split()[3]
    with shared.caller(Wishes(stop=(stop,), on_text=pieces.append)) as caller:
        found = caller.generate(asked(QUESTIONS[2]), max_new_tokens=16)[0]
    assert found.text == whole[: whole.index(stop)]
    assert found.finish == "stop"
    assert "".join(pieces) == found.text
    assert batches == [1]
    with shared.caller() as caller:
        threading.Timer(0.7, caller.interrupt).start()
        begun = time.monotonic()
        with pytest.raises(ModelError, match="cancelled"):
            caller.generate(asked(STORY), max_new_tokens=1500)
        assert time.monotonic() - begun < 20
    with shared.caller(Wishes(shortens=True)) as caller:
        cut = caller.generate(asked(LONG), max_new_tokens=5000, deadline=time.monotonic() + 1)[0]
        assert cut.prompt_tokens + 5000 > model.context
    shared.close()
    with pytest.raises(ModelError):
        shared.generate(asked(QUESTIONS[0]))
    assert model.generate(asked(QUESTIONS[0]), max_new_tokens=4)[0].text


def test_an_endpoint_answers_with_readings(model: VLLMModel) -> None:
    service = Service(Agent(model, [AttentionDrift(), Confidence()], []), name="small")
    assert service.context == 2048
    body = {"model": "small", "messages": [{"role": "user", "content": QUESTIONS[0]}], "max_tokens": 12}
    requests = [ChatRequest.model_validate(body | {"temperature": 0.0}) for _ in range(4)]
    works = [service.start(service.prepare(request))[0] for request in requests]
    answers = [work.result.result(120) for work in works]
    assert len({answer.content for answer in answers}) == 1
    assert answers[0].content
    assert {reading["sensor"] for reading in answers[0].report["readings"]} == {"attention_drift", "confidence"}
    assert set(answers[0].report["mass"]) == {"goal", "output"}
    service.close()


def test_what_workers_do_not_read_is_left_out_with_a_word(model: VLLMModel, caplog: pytest.LogCaptureFixture) -> None:
    readout = Readout(keys=frozenset({"user"}), statistics=frozenset({"entropy"}))
    with caplog.at_level(logging.WARNING, "homeostat"):
        found = model.generate(asked(QUESTIONS[0]), max_new_tokens=4, watch=readout)[0]
        model.generate(asked(QUESTIONS[0]), max_new_tokens=4, watch=readout)
    assert found.spans is not None
    assert found.spans.entropy is None
    assert not found.spans.keys
    assert [record.getMessage() for record in caplog.records if "span masses only" in record.getMessage()] != []
    assert len(caplog.records) == 1
    assert model.generate(asked(QUESTIONS[0]), max_new_tokens=4, watch=False)[0].spans is None


def test_what_can_not_be_is_refused_in_one_line(model: VLLMModel, folder: Path) -> None:
    with pytest.raises(PromptTooLong, match="context of 2048"):
        model.generate(asked("x " * 3000), max_new_tokens=5)
    assert model.excess(asked("x " * 3000), 5) > 900
    assert model.excess(asked("x"), 5) == 0
    with pytest.raises(ModelError, match="n=0"):
        model.generate(asked("x"), n=0)
    wrong: list[tuple[type[Exception], str, dict[str, Any]]] = [
        (ConfigError, "unknown engine option 'max_modell_len'; did you mean 'max_model_len'", {"max_modell_len": 5}),
        (ConfigError, "'worker_extension_cls'|worker_extension_cls='x' can't be chosen", {"worker_extension_cls": "x"}),
        (ModelError, "no model folder", {"name": "/nowhere"}),
        (ConfigError, "silence=0", {"silence": 0}),
    ]
    for kind, words, options in wrong:
        with pytest.raises(kind, match=words) as error:
            VLLMModel.load(**{"name": folder} | options)
        assert "\n" not in str(error.value)
    with pytest.raises(ConfigError, match="no layer 999"):
        VLLMModel(model.engine, model.renderer.tokenizer, stops=model.stops, layers=(999,))
    some = VLLMModel(model.engine, model.renderer.tokenizer, stops=model.stops, layers=(1, 0))
    mass = some.generate(asked(QUESTIONS[0]), max_new_tokens=4)[0].spans
    assert mass is not None
    assert mass.layers == (0, 1)


def test_options_are_read_from_the_command_line() -> None:
    found = read_options(["max_model_len=4096", "enforce-eager=true", "kv_cache_dtype=auto"])
    assert found == {"max_model_len": 4096, "enforce_eager": True, "kv_cache_dtype": "auto"}
    for text in ("max_model_len", "=5", "x=", "x={"):
        with pytest.raises(ConfigError, match="engine option"):
            read_options([text])


def play(model: Any, folder: Path, batch: int | None) -> list[list[Any]]:
    """What agents with a sensor and a controller do on the phone, and what is read and decided on the way."""
    agent = Agent(model, [AttentionDrift(), Confidence(threshold=0.9)], [Remind()])
    agent = agent.limited(max_new_tokens=24)
    envs = [PhoneEnv(split="test") for _ in range(3)]
    jobs = [(env.reset_task("notes_add", seed=seed), env) for seed, env in enumerate(envs)]
    if batch is not None:
        agent.run_many(jobs, batch=batch, run_folder=folder, max_steps=2)
    else:
        for number, (task, env) in enumerate(jobs):
            agent.run(task, env, run_folder=folder / f"{number:05d}", max_steps=2)
    found = []
    for number in range(len(jobs)):
        lines = (folder / f"{number:05d}" / "trace.jsonl").read_text().splitlines()
        events = [json.loads(line) for line in lines]
        found.append([event for event in events if event["kind"] in ("sense", "decide", "act")])
    return found


def test_sensors_and_controllers_see_what_they_see_over_transformers(
    model: VLLMModel, plain: TransformersModel, tmp_path: Path
) -> None:
    found = play(model, tmp_path / "vllm", 3)
    wanted = play(plain, tmp_path / "plain", None)
    kinds = {event["kind"] for events in found for event in events}
    assert kinds == {"sense", "decide", "act"}
    for mine, theirs in zip(found, wanted, strict=True):
        assert [event["kind"] for event in mine] == [event["kind"] for event in theirs]
        for one, other in zip(mine, theirs, strict=True):
            assert one.get("said") == other.get("said")
            assert one.get("decision") == other.get("decision")
            for reading, like in zip(one.get("readings", ()), other.get("readings", ()), strict=True):
                assert (reading["sensor"], reading.get("alarm")) == (like["sensor"], like.get("alarm"))
                assert reading["value"] == pytest.approx(like["value"], abs=1e-3)


def engine_process() -> int:
    """The process of the engine, a child of this one."""
    found = subprocess.run(["pgrep", "-P", str(os.getpid()), "-f", "EngineCore"], capture_output=True, text=True)
    return int(found.stdout.split()[0])


def test_a_hung_engine_ends_calls_in_time(model: VLLMModel, monkeypatch: pytest.MonkeyPatch) -> None:
    process = engine_process()
    os.kill(process, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        cut = model.generate(asked(QUESTIONS[0]), deadline=begun + 1)[0]
        assert (cut.text, cut.finish, cut.spans) == ("", "length", None)
        monkeypatch.setattr(model.engine, "silence", 1.5)
        with pytest.raises(ModelError, match=r"has said nothing for 1\.5 s") as error:
            model.generate(asked(QUESTIONS[0]))
        assert "\n" not in str(error.value)
        assert time.monotonic() - begun < 20
    finally:
        monkeypatch.undo()
        os.kill(process, signal.SIGCONT)
    assert model.generate(asked(QUESTIONS[0]), max_new_tokens=8)[0].text


def test_a_killed_engine_ends_calls_and_the_run_goes_on_elsewhere(
    model: VLLMModel, plain: TransformersModel, tmp_path: Path
) -> None:
    env = PhoneEnv(split="test")
    agent = Agent(model, [AttentionDrift()], []).limited(max_new_tokens=400)
    run = agent.start(env.reset_task("notes_add", seed=1), env, run_folder=tmp_path / "run", max_steps=1)
    threading.Timer(1.0, os.kill, (engine_process(), signal.SIGKILL)).start()
    errors: list[Exception] = []

    def ask() -> None:
        try:
            model.generate(asked(STORY), max_new_tokens=1500)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    with pytest.raises(ModelError, match="vLLM's engine has died"):
        for _ in run:
            pass
    for thread in threads:
        thread.join(30)
    assert [type(error) for error in errors] == [ModelError] * 3
    with pytest.raises(ModelError, match="has died"):
        model.generate(asked(QUESTIONS[0]))
    ended = Agent(plain, [AttentionDrift()], []).limited(max_new_tokens=8).resume(tmp_path / "run", env).result
    assert ended.steps <= 1
    assert ended.calls >= 1
    model.close()
    model.close()
    with pytest.raises(ModelError, match="was closed"):
        model.generate(asked(QUESTIONS[0]))
